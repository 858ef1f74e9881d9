"""Errors of bodies and silhouettes, one number per image. Joint errors are in millimetres.

Protocol: 14 joints as in the LSP data set (ankles, knees, hips, wrists, elbows, shoulders, neck,
head), taken from SMPL's, so the last one is SMPL's head joint at the base of the skull and not
the top of the head. Numbers are hence not comparable with those of benchmarks that regress the 14
joints of Human3.6M from the mesh.
"""

from __future__ import annotations

import torch
from torch import Tensor

from adaptation.bodies.joint_sets import LSP_JOINTS


def mpjpe(pred: Tensor, target: Tensor) -> Tensor:
    """Mean per-joint position error after the pelvises are put together.

    Args:
        pred: (B, J, 3) metres, SMPL's joints.
        target: (B, J, 3).

    Returns:
        (B,) millimetres, over the 14 joints.
    """
    joints = list(LSP_JOINTS)
    difference = (pred - pred[:, :1]) - (target - target[:, :1])
    return _mean_millimetres(difference[:, joints])


def pa_mpjpe(pred: Tensor, target: Tensor) -> Tensor:
    """Mean per-joint position error after the best similarity transform, without reflection.

    Args:
        pred: (B, J, 3) metres, SMPL's joints.
        target: (B, J, 3).

    Returns:
        (B,) millimetres, over the 14 joints.
    """
    joints = list(LSP_JOINTS)
    aligned = similarity_align(pred[:, joints], target[:, joints])
    return _mean_millimetres(aligned - target[:, joints])


def _mean_millimetres(difference: Tensor) -> Tensor:
    mean: Tensor = torch.linalg.vector_norm(difference, dim=2).mean(dim=1)
    return 1000 * mean


def similarity_align(source: Tensor, target: Tensor) -> Tensor:
    """Move points onto others by rotation, scale and shift of least squares (Umeyama 1991).

    Args:
        source: (B, N, 3).
        target: (B, N, 3).

    Returns:
        (B, N, 3): the source, moved. Where all its points coincide, the centre of the target.
    """
    dtype = source.dtype
    source, target = source.double(), target.double()
    centre = target.mean(dim=1, keepdim=True)
    x, y = source - source.mean(dim=1, keepdim=True), target - centre
    u, s, vh = torch.linalg.svd(y.mT @ x)
    sign = torch.ones_like(s)
    sign[:, -1] = torch.where(torch.linalg.det(u @ vh) < 0, -1.0, 1.0)
    rotation = u @ (sign[..., None] * vh)
    scale = (s * sign).sum(dim=1) / x.square().sum(dim=(1, 2)).clamp(min=torch.finfo(x.dtype).tiny)
    moved: Tensor = scale[:, None, None] * (x @ rotation.mT) + centre
    return moved.to(dtype)


def silhouette_iou(pred: Tensor, target: Tensor) -> Tensor:
    """Intersection over union of binary masks.

    Args:
        pred: (B, 1, H, W) or (B, H, W); above 0.5 is foreground.
        target: the same shape.

    Returns:
        (B,) in [0, 1], float32; 1 where both are empty.
    """
    a, b = pred.flatten(1) > 0.5, target.flatten(1) > 0.5
    union = (a | b).sum(dim=1)
    return torch.where(union == 0, 1.0, (a & b).sum(dim=1) / union.clamp(min=1))
