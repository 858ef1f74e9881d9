"""s2d compared with the stacked convolution that it replaces and with the distance transforms of other libraries.

    python benchmarks/bench_s2d.py
    python benchmarks/bench_s2d.py --sizes 224 --batches 1 16 --out benchmarks/results

l is the number of iterations of the stacked convolution: 26 at 224 px for the inward map of figures, half the image
size for their outward map, and the depth of the map for the other masks. s2d itself does not get this number. On the
CPU the baseline "1 thread" is s2d on one thread, compared with s2d on all cores. "s2d in a loop" keeps its last four
results or drops them, and so does its baseline; page faults per call are reported beside those of torch.relu. On CUDA
the baseline "copy" moves the same number of bytes, and rows marked * are kernel times without launches.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import peers
import torch
from common import Contest, Memory, main
from inputs import Batch, copy_of, gradient, rotate
from timing import Call, Loop, peak_bytes
from torch import Tensor

from topokernels import reference

s2d = torch.ops.topo.s2d
CORES = len(os.sched_getaffinity(0))


def contests(batch: Batch) -> Iterator[Contest]:
    def stacked(mask: Tensor) -> Tensor:
        return reference.s2d(mask, iterations=batch.steps)

    def backward(grad: Tensor, mask: Tensor) -> Tensor:
        return torch.ops.topo.s2d_backward.default(grad, mask, None, 3, False, False, "subgradient")

    if batch.mask.shape[-1] == 64:
        assert torch.equal(s2d(batch.mask[:1]), stacked(batch.mask[:1]))
    ours, both = rotate(s2d, batch.masks), gradient(s2d, batch.masks)
    yield Contest("s2d", "forward", ours, "stacked conv", rotate(stacked, batch.masks))
    yield Contest("s2d", "forward+backward", both, "stacked conv", gradient(stacked, batch.masks))
    for name, transform in peers.distance_transforms(batch):
        yield Contest("s2d", "forward", ours, name, transform)
    if batch.device == "cuda":
        grads = [torch.rand_like(mask) for mask in batch.masks]
        yield Contest("s2d", "forward", ours, *copy_of(batch, 8), kernel=True)
        yield Contest("s2d", "backward", rotate(backward, grads, batch.masks), *copy_of(batch, 12), kernel=True)
    if batch.device == "cpu" and len(batch.mask) == 1 and batch.kind in ("inward", "outward"):
        yield from loops(batch, ours)
    if batch.device == "cpu" and CORES > 1 and len(batch.mask) >= 2 * CORES and batch.kind == "inward":
        for direction, call in (("forward", ours), ("forward+backward", both)):
            one, every = (with_threads(count, call, batch.threads) for count in (1, CORES))
            yield Contest("s2d", direction, every, "1 thread", one, threads=CORES)


def loops(batch: Batch, ours: Call) -> Iterator[Contest]:
    """Loops that keep or drop results between other allocations; a fresh result costs many page faults."""
    for what, kept in (("kept", 4), ("dropped", 0)):

        def loop(call: Call, kept: int = kept) -> Loop:
            return Loop(call, kept, batch.mask)

        for name, transform in peers.distance_transforms(batch):
            if name.startswith("OpenCV"):
                relu = loop(rotate(torch.relu, batch.masks))
                baseline = f"{name}, {what}"
                yield Contest("s2d in a loop", "forward", loop(ours), baseline, loop(transform), relu=relu)


def with_threads(count: int, call: Call, usual: int) -> Call:
    """The call with ``count`` threads of torch, ``usual`` threads afterwards."""

    def run() -> None:
        torch.set_num_threads(count)
        call()
        torch.set_num_threads(usual)

    return run


def memory(batch: Batch) -> Iterator[Memory]:
    """Forward and backward of ours and of the stacked convolution, which keeps the result of every iteration."""
    size, shape = batch.mask.nbytes, tuple(batch.mask.shape)

    def peak(implementation: str, function: Call) -> Memory:
        # Inputs: mask and incoming gradient. Outputs: distance map and outgoing gradient.
        return Memory("s2d", shape, implementation, peak_bytes(function, 2 * size), 4 * size)

    yield peak("ours", gradient(s2d, [batch.mask]))
    torch.cuda.empty_cache()
    if 3 * size * batch.steps < torch.cuda.mem_get_info()[0]:
        stacked = gradient(lambda mask: reference.s2d(mask, iterations=batch.steps), [batch.mask])
        yield peak(f"stacked conv, l = {batch.steps}", stacked)


if __name__ == "__main__":
    main("s2d", __doc__, contests, memory)
