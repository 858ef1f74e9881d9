"""Errors of bodies and silhouettes, one number per image. Joint errors are in millimetres.

Protocol: the 14 joints of the LSP data set (ankles, knees, hips, wrists, elbows, shoulders, neck, head),
taken from SMPL's joints. The last one is therefore SMPL's head joint at the base of the skull, not the
top of the head, and errors are not comparable with those of benchmarks that regress the 14 joints of
Human3.6M from the mesh.
"""

from __future__ import annotations

import torch
from torch import Tensor

from adaptation.bodies.joint_sets import LSP_JOINTS


def mpjpe(pred: Tensor, target: Tensor) -> Tensor:
    """Compute the mean per-joint position error with the pelvises aligned.

    Args:
        pred: (B, J, 3) predicted joints in SMPL's order, metres.
        target: (B, J, 3) true joints, likewise.

    Returns:
        (B,) millimetres, means over the 14 joints.
    """
    joints = list(LSP_JOINTS)
    difference = (pred - pred[:, :1]) - (target - target[:, :1])
    return _mean_millimetres(difference[:, joints])


def pa_mpjpe(pred: Tensor, target: Tensor) -> Tensor:
    """Compute the mean per-joint position error after the best similarity transform, without reflection.

    Args:
        pred: (B, J, 3) predicted joints in SMPL's order, metres.
        target: (B, J, 3) true joints, likewise.

    Returns:
        (B,) millimetres, means over the 14 joints.
    """
    # Only the joints of the protocol decide the alignment, as they decide the error.
    joints = list(LSP_JOINTS)
    aligned = similarity_align(pred[:, joints], target[:, joints])
    return _mean_millimetres(aligned - target[:, joints])


def _mean_millimetres(difference: Tensor) -> Tensor:
    mean: Tensor = torch.linalg.vector_norm(difference, dim=2).mean(dim=1)
    return 1000 * mean


def similarity_align(source: Tensor, target: Tensor) -> Tensor:
    """Align points with others by the rotation, scale and shift of least squares (Umeyama 1991).

    Args:
        source: (B, N, 3) points to move.
        target: (B, N, 3) points to align them with.

    Returns:
        (B, N, 3) aligned source points; if all source points coincide, the centre of the target.
    """
    # In double precision: float32 would limit the accuracy of the singular value decomposition.
    dtype = source.dtype
    source, target = source.double(), target.double()
    centre = target.mean(dim=1, keepdim=True)
    x, y = source - source.mean(dim=1, keepdim=True), target - centre
    u, s, vh = torch.linalg.svd(y.mT @ x)
    # A negative determinant is a reflection: flipping the weakest axis gives the best rotation.
    sign = torch.ones_like(s)
    sign[:, -1] = torch.where(torch.linalg.det(u @ vh) < 0, -1.0, 1.0)
    rotation = u @ (sign[..., None] * vh)
    # Coincident source points have no extent: the guard turns 0 / 0 into 0.
    scale = (s * sign).sum(dim=1) / x.square().sum(dim=(1, 2)).clamp(min=torch.finfo(x.dtype).tiny)
    moved: Tensor = scale[:, None, None] * (x @ rotation.mT) + centre
    return moved.to(dtype)


def silhouette_iou(pred: Tensor, target: Tensor) -> Tensor:
    """Compute the intersection over union of binary masks.

    Args:
        pred: (B, 1, H, W) or (B, H, W); values above 0.5 are foreground.
        target: masks of the same shape.

    Returns:
        (B,) in [0, 1], float32; 1 if both masks are empty.
    """
    a, b = pred.flatten(1) > 0.5, target.flatten(1) > 0.5
    union = (a | b).sum(dim=1)
    return torch.where(union == 0, 1.0, (a & b).sum(dim=1) / union.clamp(min=1))
