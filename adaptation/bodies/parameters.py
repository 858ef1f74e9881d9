"""Bodies with their cameras: what regressors predict, labels store and renderers draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import roma
import torch
from torch import Tensor

from adaptation.bodies.camera import Camera
from adaptation.bodies.joint_sets import SMPL
from adaptation.support.batches import Batch


@dataclass(frozen=True)
class Bodies(Batch):
    """B bodies, each with its own camera.

    Rotations are matrices, which are continuous: means and gradients are valid everywhere. Axis-angle
    vectors are used only as fit variables (`adaptation.fitting.variables`) and in files.

    Attributes:
        rotations: (B, J, 3, 3) rotation matrices; joint 0 is the global orientation in camera axes (x right,
            y down, z forward).
        betas: (B, K) shape coefficients of the body model.
        camera: B cameras.
    """

    rotations: Tensor
    betas: Tensor
    camera: Camera

    def axis_angle(self) -> Tensor:
        """Return the rotations as (B, J, 3) axis-angle in radians, for files.

        Do not differentiate it: near half a turn the vector's sign flips, and its gradient is useless.
        """
        return roma.rotmat_to_rotvec(self.rotations)

    def mirrored(self, flip: Sequence[int] = SMPL.flip) -> Bodies:
        """Return the bodies that the mirrored crops show, left and right exchanged.

        Args:
            flip: index of each joint's counterpart on the other side of the body.
        """
        # Reflecting x turns R into S R S with S = diag(-1, 1, 1).
        sign = self.rotations.new_tensor([-1.0, 1.0, 1.0])
        rotations = self.rotations[:, list(flip)] * sign[:, None] * sign[None, :]
        return Bodies(rotations, self.betas, self.camera.mirrored())

    def where(self, condition: Tensor, other: Bodies) -> Bodies:
        """Select these bodies where a condition (B,) holds and the others elsewhere; all cameras are of one kind."""
        # Selecting from the joined batch works for every kind of camera.
        both = Bodies.cat([self, other])
        index = torch.arange(len(self), device=condition.device)
        return both.select(torch.where(condition, index, index + len(self)))
