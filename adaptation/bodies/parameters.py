"""Bodies as regressors predict them, labels state them and renderers draw them."""

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
    """B bodies, each seen by its camera.

    Rotations are matrices: they have no seam where a gradient or a mean goes wrong. Axis-angle vectors
    are for what a fit descends (`adaptation.fitting.variables`) and for files.

    Attributes:
        rotations: (B, J, 3, 3); joint 0 is the global orientation in camera axes (x right, y down, z forward).
        betas: (B, K) shape coefficients of the body model.
        camera: B cameras.
    """

    rotations: Tensor
    betas: Tensor
    camera: Camera

    def axis_angle(self) -> Tensor:
        """(B, J, 3) radians, for files. Its gradient is useless near half a turn, where the sign flips."""
        return roma.rotmat_to_rotvec(self.rotations)

    def mirrored(self, flip: Sequence[int] = SMPL.flip) -> Bodies:
        """The bodies that the mirrored crops show, left and right exchanged.

        Args:
            flip: for each joint its counterpart on the other side.
        """
        # Reflecting x turns R into S R S with S = diag(-1, 1, 1).
        sign = self.rotations.new_tensor([-1.0, 1.0, 1.0])
        rotations = self.rotations[:, list(flip)] * sign[:, None] * sign[None, :]
        return Bodies(rotations, self.betas, self.camera.mirrored())

    def where(self, condition: Tensor, other: Bodies) -> Bodies:
        """These bodies where a condition (B,) holds, the other ones elsewhere; the cameras are of one kind."""
        both = Bodies.cat([self, other])
        index = torch.arange(len(self), device=condition.device)
        return both.select(torch.where(condition, index, index + len(self)))
