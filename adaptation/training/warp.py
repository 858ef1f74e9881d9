"""Mirroring, scaling and moving images, to augment training data."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def warp(images: Tensor, flip: Tensor, zoom: Tensor, shift: Tensor) -> Tensor:
    """Mirror, move and scale images: in crop coordinates [-1, 1], a point p moves to zoom * (+-p + shift).

    Args:
        images: (B, 3, S, S).
        flip: (B,) bool, whether to mirror left and right.
        zoom: (B,) factors.
        shift: (B, 2) x and y in crop coordinates.

    Returns:
        (B, 3, S, S); pixels from outside an image repeat its border.
    """
    # grid_sample needs the inverse map, from output to input coordinates.
    sign = torch.where(flip, -1.0, 1.0)
    inverse = images.new_zeros(len(images), 2, 3)
    inverse[:, 0, 0], inverse[:, 1, 1] = sign / zoom, 1 / zoom
    inverse[:, :, 2] = -shift
    inverse[:, 0, 2] *= sign  # the shift follows the mirroring, so its inverse is mirrored
    # Without aligned corners, -1 and 1 are the outer edges of the border pixels, as in crop coordinates.
    grid = F.affine_grid(inverse, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)
