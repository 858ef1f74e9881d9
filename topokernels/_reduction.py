"""From the two terms of a chamfer distance, one value per image each, to a loss."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

Reduction = Literal["none", "mean", "sum"]


def reduce(values: Tensor, reduction: Reduction) -> Tensor:
    """The values themselves, their mean, or their sum."""
    if reduction == "none":
        return values
    if reduction == "mean":
        return values.mean()
    if reduction == "sum":
        return values.sum()
    raise ValueError(f"reduction must be 'none', 'mean' or 'sum', got {reduction!r}")


def weighted_loss(pull: Tensor, push: Tensor, pull_weight: float, reduction: Reduction) -> Tensor:
    """``pull_weight * pull + push``, reduced."""
    return reduce(pull_weight * pull + push, reduction)
