"""s2d against the stacked convolution that it replaces, and against OpenCV and SciPy where they are installed.

    python benchmarks/bench_s2d.py
    python benchmarks/bench_s2d.py --sizes 224 --batches 1 16 --out benchmarks/results

Depth is the largest distance in the masks; the stacked convolution runs that many iterations and no more.
"outward" is the map of 1 - S, which is deep.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from common import HEAD, Row, compare, figures, show, write
from torch import Tensor

from topokernels import reference, s2d

# Pixels times iterations above which one backward of the stacked convolution takes seconds on a CPU.
CPU_BACKWARD_LIMIT = 1 << 23


def peers() -> Iterator[tuple[str, Callable[[np.ndarray], object]]]:
    """Chessboard distance transforms of one image (H, W) on the CPU."""
    try:
        import cv2

        cv2.setNumThreads(1)
        yield "opencv DIST_C", lambda mask: cv2.distanceTransform(mask, cv2.DIST_C, 3)
    except ImportError:
        print("opencv is not installed: left out")
    try:
        from scipy.ndimage import distance_transform_cdt

        yield "scipy cdt", lambda mask: distance_transform_cdt(mask, "chessboard")
    except ImportError:
        print("scipy is not installed: left out")


def gradient(function: Callable[[Tensor], Tensor], mask: Tensor) -> Callable[[], object]:
    """Forward and backward of a sum."""
    leaf = mask.clone().requires_grad_()

    def call() -> object:
        leaf.grad = None
        function(leaf).sum().backward()
        return leaf.grad

    return call


def rows_of(mask: Tensor, name: str, device: str, seconds: float) -> Iterator[Row]:
    """All comparisons for one batch of masks."""
    depth = int(s2d(mask).max())

    def row(direction: str, baseline: str, ours: Callable[[], object], theirs: Callable[[], object]) -> Row:
        numbers = compare(ours, theirs, device, seconds)
        return Row(name, direction, tuple(mask.shape), depth, "float32", device, baseline, *numbers)

    def stacked(values: Tensor) -> Tensor:
        return reference.s2d(values, iterations=depth)

    assert torch.equal(s2d(mask), stacked(mask))
    yield row("forward", "stacked conv", lambda: s2d(mask), lambda: stacked(mask))
    if device == "cuda" or mask.numel() * depth <= CPU_BACKWARD_LIMIT:
        yield row("forward+backward", "stacked conv", gradient(s2d, mask), gradient(stacked, mask))
    if device == "cpu":
        images = [np.ascontiguousarray(image) for image in mask[:, 0].numpy().astype(np.uint8)]
        for baseline, transform in peers():
            yield row(
                "forward",
                baseline,
                lambda: s2d(mask),
                lambda transform=transform: [transform(image) for image in images],
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 224, 512])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch")
    parser.add_argument("--seconds", type=float, default=1.0, help="measuring time of one comparison")
    parser.add_argument("--max-pixels", type=int, default=1 << 20, help="larger batches are left out")
    parser.add_argument("--out", type=Path, help="folder for s2d.json and s2d.md")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    rows = []
    print(HEAD)
    for size in args.sizes:
        for batch in args.batches:
            if batch * size * size > args.max_pixels:
                continue
            mask = figures(batch, size, args.device)
            for name, values in (("s2d", mask), ("outward", 1 - mask)):
                for row in rows_of(values, name, args.device, args.seconds):
                    rows.append(row)
                    show(row)
    if args.out:
        write(args.out, "s2d", rows, args.device, shlex.join(["python", *sys.argv]))


if __name__ == "__main__":
    main()
