"""edt compared with the Euclidean distance transforms of other libraries.

    python benchmarks/bench_edt.py
    python benchmarks/bench_edt.py --sizes 224 --batches 1 --out benchmarks/results

"backward" is edt_backward alone, compared with the forward pass ("own forward"). On CUDA the baseline "copy" moves the
same number of bytes, and rows marked * are kernel times without launches.
"""

from __future__ import annotations

from collections.abc import Iterator

import peers
import torch
from common import Contest, main
from inputs import Batch, copy_of, rotate
from torch import Tensor


def contests(batch: Batch) -> Iterator[Contest]:
    def forward(mask: Tensor) -> Tensor:
        return torch.ops.topo.edt.default(mask)

    def backward(grad: Tensor, mask: Tensor) -> Tensor:
        return torch.ops.topo.edt_backward.default(grad, mask, False, False, None, False)

    ours, grads = rotate(forward, batch.masks), [torch.rand_like(mask) for mask in batch.masks]
    for name, transform in peers.euclidean_transforms(batch):
        yield Contest("edt", "forward", ours, name, transform)
    back = rotate(backward, grads, batch.masks)
    yield Contest("edt", "backward", back, "own forward", ours)
    if batch.device == "cuda":
        yield Contest("edt", "forward", ours, *copy_of(batch, 8), kernel=True)
        yield Contest("edt", "backward", back, *copy_of(batch, 12), kernel=True)


if __name__ == "__main__":
    main("edt", __doc__, contests)
