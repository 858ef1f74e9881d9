"""The fused operators compared with compositions of our own operators and with stacked convolutions in eager torch.

    python benchmarks/bench_topology_loss.py
    python benchmarks/bench_topology_loss.py --sizes 224 --batches 1 16 --out benchmarks/results

"skeleton" is d2t of s2d. "mask_chamfer" computes both chamfer terms of a mask and a fixed target. "chamfer of T" does
the same for the skeleton of a mask, as in one step of a fit with L_T. "topology_loss" is L_T of two masks. The baseline
"composed" calls s2d, d2t, s2d and chamfer one after the other. The stacked convolution runs l iterations for each map,
l being the depth of the deepest one. The masks are figures, the targets the same figures shifted by three pixels;
"outward" masks are the complements of figures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from common import Contest, Memory, main
from inputs import Batch, copy_of, gradient, rotate, steps_of
from timing import Call, peak_bytes
from torch import Tensor

from topokernels import d2t, mask_chamfer, reference, s2d, skeleton, topology_loss

Function = Callable[..., Tensor | tuple[Tensor, ...]]


def composed_skeleton(mask: Tensor) -> Tensor:
    """The skeleton T of a mask."""
    return d2t(s2d(mask), mask)


def composed_chamfer(pred: Tensor, target: Tensor, target_map: Tensor) -> tuple[Tensor, ...]:
    """Pull and push of a mask."""
    return torch.ops.topo.chamfer.default(pred, target, s2d(1 - pred), target_map)


def composed_skeleton_chamfer(pred: Tensor, target: Tensor, target_map: Tensor) -> tuple[Tensor, ...]:
    """Pull and push of the skeleton of a mask."""
    return composed_chamfer(composed_skeleton(pred), target, target_map)


def composed_loss(pred: Tensor, target: Tensor) -> Tensor:
    """L_T per image."""
    ridges = composed_skeleton(target)
    return torch.add(*composed_skeleton_chamfer(pred, ridges, s2d(1 - ridges)))


def fused_loss(pred: Tensor, target: Tensor) -> Tensor:
    """L_T per image."""
    return topology_loss(pred, target, reduction="none")


def skeleton_chamfer(pred: Tensor, target: Tensor, target_map: Tensor) -> tuple[Tensor, ...]:
    """Pull and push of the skeleton of a mask, fused."""
    return mask_chamfer(pred, target, target_map, skeletons=True)


def contests(batch: Batch) -> Iterator[Contest]:
    preds, targets = batch.masks, [mask.roll(3, dims=-1) for mask in batch.masks]
    ridges = [skeleton(mask) for mask in targets]
    target_maps, ridge_maps = ([s2d(1 - mask) for mask in masks] for masks in (targets, ridges))
    steps = max(steps_of(1 - ridges[0]), steps_of(1 - skeleton(preds[0])), batch.steps)

    def stacked_skeleton(mask: Tensor) -> Tensor:
        return reference.d2t(reference.s2d(mask, iterations=steps), mask)

    def stacked_chamfer(pred: Tensor, target: Tensor, target_map: Tensor) -> tuple[Tensor, ...]:
        return reference.chamfer(pred, target, reference.s2d(1 - pred, iterations=steps), target_map)

    def stacked_skeleton_chamfer(pred: Tensor, target: Tensor, target_map: Tensor) -> tuple[Tensor, ...]:
        return stacked_chamfer(stacked_skeleton(pred), target, target_map)

    def stacked_loss(pred: Tensor, target: Tensor) -> Tensor:
        return reference.topology_loss(pred, target, iterations=steps)

    two, known, known_ridges = (preds, targets), (preds, targets, target_maps), (preds, ridges, ridge_maps)
    contenders: list[tuple[str, Function, Function, Function, tuple[list[Tensor], ...], int]] = [
        ("skeleton", skeleton, composed_skeleton, stacked_skeleton, (preds,), 8),
        ("mask_chamfer", mask_chamfer, composed_chamfer, stacked_chamfer, known, 12),
        ("chamfer of T", skeleton_chamfer, composed_skeleton_chamfer, stacked_skeleton_chamfer, known_ridges, 12),
        ("topology_loss", fused_loss, composed_loss, stacked_loss, two, 8),
    ]
    for op, fused, composed, stacked, arguments, bytes_per_pixel in contenders:
        if batch.mask.shape[-1] == 64:
            results = [function(*(values[0] for values in arguments)) for function in (fused, composed, stacked)]
            torch.testing.assert_close(results[0], results[1])
            torch.testing.assert_close(results[0], results[2])
        for direction, of in (("forward", rotate), ("forward+backward", gradient)):
            ours = of(fused, *arguments)
            yield Contest(op, direction, ours, "composed", of(composed, *arguments), steps=steps)
            yield Contest(op, direction, ours, "stacked conv", of(stacked, *arguments), steps=steps)
        if batch.device == "cuda":
            ours = rotate(fused, *arguments)
            yield Contest(op, "forward", ours, *copy_of(batch, bytes_per_pixel), kernel=True, steps=steps)


def memory(batch: Batch) -> Iterator[Memory]:
    """Forward and backward of the loss of two masks, fused and composed."""
    size, shape, target = batch.mask.nbytes, tuple(batch.mask.shape), batch.mask.roll(3, dims=-1)
    for implementation, function in (("fused", fused_loss), ("composed", composed_loss)):
        call: Call = gradient(function, [batch.mask], [target])
        # Inputs and outputs are two masks and a gradient.
        yield Memory("topology_loss", shape, implementation, peak_bytes(call, 2 * size), 3 * size)


if __name__ == "__main__":
    main("topology_loss", __doc__, contests, memory, kinds=("inward", "outward"))
