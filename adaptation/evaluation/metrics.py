"""Error metrics of bodies and silhouettes, one value per image. Joint errors are in millimetres.

Protocol: 14 joints as in the LSP data set (ankles, knees, hips, wrists, elbows, shoulders, neck, head), taken from
SMPL's joints. The last one is therefore SMPL's head joint at the base of the skull, not the top of the head, and values
are not comparable with benchmarks that regress the 14 joints of Human3.6M from the mesh.
"""

from __future__ import annotations

import torch
from torch import Tensor

from adaptation.bodies.joint_sets import LSP_JOINTS


def mpjpe(pred: Tensor, target: Tensor) -> Tensor:
    """Compute the mean per-joint position error after aligning the pelvises.

    Args:
        pred: (B, J, 3) predicted SMPL joints, metres.
        target: (B, J, 3) true joints, metres.

    Returns:
        (B,) means over the 14 joints, millimetres.
    """
    joints = list(LSP_JOINTS)
    # The pelvis is not among the 14 joints, so poses are aligned before the joints are chosen.
    difference = (pred - pred[:, :1]) - (target - target[:, :1])
    return _mean_millimetres(difference[:, joints])


def pa_mpjpe(pred: Tensor, target: Tensor) -> Tensor:
    """Compute the mean per-joint position error after the best similarity transform without reflection.

    Args:
        pred: (B, J, 3) predicted SMPL joints, metres.
        target: (B, J, 3) true joints, metres.

    Returns:
        (B,) means over the 14 joints, millimetres.
    """
    joints = list(LSP_JOINTS)
    # Here the joints are chosen first: the alignment is over the 14 alone.
    aligned = similarity_align(pred[:, joints], target[:, joints])
    return _mean_millimetres(aligned - target[:, joints])


def _mean_millimetres(difference: Tensor) -> Tensor:
    mean: Tensor = torch.linalg.vector_norm(difference, dim=2).mean(dim=1)
    return 1000 * mean


def similarity_align(source: Tensor, target: Tensor) -> Tensor:
    """Align points with others by the least-squares rotation, scale and translation (Umeyama 1991).

    Args:
        source: (B, N, 3) points to move.
        target: (B, N, 3) points to align with.

    Returns:
        (B, N, 3) moved points. If all source points coincide, they move to the centroid of the target.
    """
    # In double precision, so that rounding stays below that of the input.
    dtype = source.dtype
    source, target = source.double(), target.double()
    centre = target.mean(dim=1, keepdim=True)
    x, y = source - source.mean(dim=1, keepdim=True), target - centre
    # Rows are points, so y^T x is the 3 x 3 matrix whose SVD gives the rotation from x to y.
    u, s, vh = torch.linalg.svd(y.mT @ x)
    # Flip the axis of the smallest singular value where the best orthogonal matrix would be a reflection.
    sign = torch.ones_like(s)
    sign[:, -1] = torch.where(torch.linalg.det(u @ vh) < 0, -1.0, 1.0)
    rotation = u @ (sign[..., None] * vh)
    # If all source points coincide, both sums are 0: the scale is 0 instead of nan.
    scale = (s * sign).sum(dim=1) / x.square().sum(dim=(1, 2)).clamp(min=torch.finfo(x.dtype).tiny)
    moved: Tensor = scale[:, None, None] * (x @ rotation.mT) + centre
    return moved.to(dtype)


def silhouette_iou(pred: Tensor, target: Tensor) -> Tensor:
    """Compute the intersection over union of masks.

    Args:
        pred: (B, 1, H, W) or (B, H, W) masks; values above 0.5 are foreground.
        target: masks of the same shape.

    Returns:
        (B,) float32 in [0, 1]; 1 where both masks are empty.
    """
    a, b = pred.flatten(1) > 0.5, target.flatten(1) > 0.5
    union = (a | b).sum(dim=1)
    # Two empty masks agree; without the clamp they would give 0 / 0.
    return torch.where(union == 0, 1.0, (a & b).sum(dim=1) / union.clamp(min=1))
