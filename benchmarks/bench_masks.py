"""connected_components, fill_holes, thin and morphology compared with OpenCV, SciPy and scikit-image.

    python benchmarks/bench_masks.py
    python benchmarks/bench_masks.py --sizes 224 1024 --batches 1 --out benchmarks/results

Masks are bool for us and uint8 for the peers; rows "float32" start from float32 masks, which the peers do not take.
They are figures, their complements, and noise with a tenth, a half and four fifths of foreground. Rows "in a loop" keep
the last results or drop them, with other allocations in between. On CUDA the baseline "copy" moves the bytes that have
to be read and written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import peers
import torch
from common import Contest, main
from inputs import Batch, copy_of, rotate
from timing import Call, Loop
from torch import Tensor

import topokernels as tk

KINDS = ("inward", "outward", "sparse", "half", "shallow")


def contests(batch: Batch) -> Iterator[Contest]:
    masks = [mask.bool() for mask in batch.masks]
    if batch.device == "cuda":
        for name, function in {"connected_components": tk.connected_components, "thin": tk.thin}.items():
            yield Contest(name, "forward", rotate(function, masks), *copy_of(batch, 5), kernel=True)
        return
    for part in (components, skeletons, morphology):
        for contest in part(batch, masks):
            yield contest if "float32" in contest.op else replace(contest, dtype="bool")


def looped(batch: Batch, function: Callable[[np.ndarray], object]) -> Call:
    """A peer's function of one image, over the batch."""
    images = batch.images
    return lambda: [function(image) for image in images]


def components(batch: Batch, masks: list[Tensor]) -> Iterator[Contest]:
    if cv2 := peers.module("cv2"):
        cv2.setNumThreads(batch.threads)
        for connectivity in (8, 4):

            def theirs(image: np.ndarray, connectivity: int = connectivity) -> object:
                return cv2.connectedComponents(image, connectivity=connectivity)

            def ours(mask: Tensor, connectivity: int = connectivity) -> Tensor:
                return tk.connected_components(mask, connectivity=connectivity)

            baseline = looped(batch, theirs)
            name = f"components {connectivity}"
            yield Contest(name, "forward", rotate(ours, masks), "OpenCV", baseline)
            yield Contest(f"{name} float32", "forward", rotate(ours, batch.masks), "OpenCV", baseline)
            if len(batch.mask) == 1 and connectivity == 8:
                for what, kept in (("kept", 4), ("dropped", 0)):
                    pair = [Loop(call, kept, batch.mask) for call in (rotate(ours, masks), baseline)]
                    relu = Loop(rotate(torch.relu, batch.masks), kept, batch.mask)
                    yield Contest(f"{name} in a loop", "forward", pair[0], f"OpenCV, {what}", pair[1], relu=relu)

        def areas(mask: Tensor) -> object:
            return tk.connected_components(mask, return_areas=True)

        with_stats = looped(batch, cv2.connectedComponentsWithStats)
        yield Contest("components, areas", "forward", rotate(areas, masks), "OpenCV with stats", with_stats)
    if ndimage := peers.module("scipy.ndimage"):
        eight = np.ones((3, 3))
        theirs_8 = looped(batch, lambda image: ndimage.label(image, eight))
        yield Contest("components 8", "forward", rotate(tk.connected_components, masks), "SciPy label", theirs_8)
        filled = looped(batch, ndimage.binary_fill_holes)
        yield Contest("fill_holes", "forward", rotate(tk.fill_holes, masks), "SciPy", filled)


def skeletons(batch: Batch, masks: list[Tensor]) -> Iterator[Contest]:
    if morphology := peers.module("skimage.morphology"):

        def guo_hall(mask: Tensor) -> Tensor:
            return tk.thin(mask, method="guo-hall")

        images = [image.astype(bool) for image in batch.images]
        zhang_suen = rotate(tk.thin, masks)
        yield Contest(
            "thin zhang-suen", "forward", zhang_suen, "scikit-image", lambda: [*map(morphology.skeletonize, images)]
        )
        yield Contest(
            "thin guo-hall", "forward", rotate(guo_hall, masks), "scikit-image", lambda: [*map(morphology.thin, images)]
        )


def morphology(batch: Batch, masks: list[Tensor]) -> Iterator[Contest]:
    cv2 = peers.module("cv2")
    if not cv2 or batch.kind not in ("inward", "outward"):
        return
    for shape in ("disc", "square"):
        for radius in (1, 3, 10, 30):
            y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
            element = ((shape == "square") | (y * y + x * x <= radius * radius)).astype(np.uint8)

            def ours(mask: Tensor, radius: int = radius, shape: str = shape) -> Tensor:
                return tk.dilate(mask, radius, shape=shape)

            def theirs(image: np.ndarray, element: np.ndarray = element) -> object:
                return cv2.dilate(image, element)

            yield Contest(f"dilate, {shape} {radius}", "forward", rotate(ours, masks), "OpenCV", looped(batch, theirs))


if __name__ == "__main__":
    main("masks", __doc__, contests, kinds=KINDS)
