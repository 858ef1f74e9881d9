"""The 6D representation of rotations (Zhou et al., CVPR 2019), in the two layouts that checkpoints use.

Six numbers are two vectors; Gram-Schmidt makes them the first two columns of a rotation matrix.
SPIN and HMR interleave them, ``x[0::2]`` and ``x[1::2]``; others concatenate them, ``x[:3]`` and
``x[3:]``. Numbers read in the wrong layout still give rotations, but meaningless ones.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Layout = Literal["interleaved", "concatenated"]


def rot6d_to_matrix(numbers: Tensor, layout: Layout = "interleaved") -> Tensor:
    """Rotation matrices of six numbers each.

    Args:
        numbers: (..., 6), neither vector zero and the two not parallel.
        layout: "interleaved" as in SPIN, or "concatenated".

    Returns:
        (..., 3, 3).
    """
    shape = numbers.shape[:-1]
    if layout == "interleaved":
        first, second = numbers.reshape(*shape, 3, 2).unbind(-1)
    else:
        first, second = numbers.reshape(*shape, 2, 3).unbind(-2)
    x = F.normalize(first, dim=-1)
    y = F.normalize(second - (x * second).sum(-1, keepdim=True) * x, dim=-1)
    return torch.stack([x, y, torch.linalg.cross(x, y, dim=-1)], dim=-1)


def matrix_to_rot6d(rotations: Tensor, layout: Layout = "interleaved") -> Tensor:
    """The first two columns of rotation matrices (..., 3, 3), as (..., 6)."""
    columns = rotations[..., :2]
    return (columns if layout == "interleaved" else columns.mT).flatten(-2)


def angle_between(first: Tensor, second: Tensor) -> Tensor:
    """Angles in radians, (...), between rotation matrices (..., 3, 3)."""
    trace = (first * second).sum((-2, -1))
    # atan2 instead of acos, whose gradient is infinite where the two agree.
    sine = torch.linalg.matrix_norm(first - second) / (2 * 2**0.5)
    return 2 * torch.atan2(sine, ((trace + 1) / 4).clamp(min=0).sqrt())
