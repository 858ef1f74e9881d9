"""Training with topology_loss as docs/operators.md describes it, on the logits of one image."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from topokernels import target_topology, topology_loss

Loss = Callable[[Tensor, int], Tensor]


def cross(size: int = 64) -> Tensor:
    mask = torch.zeros(1, 1, size, size)
    mask[..., 12:52, 28:36] = 1
    mask[..., 28:36, 12:52] = 1
    return mask


TARGET = cross()
CACHE = target_topology(TARGET)


def binary(probabilities: Tensor) -> Tensor:
    return (probabilities > 0.5).to(probabilities) + (probabilities - probabilities.detach())


def recipe(logits: Tensor, step: int) -> Tensor:
    loss = F.binary_cross_entropy_with_logits(logits, TARGET)
    return loss if step < 50 else loss + 1e-3 * topology_loss(binary(logits.sigmoid()), CACHE)


def plain(logits: Tensor, step: int) -> Tensor:
    return topology_loss(logits.sigmoid(), CACHE)


def iou_after(loss: Loss, start: Tensor, steps: int) -> float:
    logits = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=0.1)
    for step in range(steps):
        optimizer.zero_grad()
        loss(logits, step).backward()
        optimizer.step()
    inside, wanted = logits > 0, TARGET > 0
    return float((inside & wanted).sum() / (inside | wanted).sum())


@pytest.mark.parametrize("scale", [4.0, 0.0])
def test_the_recipe_finds_the_mask(scale: float) -> None:
    noise = 0.5 * torch.randn(TARGET.shape, generator=torch.Generator().manual_seed(0))
    start = scale * (2 * TARGET - 1) + noise
    assert iou_after(recipe, start, 120) == 1.0


def test_the_loss_of_a_soft_mask_alone_thins_it() -> None:
    """Why the recipe binarises: a soft mask has no depth, so the loss takes all of it for its skeleton."""
    noise = 0.5 * torch.randn(TARGET.shape, generator=torch.Generator().manual_seed(0))
    assert iou_after(plain, 4 * (2 * TARGET - 1) + noise, 200) < 0.95
