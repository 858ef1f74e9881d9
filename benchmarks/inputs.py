"""The inputs of the benchmarks: four kinds of masks, with enough copies that the GPU's cache stays cold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle
from math import ceil

try:
    import numpy as np
except ImportError:  # the operators do not need it
    raise SystemExit("The benchmarks need NumPy: pip install numpy") from None
import torch
from timing import Call
from torch import Tensor

from topokernels import s2d

KINDS = ("inward", "outward", "shallow", "deep")
NOISE = {"shallow": 0.8, "half": 0.5, "sparse": 0.1}  # share of foreground
CACHED = 16 << 20  # bytes; CUDA batches of at least this size rotate through copies of their inputs
ROTATED = 256 << 20  # bytes of all copies together: several times the size of any L2 cache


@dataclass(frozen=True)
class Batch:
    """One point of a benchmark."""

    kind: str
    masks: list[Tensor]  # (B, 1, n, n) each, float32, 0 and 1, all with the same content
    steps: int  # iterations that the stacked convolution runs on them
    device: str
    threads: int

    @property
    def mask(self) -> Tensor:
        """The first of the copies."""
        return self.masks[0]

    @property
    def images(self) -> list[np.ndarray]:
        """One uint8 array (n, n) per image, for peers that take one image at a time."""
        return list(np.ascontiguousarray(self.mask[:, 0].cpu().numpy().astype(np.uint8)))


def batch_of(kind: str, count: int, size: int, device: str, threads: int) -> Batch:
    """Masks of one kind, and the iterations that the stacked convolution needs for them.

    inward: figures, with 26 iterations at 224 px. outward: 1 - figures, with half the image size. shallow, half,
    sparse: noise with the foreground of NOISE. deep: foreground except for one corner. For all but the first two, the
    number of iterations is the depth of the map.
    """
    if kind in ("inward", "outward"):
        mask = figures(count, size, device)
        mask = mask if kind == "inward" else 1 - mask
        steps = ceil(size * 26 / 224) if kind == "inward" else size // 2
    else:
        rng = np.random.default_rng(0)
        one = rng.random((1, 1, size, size)) < NOISE[kind] if kind in NOISE else np.ones((1, 1, size, size))
        one[..., 0, 0] = 0
        mask = torch.from_numpy(one.astype(np.float32)).to(device).repeat(count, 1, 1, 1)
        steps = steps_of(mask[:1])
    copies = 1
    if device == "cuda" and mask.nbytes >= CACHED:
        copies = max(2, ceil(ROTATED / mask.nbytes))
    return Batch(kind, [mask.clone() for _ in range(copies)], steps, device, threads)


def steps_of(mask: Tensor) -> int:
    """Iterations after which the stacked convolution has completed the distance map."""
    return max(int(s2d(mask).max()) - 1, 0)


def rotate(function: Callable[..., object], *arguments: list[Tensor]) -> Call:
    """A call that takes the next entry of each list of arguments every time."""
    sets = cycle(list(zip(*arguments, strict=True)))
    return lambda: function(*next(sets))


def gradient(function: Callable[..., Tensor | tuple[Tensor, ...]], *arguments: list[Tensor]) -> Call:
    """Forward, and the gradient of the first argument for an upstream gradient of ones; rotates like :func:`rotate`."""
    leaves = [values.clone().requires_grad_() for values in arguments[0]]
    ones: list[Tensor] = []

    def call(leaf: Tensor, *others: Tensor) -> Tensor:
        results = function(leaf, *others)
        results = results if isinstance(results, tuple) else (results,)
        if not ones:
            ones.extend(torch.ones_like(result) for result in results)
        return torch.autograd.grad(results, leaf, ones)[0]

    return rotate(call, leaves, *arguments[1:])


def copy_of(batch: Batch, bytes_per_pixel: int) -> tuple[str, Call]:
    """Name and call of a device copy that moves ``bytes_per_pixel``, half of them read and half written."""
    size = batch.mask.numel() * bytes_per_pixel // 2
    sources = [torch.empty(size, dtype=torch.uint8, device=batch.device).random_() for _ in batch.masks]
    return f"copy, {bytes_per_pixel} B/px", rotate(torch.Tensor.clone, sources)


def figures(count: int, size: int, device: str, *, seed: int = 0) -> Tensor:
    """Masks (count, 1, size, size) of human-like figures, which fill about a fifth of the image.

    A figure consists of capsules for trunk, head and limbs. Large batches repeat a few figures, because drawing them
    takes longer than the measurement.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:size, 0:size] / size
    drawn = min(count, max(2, (1 << 22) // size**2))
    masks = np.zeros((drawn, 1, size, size), np.float32)
    for mask in masks:
        cx = 0.5 + rng.uniform(-0.05, 0.05)
        bones = [((cx, 0.3), (cx, 0.55), 0.11), ((cx, 0.16), (cx, 0.18), 0.07)]
        for side in (-1, 1):
            arm, leg = rng.uniform(0.1, 0.3), rng.uniform(0.02, 0.18)
            bones.append(((cx + side * 0.09, 0.3), (cx + side * (0.09 + arm), 0.3 + rng.uniform(0, 0.25)), 0.035))
            bones.append(((cx + side * 0.06, 0.55), (cx + side * (0.06 + leg), 0.92), 0.05))
        for (x0, y0), (x1, y1), radius in bones:
            dx, dy = x1 - x0, y1 - y0
            t = np.clip(((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy), 0, 1)
            mask[0] += (x - x0 - t * dx) ** 2 + (y - y0 - t * dy) ** 2 < radius**2
    few = torch.from_numpy((masks > 0).astype(np.float32)).to(device)
    return few.repeat(ceil(count / drawn), 1, 1, 1)[:count]
