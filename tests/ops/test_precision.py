"""No distance is rounded silently: half precision and narrow integers hold only small whole numbers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from topokernels import chamfer, d2t, reference, s2d, skeleton, topology_loss

# The largest n for which a dtype holds all whole numbers from 0 to n.
LARGEST = {torch.bfloat16: 256, torch.float16: 2048}
topo = torch.ops.topo


def bar(length: int, dtype: torch.dtype) -> Tensor:
    """One row of foreground behind a background pixel: distances 0, 1, ..., length - 1."""
    mask = torch.ones(1, length, dtype=dtype)
    mask[0, 0] = 0
    return mask


@pytest.mark.parametrize("dtype", LARGEST)
def test_a_map_is_exact_at_any_size(dtype: torch.dtype) -> None:
    for length, expected in ((LARGEST[dtype], dtype), (LARGEST[dtype] + 1, torch.float32)):
        for function in (s2d, topo.s2d, reference.s2d if length < 300 else s2d):
            distance = function(bar(length, dtype))
            assert distance.dtype == expected
            assert distance.double().tolist() == [list(range(length))]
        assert torch.ops.topo.s2d(bar(length, dtype).to("meta")).dtype == expected
    # Fewer steps need fewer numbers.
    assert s2d(bar(3000, dtype), iterations=100).dtype == dtype


def square(dtype: torch.dtype) -> Tensor:
    mask = torch.zeros(920, 840, dtype=dtype)
    mask[20:900, 20:820] = 1
    return mask


@pytest.mark.parametrize("dtype", LARGEST)
def test_the_ridges_of_a_deep_square(dtype: torch.dtype) -> None:
    """Depth 400: in bfloat16 the ridges of rounded distances have more than 50,000 pixels."""
    mask = square(dtype)
    ridges = d2t(s2d(mask), mask)
    assert ridges.sum(dtype=torch.float64) == skeleton(mask).sum(dtype=torch.float64) == 164
    assert torch.equal(ridges.to(dtype), skeleton(mask))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert d2t(s2d(mask), mask).sum(dtype=torch.float64) == 164
    mapped = torch.vmap(lambda m: d2t(s2d(m), m))(mask[None])
    assert torch.equal(mapped[0], ridges)
    compiled: Any = torch.compile(lambda m: d2t(s2d(m), m), backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(mask), ridges)


def test_losses_of_deep_masks_equal_those_in_float32() -> None:
    mask = square(torch.bfloat16)
    other = mask.roll(200, 0)
    for loss in (chamfer, topology_loss):
        assert torch.equal(loss(mask, other), loss(mask.float(), other.float()))
    leaf = mask.clone().requires_grad_()
    s2d(leaf).sum().backward()
    assert leaf.grad is not None and leaf.grad.dtype == torch.bfloat16


@pytest.mark.parametrize("dtype", LARGEST)
def test_ridges_of_rounded_distances_are_refused(dtype: torch.dtype) -> None:
    limit = LARGEST[dtype]
    mask = bar(limit + 60, torch.float32)
    rounded = s2d(mask).to(dtype)
    text = r"d2t: distance must be float32 or float64 at this depth.*Use s2d\(mask, out_dtype=torch\.float32\)"
    # At the limit itself: limit + 1 is rounded to it.
    for columns in (limit + 60, limit + 2):
        with pytest.raises(RuntimeError, match=text):
            d2t(rounded[:, :columns].contiguous(), mask[:, :columns])
    # Exact distances are not: those of an image no larger than the limit, and shallow ones of any.
    full = torch.ones(1, limit, dtype=dtype)
    assert d2t(s2d(full), full).sum(dtype=torch.float64) == limit
    assert d2t(rounded % 2, mask).dtype == dtype
