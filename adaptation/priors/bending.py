"""The prior against elbows and knees that bend the wrong way: E_a of SMPLify (Bogo et al., ECCV 2016, eq. 3)."""

from __future__ import annotations

import torch
from torch import Tensor

from adaptation.bodies.joint_sets import SMPL

# Component of each joint's axis-angle that bends it, and the sign of a bend the wrong way: elbows bend about y, the
# left one about -y, and knees about +x.
_BENDING = {"left_elbow": (1, 1.0), "right_elbow": (1, -1.0), "left_knee": (0, -1.0), "right_knee": (0, -1.0)}


class BendingPrior(torch.nn.Module):
    """Sum of exp(2 theta) over elbows and knees, where theta is the angle of a bend the wrong way, radians.

    The paper prints exp(theta); the public code minimises the squares of exp(theta), and its weights belong to those.
    """

    signs: Tensor

    def __init__(self) -> None:
        super().__init__()
        self._joints = [SMPL.joints.index(name) for name in _BENDING]
        self._components = [component for component, _ in _BENDING.values()]
        self.register_buffer("signs", torch.tensor([sign for _, sign in _BENDING.values()]))

    def energy(self, pose: Tensor) -> Tensor:
        """Compute the energy of poses.

        Args:
            pose: (B, J, 3) axis-angle, radians.

        Returns:
            (B,); 4 for straight limbs, near 0 for limbs that are well bent.
        """
        return (2 * self.signs * pose[:, self._joints, self._components]).exp().sum(1)

    def forward(self, pose: Tensor) -> Tensor:
        """Compute the `energy`."""
        return self.energy(pose)
