"""Sample masks, and at least one call of every operator in the ``topo`` namespace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

import topokernels

MASK_DTYPES = [
    torch.bool,
    torch.uint8,
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
]
FLOAT_DTYPES = [dtype for dtype in MASK_DTYPES if dtype.is_floating_point]


def noise_mask(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Salt and pepper at any density, so depths stay small and ties abound."""
    return rng.random((height, width)) < rng.choice([0.03, 0.2, 0.5, 0.8, 0.97, 0.999])


def blob_mask(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Rectangles and discs, some cut by the border, some with holes."""
    y, x = np.mgrid[:height, :width]
    mask = np.zeros((height, width), dtype=bool)
    for _ in range(rng.integers(1, 5)):
        cy, cx = rng.integers(0, height), rng.integers(0, width)
        ry, rx = rng.integers(1, height // 2 + 2), rng.integers(1, width // 2 + 2)
        if rng.random() < 0.5:
            shape = (np.abs(y - cy) < ry) & (np.abs(x - cx) < rx)
        else:
            shape = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1
        mask = mask & ~shape if rng.random() < 0.3 else mask | shape
    return mask


def line_mask(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Single rows and columns of foreground, or of background."""
    mask = np.zeros((height, width), dtype=bool)
    mask[rng.integers(0, height)] |= rng.random() < 0.8
    mask[:, rng.integers(0, width)] |= rng.random() < 0.8
    return mask ^ (rng.random() < 0.5)


def dot_mask(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """One pixel differs from all others, often at a corner or an edge, which gives the deepest maps."""
    mask = np.ones((height, width), dtype=bool)
    y = rng.choice([0, height - 1, rng.integers(0, height)])
    x = rng.choice([0, width - 1, rng.integers(0, width)])
    mask[y, x] = False
    return mask ^ (rng.random() < 0.2)


def flat_mask(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Empty or full."""
    return np.full((height, width), rng.random() < 0.5)


KINDS = [noise_mask, blob_mask, line_mask, dot_mask, flat_mask]


def mask_batches(seed: int, batches: int, per_batch: int, largest: int = 48) -> Iterator[np.ndarray]:
    """Bool arrays (per_batch, H, W) of all kinds mixed, sizes from 1 x 1 up."""
    rng = np.random.default_rng(seed)
    for _ in range(batches):
        height, width = (int(n) for n in rng.integers(1, largest + 1, 2))
        if rng.random() < 0.15:
            height, width = (1, width) if rng.random() < 0.5 else (height, 1)
        kinds = rng.integers(0, len(KINDS), per_batch)
        yield np.stack([KINDS[kind](rng, height, width) for kind in kinds])


def blobs(seed: int, count: int, height: int, width: int, **options: Any) -> Tensor:
    """Binary blob masks (count, H, W), float64 by default."""
    rng = np.random.default_rng(seed)
    masks = np.stack([blob_mask(rng, height, width) for _ in range(count)])
    return torch.from_numpy(masks).to(**{"dtype": torch.float64, **options})


def soft(seed: int, *shape: int, low: float = 0.93, high: float = 0.999, **options: Any) -> Tensor:
    """Values strictly between 0 and 1, by default close enough to 1 to survive several thinning steps."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.rand(shape, generator=generator, dtype=torch.float64) * (high - low) + low
    return values.to(**{"dtype": torch.float64, **options})


def random(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


@dataclass(frozen=True)
class Sample:
    """One call ``torch.ops.topo.<op>(*args, **kwargs)``."""

    op: str
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.op}-{self.name}"

    def call(self, device: torch.device | str = "cpu") -> Any:
        return getattr(torch.ops.topo, self.op).default(*self.arguments(device), **self.kwargs)

    def arguments(self, device: torch.device | str = "cpu") -> tuple[Any, ...]:
        """Fresh arguments on a device; leaves keep requires_grad."""
        return tuple(
            a.detach().to(device).requires_grad_(a.requires_grad) if isinstance(a, Tensor) else a for a in self.args
        )


def _leaf(tensor: Tensor) -> Tensor:
    return tensor.detach().clone().requires_grad_()


def _s2d_samples() -> Iterator[Sample]:
    mask = blobs(0, 2, 9, 12, dtype=torch.float32)
    for dtype in MASK_DTYPES:
        sample = mask.to(dtype)
        yield Sample("s2d", str(dtype), (_leaf(sample) if dtype.is_floating_point else sample,))
    yield Sample("s2d", "soft", (_leaf(soft(1, 2, 7, 8)),))
    yield Sample("s2d", "literal", (_leaf(mask),), {"backward": "literal"})
    options = {"iterations": 2, "kernel_size": 5, "black_border": True, "fill_holes": True}
    yield Sample("s2d", "options", (_leaf(mask),), options)
    yield Sample("s2d", "integer", (mask.bool(),), {"out_dtype": torch.uint8})
    yield Sample("s2d", "one image", (_leaf(mask[0]),))
    yield Sample("s2d", "empty batch", (_leaf(mask[:0]),))
    yield Sample("s2d", "transposed", (_leaf(mask).mT,))
    grad = random(2, 2, 9, 12, dtype=torch.float32)
    for mode in ("subgradient", "literal"):
        yield Sample("s2d_backward", mode, (grad, mask, None, 3, False, False, mode))
    yield Sample("s2d_backward", "options", (grad, mask, 2, 5, True, True, "subgradient"))
    yield Sample("s2d_backward", "half", (grad.half(), mask.half(), None, 3, 0, 0, "subgradient"))


def _edt_samples() -> Iterator[Sample]:
    mask = blobs(16, 2, 9, 12, dtype=torch.float32)
    for dtype in MASK_DTYPES:
        sample = mask.to(dtype)
        yield Sample("edt", str(dtype), (_leaf(sample) if dtype.is_floating_point else sample,))
    options = {"signed": True, "squared": True, "sampling": [0.5, 2.0], "black_border": True}
    yield Sample("edt", "options", (_leaf(mask),), options)
    yield Sample("edt", "signed", (_leaf(mask.double()),), {"signed": True})
    yield Sample("edt", "one image", (_leaf(mask[0]),))
    yield Sample("edt", "empty batch", (_leaf(mask[:0]),))
    yield Sample("edt", "transposed", (_leaf(mask).mT,))
    yield Sample("edt_indices", "bool", (mask.bool(),))
    yield Sample("edt_indices", "options", (_leaf(mask),), {"signed": True, "sampling": [2, 2], "black_border": True})
    grad = random(17, 2, 9, 12, dtype=torch.float32)
    yield Sample("edt_backward", "plain", (grad, mask, False, False, None, False))
    yield Sample("edt_backward", "options", (grad.double(), mask.double(), True, True, [0.5, 2.0], True))
    yield Sample("edt_backward", "half", (grad.half(), mask.half(), True, False, None, False))


def _mask_samples() -> Iterator[Sample]:
    """Operators from masks to labels or masks."""
    mask = blobs(18, 2, 9, 12, dtype=torch.float32)
    options: dict[str, dict[str, Any]] = {
        "connected_components": {"connectivity": 4},
        "components_with_areas": {"connectivity": 4},
        "fill_holes": {"area": 5, "connectivity": 4},
        "remove_small": {"area": 7, "connectivity": 4},
        "largest": {"connectivity": 4},
        "thin": {"method": "guo-hall"},
        "morphology": {"operation": "close", "radius": 1.5, "shape": "square", "black_border": True},
    }
    needed: dict[str, dict[str, Any]] = {
        "remove_small": {"area": 9},
        "morphology": {"operation": "dilate", "radius": 2.0},
    }
    for op, given in options.items():
        least = needed.get(op, {})
        for dtype in MASK_DTYPES:
            sample = mask.to(dtype)
            yield Sample(op, str(dtype), (_leaf(sample) if dtype.is_floating_point else sample,), least)
        yield Sample(op, "options", (_leaf(mask),), given)
        yield Sample(op, "soft", (_leaf(soft(19, 2, 7, 8, low=0.0)),), given)
        yield Sample(op, "one image", (_leaf(mask[0]),), least)
        yield Sample(op, "empty batch", (_leaf(mask[:0]),), least)
        yield Sample(op, "transposed", (_leaf(mask).mT,), least)


def _d2t_samples() -> Iterator[Sample]:
    mask = blobs(3, 2, 9, 12, dtype=torch.float32)
    distance = topokernels.s2d(mask)
    for dtype in FLOAT_DTYPES:
        yield Sample("d2t", str(dtype), (_leaf(distance.to(dtype)), _leaf(mask.to(dtype))))
    yield Sample("d2t", "bool mask", (_leaf(distance), mask.bool()))
    yield Sample("d2t", "uint8 mask", (_leaf(distance), mask.byte()))
    yield Sample("d2t", "literal", (_leaf(distance), _leaf(mask)), {"backward": "literal"})
    yield Sample("d2t", "pool 5", (_leaf(distance), _leaf(mask)), {"pool_size": 5})
    yield Sample("d2t", "transposed", (_leaf(distance).mT, _leaf(mask).mT))
    yield Sample("d2t", "empty", (_leaf(distance[:, :0]), _leaf(mask[:, :0])))
    grad, skeleton = random(4, 2, 9, 12, dtype=torch.float32), topokernels.d2t(distance, mask)
    for mode in ("subgradient", "literal"):
        yield Sample("d2t_backward", mode, (grad, distance, mask, skeleton, 3, mode))
    yield Sample("d2t_backward", "bool mask", (grad, distance, mask.bool(), skeleton, 5, "subgradient"))


def _chamfer_samples() -> Iterator[Sample]:
    pred, target = blobs(5, 2, 8, 9), blobs(6, 2, 8, 9)
    out = topokernels.s2d(1 - pred), topokernels.s2d(1 - target)
    for dtype in FLOAT_DTYPES:
        maps = (pred, target, *out)
        yield Sample("chamfer", str(dtype), tuple(_leaf(map_.to(dtype)) for map_ in maps))
    yield Sample("chamfer", "bool", (pred.bool(), target.byte(), _leaf(out[0]), _leaf(out[1])))
    yield Sample("chamfer", "one image", (pred[0], target[0], _leaf(out[0][0]), out[1][0]))


def _skeleton_samples() -> Iterator[Sample]:
    mask = blobs(8, 2, 9, 12, dtype=torch.float32)
    for dtype in MASK_DTYPES:
        sample = mask.to(dtype)
        yield Sample("skeleton", str(dtype), (_leaf(sample) if dtype.is_floating_point else sample,))
    yield Sample("skeleton", "soft", (_leaf(soft(9, 2, 7, 8)),))
    yield Sample("skeleton", "literal", (_leaf(mask),), {"backward": "literal"})
    yield Sample("skeleton", "options", (_leaf(mask),), {"iterations": 2, "pool_size": 5})
    yield Sample("skeleton", "one image", (_leaf(mask[0]),))
    yield Sample("skeleton", "empty batch", (_leaf(mask[:0]),))
    yield Sample("skeleton", "transposed", (_leaf(mask).mT,))
    grad = random(10, 2, 9, 12, dtype=torch.float32)
    for mode in ("subgradient", "literal"):
        yield Sample("skeleton_backward", mode, (grad, mask, None, 3, mode))
    yield Sample("skeleton_backward", "options", (grad, mask, 2, 5, "subgradient"))
    yield Sample("skeleton_backward", "half", (grad.half(), mask.half(), None, 3, "subgradient"))


def _mask_chamfer_samples() -> Iterator[Sample]:
    pred, target = blobs(11, 2, 8, 9), blobs(12, 2, 8, 9)
    out = topokernels.s2d(1 - target)
    for dtype in FLOAT_DTYPES:
        maps = (_leaf(pred.to(dtype)), target.to(dtype), out.to(dtype))
        yield Sample("mask_chamfer", str(dtype), maps)
        yield Sample("mask_chamfer", f"skeletons {dtype}", maps, {"skeletons": True})
    yield Sample("mask_chamfer", "bool", (pred.bool(), target.byte(), out))
    yield Sample("mask_chamfer", "mixed dtypes", (_leaf(pred.float()), target.bool(), out.half()))
    yield Sample("mask_chamfer", "all gradients", (_leaf(pred), _leaf(target), _leaf(out)), {"skeletons": True})
    yield Sample("mask_chamfer", "soft", (_leaf(soft(13, 2, 8, 9)), target, out), {"iterations": 3, "skeletons": True})
    yield Sample("mask_chamfer", "one image", (_leaf(pred[0]), target[0], out[0]), {"backward": "literal"})
    yield Sample("mask_chamfer", "empty", (_leaf(pred[:, :0]), target[:, :0], out[:, :0]))
    pull, push = random(14, 2), random(15, 2)
    for mode in ("subgradient", "literal"):
        yield Sample("mask_chamfer_backward", mode, (pull, push, pred, target, out, None, True, mode))
    yield Sample("mask_chamfer_backward", "plain", (pull, push, pred, target, out, 3, False, "subgradient"))


def _renderer_samples() -> Iterator[Sample]:
    vertices = torch.tensor([[[2.0, 1.5], [13.0, 3.0], [6.5, 11.0], [14.5, 12.0]]], dtype=torch.float32)
    vertices = torch.cat([vertices, vertices.flip(-1) + 0.3])
    solid = torch.cat([vertices, torch.arange(8.0).reshape(2, 4, 1) + 3], dim=-1)
    faces = torch.tensor([[0, 1, 2], [1, 3, 2]])
    size = [14, 16]
    yield Sample("m2s", "soft", (_leaf(vertices), faces, size), {"sigma": 1.25, "binary": False})
    yield Sample("m2s", "binary", (_leaf(vertices), faces, size), {"sigma": 1.25})
    yield Sample("m2s", "window", (_leaf(vertices), faces, size), {"sigma": 1.25, "window": 2.0, "gain": 2.0})
    yield Sample("m2s", "exact", (_leaf(vertices), faces, size), {"sigma": 1.25, "exact": True, "gain": 2.0})
    yield Sample(
        "m2s",
        "3d, int32, radius",
        (_leaf(solid), faces.int(), size),
        {"sigma": 0.7, "blur_radius": 4.0, "binary": False},
    )
    for dtype in (torch.float32, torch.float64):
        leaf = _leaf(vertices.to(dtype))
        yield Sample("m2s_coverage", str(dtype), (leaf, faces, size, 1.25, 12.0))
        yield Sample("m2s_silhouette", str(dtype), (leaf, faces, size, 1.25, 12.0))
    double = vertices.double()
    coverage = torch.ops.topo.m2s(double, faces, size, sigma=1.25, binary=False)
    grad = random(7, *coverage.shape)
    yield Sample("m2s_backward", "double", (grad, double, faces, coverage, 1.25, 12.0))
    images = torch.ops.topo.m2s_silhouette(double, faces, size, 1.25, 12.0)
    yield Sample("m2s_silhouette_backward", "double", (grad, double, faces, *images, 1.25, 12.0))
    yield Sample("rasterize", "float", (solid, faces, size))
    yield Sample("rasterize", "double", (solid.double(), faces.int(), size))


def all_samples() -> list[Sample]:
    return [
        *_s2d_samples(),
        *_edt_samples(),
        *_mask_samples(),
        *_d2t_samples(),
        *_skeleton_samples(),
        *_chamfer_samples(),
        *_mask_chamfer_samples(),
        *_renderer_samples(),
    ]
