"""Heatmaps of joints: their loss, and the positions that they give. A heatmap is a distribution over cells."""

from __future__ import annotations

import torch
from torch import Tensor


def heatmap_loss(logits: Tensor, places: Tensor, spread: float) -> Tensor:
    """Compute the Kullback-Leibler divergence of heatmaps from Gaussians around the joints.

    Args:
        logits: (B, J, H, W) logits of the heatmaps.
        places: (B, J, 2) x and y of the joints in cells, whose centres are at +0.5.
        spread: standard deviation of the Gaussians in cells.

    Returns:
        (B, J); 0 where a joint lies outside the crop.
    """
    side = torch.tensor(logits.shape[:-3:-1], device=logits.device)  # W, H
    # A Gaussian is a product over the axes: two lines of cells instead of a plane.
    across, down = (_gaussian(places[..., axis], int(side[axis]), spread) for axis in (0, 1))
    target = (down[..., :, None] * across[..., None, :]).flatten(2)
    # In float32: bfloat16 is too coarse for logarithms of small shares.
    own = logits.float().flatten(2).log_softmax(2)
    # Far from the joint a Gaussian underflows to 0, whose logarithm would be infinite.
    divergence = (target * (target.clamp(min=1e-12).log() - own)).sum(2)
    # A joint outside would train a border cell, where it is not.
    return torch.where(((places > 0) & (places < side)).all(2), divergence, 0)


def _gaussian(place: Tensor, cells: int, spread: float) -> Tensor:
    away = (place[..., None] - torch.arange(cells, device=place.device) - 0.5) / spread
    # Softmax normalises over the cells of the map, also for a Gaussian that its border cuts.
    return torch.softmax(-away.square() / 2, dim=-1)


def heatmap_shares(logits: Tensor) -> Tensor:
    """Convert logits (B, J, H, W) to heatmaps that sum to 1, in float32."""
    return logits.float().flatten(2).softmax(2).view(logits.shape)


def spreads(shares: Tensor) -> Tensor:
    """Return the standard deviations (B, J) of positions under heatmaps (B, J, H, W), in crop coordinates."""
    along = [
        (shares.sum(axis), (torch.arange(cells, device=shares.device) + 0.5) * (2 / cells) - 1)
        for axis, cells in ((2, shares.shape[3]), (3, shares.shape[2]))
    ]
    # The variance of the distance is the sum of those of both axes.
    across, down = (lines @ place.square() - (lines @ place).square() for lines, place in along)
    return (across + down).clamp(min=0).sqrt()


def expected_places(shares: Tensor) -> Tensor:
    """Return the mean positions under heatmaps.

    Args:
        shares: (B, J, H, W) heatmaps that sum to 1.

    Returns:
        (B, J, 2) x and y in crop coordinates, [-1, 1] across the map.
    """
    across, down = (
        (torch.arange(cells, device=shares.device) + 0.5) * (2 / cells) - 1 for cells in shares.shape[:-3:-1]
    )
    return torch.stack([shares.sum(2) @ across, shares.sum(3) @ down], dim=-1)
