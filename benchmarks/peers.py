"""Distance transforms and skeletons of other libraries, if they are installed.

Each function yields (name, call) pairs for a batch. A library that is not installed is reported once and left out.
Libraries that take one image at a time are called in a loop over the batch. The Euclidean distance transforms and the
skeletons compute something else than our operators do; they are what a user would choose otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from types import ModuleType

import torch
from inputs import Batch
from timing import Call


@cache
def module(name: str) -> ModuleType | None:
    """The module, or None if it is not installed, which is printed."""
    try:
        return import_module(name)
    except ImportError:
        print(f"left out: {name} is not installed")
        return None


def distance_transforms(batch: Batch) -> Iterator[tuple[str, Call]]:
    """Distance to the background of every foreground pixel."""
    if batch.device == "cpu":
        images = batch.images
        if cv2 := module("cv2"):
            cv2.setNumThreads(batch.threads)
            yield "OpenCV DIST_C", lambda: [cv2.distanceTransform(image, cv2.DIST_C, 3) for image in images]
        if ndimage := module("scipy.ndimage"):
            yield "SciPy cdt", lambda: [ndimage.distance_transform_cdt(image, "chessboard") for image in images]
        if edt := module("edt"):
            yield "edt (Euclidean)", lambda: [edt.edt(image, parallel=batch.threads) for image in images]
    elif cupy := module("cupy"):
        planes = [cupy.from_dlpack(plane) for plane in batch.mask[:, 0].to(torch.uint8)]
        if cucim := module("cucim.core.operations.morphology"):
            yield "cuCIM edt (Euclidean)", lambda: [cucim.distance_transform_edt(plane) for plane in planes]
        elif hasattr(ndimage := import_module("cupyx.scipy.ndimage"), "distance_transform_edt"):
            yield "CuPy edt (Euclidean)", lambda: [ndimage.distance_transform_edt(plane) for plane in planes]
    if kornia := module("kornia.contrib"):
        background = 1 - batch.mask  # kornia measures the distance to the nearest non-zero pixel
        yield "kornia (Euclidean)", lambda: kornia.distance_transform(background)


def euclidean_transforms(batch: Batch) -> Iterator[tuple[str, Call]]:
    """Exact Euclidean distance to the background of every foreground pixel."""
    if batch.device == "cpu":
        images = batch.images
        if cv2 := module("cv2"):
            cv2.setNumThreads(batch.threads)
            precise = cv2.DIST_MASK_PRECISE
            yield "OpenCV PRECISE", lambda: [cv2.distanceTransform(image, cv2.DIST_L2, precise) for image in images]
        if ndimage := module("scipy.ndimage"):
            yield "SciPy edt", lambda: [ndimage.distance_transform_edt(image) for image in images]
    for name, call in distance_transforms(batch):
        if "edt" in name:
            yield name, call


def skeletons(batch: Batch) -> Iterator[tuple[str, Call]]:
    """Skeletons of masks; each library has its own definition."""
    if batch.device == "cpu":
        images = [image.astype(bool) for image in batch.images]
        if morphology := module("skimage.morphology"):
            yield "skimage skeletonize", lambda: [morphology.skeletonize(image) for image in images]
            yield "skimage medial_axis", lambda: [morphology.medial_axis(image, rng=0) for image in images]
    if cldice := module("monai.losses.cldice"):
        yield "MONAI soft_skel", lambda: cldice.soft_skel(batch.mask, batch.steps)
