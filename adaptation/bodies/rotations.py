"""Rotation matrices from axis-angle vectors and from six numbers, and the angle between two rotations.

The six numbers (Zhou et al., CVPR 2019) are two vectors, which Gram-Schmidt turns into the first two
columns of a rotation matrix. Checkpoints use two layouts: SPIN and HMR interleave the vectors,
``x[0::2]`` and ``x[1::2]``; others concatenate them, ``x[:3]`` and ``x[3:]``. Numbers read in the
wrong layout still give rotations, but meaningless ones.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Layout = Literal["interleaved", "concatenated"]


def rotvec_to_matrix(vectors: Tensor) -> Tensor:
    """Convert axis-angle vectors to rotation matrices, by Rodrigues' formula in few operations.

    Args:
        vectors: (..., 3) axis-angle, radians. The gradient is correct everywhere, including at zero.

    Returns:
        (..., 3, 3) rotation matrices.
    """
    angle = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    # With the quaternion (w, q) and K = [q]x: R = 1 + 2 w K + 2 K^2. sinc(x) is sin(pi x) / (pi x).
    # sinc has no division by the angle, so zero needs no special case.
    q = vectors * (torch.sinc(angle / (2 * math.pi)) / 2)
    one = torch.eye(3, dtype=vectors.dtype, device=vectors.device)
    cross = torch.linalg.cross(one.expand(*vectors.shape, 3), q[..., None, :], dim=-1)
    return one + 2 * (cross @ (cross + (angle / 2).cos()[..., None] * one))


def rot6d_to_matrix(numbers: Tensor, layout: Layout = "interleaved") -> Tensor:
    """Convert six numbers each to rotation matrices.

    Args:
        numbers: (..., 6) two vectors, neither of them zero and the two not parallel.
        layout: "interleaved" as in SPIN, or "concatenated".

    Returns:
        (..., 3, 3) rotation matrices.
    """
    shape = numbers.shape[:-1]
    # Interleaved numbers are a 3 x 2 matrix row by row, whose columns are the two vectors.
    if layout == "interleaved":
        first, second = numbers.reshape(*shape, 3, 2).unbind(-1)
    else:
        first, second = numbers.reshape(*shape, 2, 3).unbind(-2)
    x = F.normalize(first, dim=-1)
    y = F.normalize(second - (x * second).sum(-1, keepdim=True) * x, dim=-1)
    # The third column is the cross product, so the determinant is 1, never -1.
    return torch.stack([x, y, torch.linalg.cross(x, y, dim=-1)], dim=-1)


def matrix_to_rot6d(rotations: Tensor, layout: Layout = "interleaved") -> Tensor:
    """Return the first two columns of rotation matrices (..., 3, 3) as six numbers, (..., 6)."""
    columns = rotations[..., :2]
    return (columns if layout == "interleaved" else columns.mT).flatten(-2)


def angle_between(first: Tensor, second: Tensor) -> Tensor:
    """Return the angles (...) in radians between rotation matrices (..., 3, 3)."""
    # The trace of first^T second, without the product.
    trace = (first * second).sum((-2, -1))
    # atan2 instead of acos, whose gradient is infinite where the two rotations agree.
    # Both give the half angle: |first - second| = 2 sqrt(2) sin(a / 2), and (trace + 1) / 4 = cos^2(a / 2).
    sine = torch.linalg.matrix_norm(first - second) / (2 * 2**0.5)
    return 2 * torch.atan2(sine, ((trace + 1) / 4).clamp(min=0).sqrt())
