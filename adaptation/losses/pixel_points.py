"""The pixels of a mask or a skeleton as points."""

from __future__ import annotations

import torch
from torch import Tensor


def pixel_points(image: Tensor, count: int) -> Tensor:
    """Return the centres of an image's foreground pixels as points.

    Args:
        image: (B, 1, H, W) of 0 and 1.
        count: points per image. The pixels are taken row by row, thinned evenly if there are more and repeated if
            there are fewer.

    Returns:
        (B, count, 2) x and y in pixels, pixel centres at +0.5; nan for an empty image.
    """
    width = image.shape[-1]
    total = image.flatten(1).cumsum(1, dtype=torch.int64)
    ranks = torch.arange(count, device=image.device) * total[:, -1:] // count
    # The cumulative sum reaches n + 1 at the pixel of rank n. Unlike nonzero, whose result has a size that the host
    # must wait for, this search runs on the device without a synchronisation.
    index = torch.searchsorted(total, ranks + 1)
    points = torch.stack([index % width, index // width], dim=-1) + 0.5
    # In an empty image the search ends past the last pixel: nan, so that its result cannot pass for a point.
    return torch.where(total[:, -1:, None] > 0, points, torch.nan)
