"""d2t compared with its composition of torch operators, and skeleton with the skeletons of other libraries.

    python benchmarks/bench_d2t.py
    python benchmarks/bench_d2t.py --sizes 224 --batches 1 16 --out benchmarks/results

Rows "d2t" start from the distance map and the mask; the baseline "max_pool2d" is max-pooling, subtraction, relu and
product. Rows "skeleton" start from the mask. The other libraries define skeletons differently (thin, connected or
soft). l is the number of iterations of the soft skeleton and of the stacked convolution.
"""

from __future__ import annotations

from collections.abc import Iterator

import peers
import torch
from common import Contest, main
from inputs import Batch, copy_of, gradient, rotate
from torch import Tensor

from topokernels import d2t, reference, s2d, skeleton


def contests(batch: Batch) -> Iterator[Contest]:
    def stacked(mask: Tensor) -> Tensor:
        return reference.d2t(reference.s2d(mask, iterations=batch.steps), mask)

    def backward(grad: Tensor, distance: Tensor, mask: Tensor, ridges: Tensor) -> tuple[Tensor, Tensor]:
        return torch.ops.topo.d2t_backward.default(grad, distance, mask, ridges, 3, "subgradient")

    masks, distances = batch.masks, [s2d(mask) for mask in batch.masks]
    assert torch.equal(d2t(distances[0], masks[0]), reference.d2t(distances[0], masks[0]))
    ours, both = rotate(d2t, distances, masks), gradient(d2t, distances, masks)
    yield Contest("d2t", "forward", ours, "max_pool2d", rotate(reference.d2t, distances, masks))
    yield Contest("d2t", "forward+backward", both, "max_pool2d", gradient(reference.d2t, distances, masks))
    if batch.device == "cuda":
        ridges = [d2t(*pair) for pair in zip(distances, masks, strict=True)]
        grads = [torch.rand_like(mask) for mask in masks]
        yield Contest("d2t", "forward", ours, *copy_of(batch, 12), kernel=True)
        last = rotate(backward, grads, distances, masks, ridges)
        yield Contest("d2t", "backward", last, *copy_of(batch, 24), kernel=True)
    ours, both = rotate(skeleton, masks), gradient(skeleton, masks)
    yield Contest("skeleton", "forward", ours, "stacked conv", rotate(stacked, masks))
    yield Contest("skeleton", "forward+backward", both, "stacked conv", gradient(stacked, masks))
    for name, peer in peers.skeletons(batch):
        yield Contest("skeleton", "forward", ours, name, peer)
    if cldice := peers.module("monai.losses.cldice"):
        soft = gradient(lambda mask: cldice.soft_skel(mask, batch.steps), masks)
        yield Contest("skeleton", "forward+backward", both, "MONAI soft_skel", soft)


if __name__ == "__main__":
    main("d2t", __doc__, contests)
