"""Reflection of bodies in depth, which silhouettes under weak perspective do not show."""

from __future__ import annotations

import roma
import torch
from torch import Tensor

from adaptation.bodies.body import mirror_pose


def reflect_in_depth(pose: Tensor) -> Tensor:
    """Return the poses of the bodies reflected in depth.

    Reflecting z equals reflecting x, which swaps left and right, followed by half a turn about y. The body model
    must be symmetric.

    Args:
        pose: (B, J, 3) axis-angle, radians; joint 0 is the global orientation in camera axes.

    Returns:
        (B, J, 3) axis-angle. Silhouettes under weak perspective are the same.
    """
    # Left and right limbs are exchanged here, since no rotation of a body turns it into its reflection.
    mirrored = mirror_pose(pose)
    half_turn = roma.rotvec_to_rotmat(mirrored.new_tensor([0.0, torch.pi, 0.0]))
    # From the left: the half turn is about the camera's y axis, not the body's.
    orientation = roma.rotmat_to_rotvec(half_turn @ roma.rotvec_to_rotmat(mirrored[:, 0]))
    return torch.cat([orientation[:, None], mirrored[:, 1:]], dim=1)
