"""Wrong input of the operators from masks to labels and masks, and the patterns of the error messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from topokernels import component_stats, connected_components, dilate, erode, fill_holes, largest, remove_small, thin


def mask(*shape: int, dtype: torch.dtype = torch.float32, device: str = "cpu") -> Tensor:
    return torch.ones(shape or (2, 5, 6), dtype=dtype, device=device)


# Each case is a call on a device and a pattern of its error message.
MASK_CASES: dict[str, tuple[Callable[[str], Any], str]] = {
    "connected_components rank": (
        lambda dev: connected_components(mask(5, device=dev)),
        r"connected_components: mask must have shape \(\.\.\., H, W\), got \(5,\)",
    ),
    "connected_components int64": (
        lambda dev: connected_components(mask(dtype=torch.int64, device=dev)),
        r"connected_components: mask must be bool, uint8 or floating point, got (Long|torch\.int64)",
    ),
    "connected_components 6": (
        lambda dev: connected_components(mask(device=dev), connectivity=6),
        r"connected_components: connectivity must be 4 or 8, got 6",
    ),
    "connected_components with areas": (
        lambda dev: connected_components(mask(device=dev), connectivity=1, return_areas=True),
        r"components_with_areas: connectivity must be 4 or 8, got 1",
    ),
    "fill_holes area": (
        lambda dev: fill_holes(mask(device=dev), area=-1),
        r"fill_holes: area must be at least 0, got -1",
    ),
    "remove_small area": (
        lambda dev: remove_small(mask(device=dev), -3),
        r"remove_small: area must be at least 0, got -3",
    ),
    "largest rank": (
        lambda dev: largest(mask(5, device=dev)),
        r"largest: mask must have shape \(\.\.\., H, W\), got \(5,\)",
    ),
    "thin method": (
        lambda dev: thin(mask(device=dev), method="lee"),
        r"thin: method must be 'zhang-suen' or 'guo-hall', got 'lee'",
    ),
    "thin rank": (
        lambda dev: thin(mask(5, device=dev)),
        r"thin: mask must have shape \(\.\.\., H, W\), got \(5,\)",
    ),
    "dilate radius": (
        lambda dev: dilate(mask(device=dev), -1),
        r"morphology: radius must be at least 0 and finite, got -1",
    ),
    "dilate not a number": (
        lambda dev: dilate(mask(device=dev), float("nan")),
        r"morphology: radius must be at least 0 and finite, got -?nan",
    ),
    "erode shape": (
        lambda dev: erode(mask(device=dev), 1, shape="diamond"),
        r"morphology: shape must be 'disc' or 'square', got 'diamond'",
    ),
    "morphology operation": (
        lambda dev: torch.ops.topo.morphology(mask(device=dev), operation="top_hat", radius=1.0),
        r"morphology: operation must be dilate, erode, .* or outer_band, got 'top_hat'",
    ),
    "erode rank": (
        lambda dev: erode(mask(5, device=dev), 1),
        r"morphology: mask must have shape \(\.\.\., H, W\), got \(5,\)",
    ),
    "component_stats mask": (
        lambda dev: component_stats(mask(device=dev) > 0),
        r"component_stats: labels must be integers, got torch\.bool",
    ),
    "component_stats rank": (
        lambda dev: component_stats(mask(5, device=dev).int()),
        r"component_stats: labels must have shape \(\.\.\., H, W\), got \(5,\)",
    ),
}
