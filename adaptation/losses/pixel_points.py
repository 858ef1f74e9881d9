"""The pixels of a mask or a skeleton as points."""

from __future__ import annotations

import torch
from torch import Tensor


def pixel_points(image: Tensor, count: int) -> Tensor:
    """Centres of the pixels that are set.

    Args:
        image: (B, 1, H, W) of 0 and 1.
        count: points per image: its pixels row by row, evenly thinned, or repeated where there are fewer.

    Returns:
        (B, count, 2) x and y; nan where an image is empty.
    """
    width = image.shape[-1]
    total = image.flatten(1).cumsum(1, dtype=torch.int64)
    wanted = torch.arange(count, device=image.device) * total[:, -1:] // count
    # On the device and without a look at the numbers, for which the program would wait.
    index = torch.searchsorted(total, wanted + 1)
    points = torch.stack([index % width, index // width], dim=-1) + 0.5
    return torch.where(total[:, -1:, None] > 0, points, torch.nan)
