"""Heatmaps of joints: what trains them, and where they say joints are. A heatmap is a distribution over cells."""

from __future__ import annotations

import torch
from torch import Tensor


def heatmap_loss(logits: Tensor, places: Tensor, spread: float) -> Tensor:
    """How far heatmaps are from Gaussians around joints: the divergence of the one from the other.

    Args:
        logits: (B, J, H, W).
        places: (B, J, 2) x and y of the joints in cells, whose centres lie at +0.5.
        spread: standard deviation in cells.

    Returns:
        (B, J); 0 where a joint lies outside of the crop.
    """
    side = torch.tensor(logits.shape[:-3:-1], device=logits.device)  # W, H
    across, down = (_gaussian(places[..., axis], int(side[axis]), spread) for axis in (0, 1))
    target = (down[..., :, None] * across[..., None, :]).flatten(2)
    own = logits.float().flatten(2).log_softmax(2)
    divergence = (target * (target.clamp(min=1e-12).log() - own)).sum(2)
    return torch.where(((places > 0) & (places < side)).all(2), divergence, 0)


def _gaussian(place: Tensor, cells: int, spread: float) -> Tensor:
    away = (place[..., None] - torch.arange(cells, device=place.device) - 0.5) / spread
    return torch.softmax(-away.square() / 2, dim=-1)


def heatmap_shares(logits: Tensor) -> Tensor:
    """Logits (B, J, H, W) to heatmaps of sum 1, in float32."""
    return logits.float().flatten(2).softmax(2).view(logits.shape)


def expected_places(shares: Tensor) -> Tensor:
    """Mean places under heatmaps.

    Args:
        shares: (B, J, H, W), each of sum 1.

    Returns:
        (B, J, 2) x and y, the map being [-1, 1]^2.
    """
    across, down = (
        (torch.arange(cells, device=shares.device) + 0.5) * (2 / cells) - 1 for cells in shares.shape[:-3:-1]
    )
    return torch.stack([shares.sum(2) @ across, shares.sum(3) @ down], dim=-1)
