"""chamfer compared with its composition of torch operators, from four maps and from two masks.

    python benchmarks/bench_chamfer.py
    python benchmarks/bench_chamfer.py --sizes 224 --batches 1 16 --out benchmarks/results

"chamfer maps" gets both distance maps, "chamfer cached" only that of the target, as in a fit, and "chamfer" only the
masks. The stacked convolution computes the missing maps, each in l iterations, l being the depth of the map. The OpenCV
baseline computes them with DIST_C and sums with NumPy. The masks are figures, the targets the same figures shifted by
three pixels; "outward" masks are the complements of figures, whose maps are shallow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import peers
import torch
from common import Contest, main
from inputs import Batch, copy_of, gradient, rotate, steps_of
from torch import Tensor

from topokernels import chamfer, reference, s2d

Function = Callable[..., Tensor]


def contests(batch: Batch) -> Iterator[Contest]:
    preds, targets = batch.masks, [mask.roll(3, dims=-1) for mask in batch.masks]
    pred_maps, target_maps = ([s2d(1 - mask) for mask in masks] for masks in (preds, targets))
    steps = steps_of(1 - preds[0])

    def given(*maps: Tensor) -> Tensor:
        return torch.add(*torch.ops.topo.chamfer.default(*maps))

    def torch_given(*maps: Tensor) -> Tensor:
        return torch.add(*reference.chamfer(*maps))

    def masks_only(pred: Tensor, target: Tensor) -> Tensor:
        return chamfer(pred, target, reduction="none")

    def cached(pred: Tensor, target: Tensor, target_map: Tensor) -> Tensor:
        return chamfer(pred, target, target_distance=target_map, reduction="none")

    def stacked_cached(pred: Tensor, target: Tensor, target_map: Tensor) -> Tensor:
        pred_map = reference.s2d(1 - pred, iterations=steps)
        return torch.add(*reference.chamfer(pred, target, pred_map, target_map))

    def stacked(pred: Tensor, target: Tensor) -> Tensor:
        return stacked_cached(pred, target, reference.s2d(1 - target, iterations=steps))

    def pair(op: str, ours: Function, baseline: str, theirs: Function, *arguments: list[Tensor]) -> Iterator[Contest]:
        for direction, of in (("forward", rotate), ("forward+backward", gradient)):
            yield Contest(op, direction, of(ours, *arguments), baseline, of(theirs, *arguments), steps=steps)

    four = (preds, targets, pred_maps, target_maps)
    yield from pair("chamfer maps", given, "torch", torch_given, *four)
    yield from pair("chamfer cached", cached, "stacked conv", stacked_cached, preds, targets, target_maps)
    yield from pair("chamfer", masks_only, "stacked conv", stacked, preds, targets)
    if batch.mask.shape[-1] == 64:
        torch.testing.assert_close(masks_only(preds[0], targets[0]), stacked(preds[0], targets[0]))
    if batch.device == "cuda":
        copied = {"kernel": True, "steps": steps}
        ours = rotate(torch.ops.topo.chamfer.default, *four)
        yield Contest("chamfer maps", "forward", ours, *copy_of(batch, 16), **copied)
        yield Contest(
            "chamfer cached", "forward", rotate(cached, preds, targets, target_maps), *copy_of(batch, 12), **copied
        )
        yield Contest("chamfer", "forward", rotate(masks_only, preds, targets), *copy_of(batch, 10), **copied)
    elif cv2 := peers.module("cv2"):
        cv2.setNumThreads(batch.threads)
        arrays = [masks[0].to(torch.uint8).numpy()[:, 0] for masks in (preds, targets)]

        def opencv() -> list[float]:
            return [opencv_chamfer(cv2, *images) for images in zip(*arrays, strict=True)]

        yield Contest("chamfer", "forward", rotate(masks_only, preds, targets), "OpenCV DIST_C", opencv, steps=steps)


def opencv_chamfer(cv2, pred: np.ndarray, target: np.ndarray) -> float:
    """Chamfer distance of two uint8 masks (H, W)."""
    pred_map, target_map = (cv2.distanceTransform(1 - mask, cv2.DIST_C, 3) for mask in (pred, target))
    return float(np.vdot(pred_map, target) + np.vdot(target_map, pred))


if __name__ == "__main__":
    main("chamfer", __doc__, contests, kinds=("inward", "outward"))
