"""Sets of crops on disk: images and masks, and the truth about them where it is known.

A folder with ``images.npy``, ``masks.npy`` and ``labels.npz``, all readable without this project, and
``domain.json``, which says how it was made. Equal settings give equal files, until `FILMS` is raised.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from adaptation.bodies.body import Body
from adaptation.recording.crops import resample
from adaptation.support.errors import UserError
from adaptation.support.files import whole_file, writing
from adaptation.support.workers import side_by_side
from adaptation.synthetic.clothes import Dresser
from adaptation.synthetic.film import Clip, sample_clip
from adaptation.synthetic.looks import SITE, SOURCE, STYLE, LookFamily
from adaptation.synthetic.masks import degraded

Split = Literal["train", "adapt", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
MaskKind = Literal["truth", "subtracted", "degraded"]
MASK_KINDS: tuple[MaskKind, ...] = get_args(MaskKind)
FAMILIES: dict[str, LookFamily] = {"source": SOURCE, "style": STYLE, "site": SITE}

FILMS = 2
"""Raised whenever equal settings give other masks than before; 2 tells dark clothes from shadows."""
FRAMES = 12  # per clip: enough for the median of the empty scene
MARGIN = 0.2  # around the person, as a fraction of the longer side, as in adaptation.recording.crops
_HEIGHT = 1.6  # of the frames, in sides of the crop


@dataclass(frozen=True)
class DomainSettings:
    """What a set is made of.

    Attributes:
        family: of looks, "source", "style", or "site", which is "style" before one camera.
        split: "train", "adapt" or "test"; no two share a person, a pose or, but for "site", a scene.
        count: crops, rounded up to whole clips of 12.
        size: side of the crops in pixels.
        seed: of everything random.
    """

    family: str = "source"
    split: Split = "train"
    count: int = 1200
    size: int = 112
    seed: int = 0

    @property
    def clips(self) -> int:
        """How many clips are filmed."""
        return math.ceil(self.count / FRAMES)


@dataclass(frozen=True, eq=False)
class Domain:
    """N crops of S x S pixels. Arrays may be memory-mapped; the truth is None where nobody knows it.

    Attributes:
        images: (N, S, S, 3) uint8 RGB.
        masks: (N, 3, S, S) uint8 of 0 and 1: exact, from background subtraction, degraded; for recordings all
            three are the mask that was found.
        clip: (N,) int64, number of the recording, for what goes by recording.
        pose: (N, 24, 3) axis-angle, joint 0 the global orientation in camera axes.
        betas: (N, 10).
        camera: (N, 3) weak perspective of the crop.
        keypoints: (N, 24, 3) what a detector says about the joints: x and y in crop pixels, and confidence, 0 where
            a joint was not found. Not a label: `adaptation.data.keypoints`.
    """

    images: npt.NDArray[np.uint8]
    masks: npt.NDArray[np.uint8]
    clip: npt.NDArray[np.int64]
    pose: npt.NDArray[np.float32] | None = None
    betas: npt.NDArray[np.float32] | None = None
    camera: npt.NDArray[np.float32] | None = None
    keypoints: npt.NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def size(self) -> int:
        """S."""
        return int(self.images.shape[1])

    @property
    def labelled(self) -> bool:
        """Whether the truth is known."""
        return self.pose is not None and self.betas is not None and self.camera is not None

    def take(self, index: npt.NDArray[np.int64] | slice) -> Domain:
        """Some of the crops, with what is known about them."""
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        return Domain(**{name: None if array is None else array[index] for name, array in arrays.items()})

    def image_batch(self, index: npt.NDArray[np.int64] | slice, device: str = "cpu") -> Tensor:
        """RGB (B, 3, S, S) in [0, 1], on a device."""
        return torch.from_numpy(np.array(self.images[index])).to(device).permute(0, 3, 1, 2).float() / 255

    def mask_batch(self, index: npt.NDArray[np.int64] | slice, kind: MaskKind = "truth", device: str = "cpu") -> Tensor:
        """Masks (B, 1, S, S) of 0 and 1, on a device."""
        chosen = np.array(self.masks[index, MASK_KINDS.index(kind)])
        return torch.from_numpy(chosen).to(device).float().unsqueeze(1)

    def save(self, folder: Path, settings: dict[str, Any]) -> None:
        """Write the set into a folder, which is made where it does not exist; the settings come last."""
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        for name in ("images", "masks"):
            with whole_file(folder / f"{name}.npy") as file:
                np.save(file, getattr(self, name))
        self.save_labels(folder)
        with whole_file(folder / "domain.json") as file:
            file.write((json.dumps(settings, indent=2) + "\n").encode())

    def save_labels(self, folder: Path) -> None:
        """Write again what is known about the crops of a folder, beside images and masks; arrays of others stay."""
        labels = {name: getattr(self, name) for name in _LABELS if getattr(self, name) is not None}
        if (folder / "labels.npz").exists():
            with np.load(folder / "labels.npz", allow_pickle=False) as data:
                labels = {**{name: data[name] for name in data if name not in _LABELS}, **labels}
        with whole_file(folder / "labels.npz") as file:
            np.savez(file, **labels)

    @classmethod
    def load(cls, folder: Path) -> Domain:
        """Read such a folder; images and masks stay on disk.

        Raises:
            UserError: missing, incomplete, or arrays that do not fit together.
        """
        try:
            images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
            masks = np.load(folder / "masks.npy", mmap_mode="r", allow_pickle=False)
            with np.load(folder / "labels.npz", allow_pickle=False) as data:
                labels = {name: data[name] for name in _LABELS if name in data}
        except Exception as error:  # np.load has no common error of its own
            raise UserError(f"{folder} is not a set of crops: {error}") from None
        if not all(isinstance(array, np.ndarray) and array.ndim == 4 for array in (images, masks)):
            raise UserError(f"{folder}: images must have shape (N, S, S, 3), masks (N, 3, S, S)")
        count, size = images.shape[:2]
        if count == 0:
            raise UserError(f"{folder} holds no crops")
        wanted: dict[str, tuple[int, ...]] = {
            "images": (count, size, size, 3), "masks": (count, 3, size, size), "clip": (count,),
            "pose": (count, 24, 3), "betas": (count, 10), "camera": (count, 3),
            "keypoints": (count, 24, 3),
        }  # fmt: skip
        if "clip" not in labels:
            raise UserError(f"{folder} is not a set of crops: labels.npz has no clip")
        for name, array in {"images": images, "masks": masks, **labels}.items():
            if array.shape != wanted[name]:
                raise UserError(f"{folder}: {name} must have shape {wanted[name]}, got {array.shape}")
            kind = {"images": np.uint8, "masks": np.uint8, "clip": np.int64}.get(name, np.float32)
            if array.dtype != kind:
                raise UserError(f"{folder}: {name} must be {np.dtype(kind)}, got {array.dtype}")
            if name not in ("images", "masks") and not np.isfinite(array).all():
                raise UserError(f"{folder}: {name} has numbers that are not finite")
        if masks[0].max() > 1:  # the others are left on disk
            raise UserError(f"{folder}: masks must hold 0 and 1, got {masks[0].max()}")
        return cls(images, masks, **labels)


_LABELS = tuple(field.name for field in fields(Domain) if field.name not in ("images", "masks"))


def make_domain(settings: DomainSettings, *, workers: int = 1, progress: Callable[[int], None] | None = None) -> Domain:
    """Film clips of a family and cut out the people.

    Args:
        settings: what to film.
        workers: processes; the result is the same for any number.
        progress: called with the number of crops done since the last call.

    Raises:
        UserError: unknown family or split, or sizes that make no sense.
    """
    if settings.family not in FAMILIES:
        raise UserError(f"domain must be one of {', '.join(FAMILIES)}, got {settings.family!r}")
    if settings.split not in SPLITS:
        raise UserError(f"split must be one of {', '.join(SPLITS)}, got {settings.split!r}")
    if settings.count < 1 or settings.size < 32:
        raise UserError(f"wanted at least 1 crop of 32 pixels, got {settings.count} of {settings.size}")
    parts = []
    jobs = [(settings, number) for number in range(settings.clips)]
    films: Iterable[Domain]
    if workers > 1:
        films = side_by_side(_film, jobs, workers)
    else:
        films = map(_film, jobs)
    for part in films:
        parts.append(part)
        if progress:
            progress(FRAMES)
    made = [field.name for field in fields(Domain) if field.name != "keypoints"]
    return Domain(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in made})


_BODY: dict[str, tuple[Body, Dresser]] = {}


def _film(job: tuple[DomainSettings, int]) -> Domain:
    """One clip, cut into crops. Its random numbers depend on the settings and its number alone."""
    settings, number = job
    if not _BODY:
        body = Body.free()
        _BODY["free"] = body, Dresser(body)
    body, dresser = _BODY["free"]
    family = list(FAMILIES).index(settings.family)
    rng = np.random.default_rng([settings.seed, family, SPLITS.index(settings.split), number])
    looks = FAMILIES[settings.family]
    camera = np.random.default_rng([settings.seed, family]) if looks.one_camera else rng
    clip = sample_clip(looks, body, dresser, FRAMES, round(_HEIGHT * settings.size), rng, camera)
    return _cut(clip, number, settings.size, rng)


def _cut(clip: Clip, number: int, size: int, rng: np.random.Generator) -> Domain:
    images = np.empty((FRAMES, size, size, 3), np.uint8)
    masks = np.zeros((FRAMES, 3, size, size), np.uint8)
    camera = np.empty((FRAMES, 3), np.float32)
    for t in range(FRAMES):
        ys, xs = np.nonzero(clip.truth[t])
        width, height = xs.max() + 1 - xs.min(), ys.max() + 1 - ys.min()
        # Boxes of detectors are not exact.
        side = (1 + 2 * MARGIN) * max(width, height) * rng.uniform(0.93, 1.07)
        left = (xs.min() + xs.max() + 1 - side) / 2 + side * rng.uniform(-0.03, 0.03)
        top = (ys.min() + ys.max() + 1 - side) / 2 + side * rng.uniform(-0.03, 0.03)
        cropped = resample(clip.images[t].astype(np.float32), left, top, side, size, border=cv2.BORDER_REPLICATE)
        images[t] = np.rint(cropped)
        for kind, source in enumerate((clip.truth[t], clip.subtracted[t])):
            masks[t, kind] = resample(source.astype(np.float32), left, top, side, size) >= 0.5
        masks[t, 2] = degraded(masks[t, 0] > 0, rng)
        scale, x, y = clip.projection[t].tolist()
        s = 2 * scale / side
        camera[t] = s, (2 * (x - left) / side - 1) / s, (2 * (y - top) / side - 1) / s
    return Domain(
        images=images,
        masks=masks,
        clip=np.full(FRAMES, number, np.int64),
        pose=clip.pose.numpy(),
        betas=clip.betas.numpy()[None].repeat(FRAMES, 0),
        camera=camera,
    )
