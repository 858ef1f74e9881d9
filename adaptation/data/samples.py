"""Crop sets: images of people with optional labels.

On disk a set is a folder with ``images.npy``, ``masks.npy`` (if there are masks) and ``labels.npz``, which NumPy reads
without this project, and ``domain.json``, which describes how the set was made.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import roma
import torch
from torch import Tensor

from adaptation.bodies.body import FREE, Body
from adaptation.bodies.camera import WeakPerspective
from adaptation.bodies.joint_sets import JOINT_SETS, SMPL, JointSet
from adaptation.bodies.parameters import Bodies
from adaptation.bodies.views import View
from adaptation.support.errors import UserError
from adaptation.support.files import whole_file, writing
from adaptation.support.reading.array_files import names_of_arrays, open_mapped, read_arrays

MaskKind = Literal["truth", "subtracted", "degraded"]
MASK_KINDS: tuple[MaskKind, ...] = get_args(MaskKind)
Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Samples:
    """N crops of S x S pixels. Every part except the images may be None, which means that it is unknown.

    A part that only some crops have is stored for all crops, with ``has_`` flags that mark where it is known. Without
    flags, all crops have it. Keypoints and 3D joints carry confidences instead of flags, 0 where unknown. Arrays may be
    memory-mapped.

    Attributes:
        images: (N, S, S, 3) uint8 RGB.
        masks: (N, 3, S, S) uint8 of 0 and 1: exact masks, masks from background subtraction, degraded masks. Sets
            with one mask per crop repeat it.
        clip: (N,) int64 number of the sequence. Crops of one sequence are never split between training and held-out
            crops.
        subject: (N,) int64 number of the person.
        view: (N,) int64 number of the camera.
        frame: (N,) int64 number of the frame in its recording, from 0.
        box: (N, 4) float32 x, y, w, h of the crop in frame pixels.
        frame_size: (N, 2) float32 width and height of the frame, pixels.
        intrinsics: (N, 3, 3) float32 camera matrix of the frame, pixels.
        pose: (N, J, 3) float32 axis-angle, radians; joint 0 is the global orientation in camera axes.
        betas: (N, K) float32 shape coefficients of the body model ``body``.
        camera: (N, 3) float32 weak-perspective camera (s, tx, ty) of the crop.
        keypoints: (N, P, 3) float32 2D keypoints in the order of ``joint_set``: x and y in crop pixels, and
            confidence. They come from a detector or an annotator.
        head_size: (N,) float32 length of the head in crop pixels, by which PCKh divides; 0 where unknown.
        joints3d: (N, P, 4) float32 3D joints in the order of ``joint_set``: metres in camera axes, and confidence.
        vertices: (N, V, 3) float32 vertices in camera axes, metres.
        parts: (N, S, S) uint8 body part of each pixel, 0 for background.
        has_pose: (N,) bool, True for crops with pose and betas.
        has_camera: (N,) bool, True for crops with a camera.
        has_vertices: (N,) bool, True for crops with vertices.
        has_parts: (N,) bool, True for crops with a part map.
        joint_set: name of the joint set of ``keypoints`` and ``joints3d``.
        body: name of the body model that ``betas`` belong to (`adaptation.bodies.body.Body.name`).
    """

    images: npt.NDArray[np.uint8]
    masks: npt.NDArray[np.uint8] | None = None
    clip: Integers | None = None
    subject: Integers | None = None
    view: Integers | None = None
    frame: Integers | None = None
    box: Floats | None = None
    frame_size: Floats | None = None
    intrinsics: Floats | None = None
    pose: Floats | None = None
    betas: Floats | None = None
    camera: Floats | None = None
    keypoints: Floats | None = None
    head_size: Floats | None = None
    joints3d: Floats | None = None
    vertices: Floats | None = None
    parts: npt.NDArray[np.uint8] | None = None
    has_pose: Flags | None = None
    has_camera: Flags | None = None
    has_vertices: Flags | None = None
    has_parts: Flags | None = None
    joint_set: str = SMPL.name
    body: str = FREE

    def __len__(self) -> int:
        return len(self.images)

    @property
    def size(self) -> int:
        """Side S of the crops, pixels."""
        return int(self.images.shape[1])

    @property
    def joints(self) -> JointSet:
        """Joint set of ``keypoints`` and ``joints3d``."""
        return JOINT_SETS[self.joint_set]

    def has(self, part: str) -> Flags:
        """Return which crops have a part.

        Args:
            part: name of the part's array, such as "pose".

        Returns:
            (N,) bool. A crop has keypoints or 3D joints if one of them has a confidence above 0.
        """
        array = getattr(self, part)
        if array is None:
            return np.zeros(len(self), bool)
        if part in ("keypoints", "joints3d"):
            known: Flags = (array[..., -1] > 0).any(1)
            return known
        # Pose and betas share their flags: one without the other describes no body.
        flags = getattr(self, f"has_{'pose' if part == 'betas' else part}", None)
        return np.ones(len(self), bool) if flags is None else flags

    @property
    def labelled(self) -> bool:
        """Whether all crops have pose, shape and camera."""
        return all(bool(self.has(part).all()) for part in ("pose", "betas", "camera"))

    @property
    def sequences(self) -> Integers:
        """Number of each crop's sequence, (N,). If sequences are unknown, each crop is its own sequence."""
        return np.arange(len(self)) if self.clip is None else self.clip

    def take(self, index: Integers | Flags | slice) -> Samples:
        """Return some of the crops with their labels, by index (M,), boolean mask (N,) or slice."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        chosen: dict[str, Any] = {name: None if array is None else array[index] for name, array in arrays.items()}
        return Samples(**chosen, joint_set=self.joint_set, body=self.body)

    def image_batch(self, index: Integers | slice, device: str = "cpu") -> Tensor:
        """Return the images of some crops as RGB (B, 3, S, S), float32 in [0, 1], on a device."""
        # Converted to floats on the device: bytes are a quarter of the transfer.
        # A copy, because memory maps are read-only, which torch warns about.
        return torch.from_numpy(np.array(self.images[index])).to(device).permute(0, 3, 1, 2).float() / 255

    def mask_batch(self, index: Integers | slice, kind: MaskKind = "truth", device: str = "cpu") -> Tensor:
        """Return the masks of some crops as (B, 1, S, S), float32 of 0 and 1, on a device.

        Raises:
            UserError: the set has no masks.
        """
        if self.masks is None:
            raise UserError("this crop set has no masks (masks.npy)")
        chosen = np.array(self.masks[index, MASK_KINDS.index(kind)])
        return torch.from_numpy(chosen).to(device).float().unsqueeze(1)

    def view_batch(self, index: Integers | slice, device: str = "cpu") -> View:
        """Return where some crops lie in their frames.

        Crops without a box, or without the size of their frame, are taken for whole frames. Unknown intrinsics are
        guessed (`adaptation.bodies.views.guessed_intrinsics`).
        """
        if self.box is None or self.frame_size is None:
            count = len(range(len(self))[index]) if isinstance(index, slice) else len(index)
            return View.whole(count, self.size, device)
        box, size = (torch.from_numpy(np.array(part[index])).to(device) for part in (self.box, self.frame_size))
        known = self.intrinsics
        return View.of(box, size, None if known is None else torch.from_numpy(np.array(known[index])).to(device))

    def bodies(self, body: Body) -> Bodies:
        """Return the labelled bodies of all N crops.

        Args:
            body: body model that the bodies are meant for.

        Raises:
            UserError: a crop has no labels, or the labels belong to another body model.
        """
        if not self.labelled:
            raise UserError("this crop set has no labels (pose, betas, camera)")
        self.check_body(body)
        # Rotation matrices from here on: axis-angle exists in files and in fits only.
        rotations = roma.rotvec_to_rotmat(torch.from_numpy(self.pose))
        return Bodies(rotations, torch.from_numpy(self.betas), WeakPerspective(torch.from_numpy(self.camera)))

    def check_body(self, body: Body) -> None:
        """Check that the labels belong to a body model, since shape coefficients mean nothing to another one.

        Raises:
            UserError: they belong to another body model.
        """
        # Sets without labels suit every body model.
        if self.betas is not None and self.body != body.name:
            raise UserError(
                f"the labels belong to the body model {self.body!r}, not to {body.name!r}; choose it with --body"
            )

    def save(self, folder: Path, settings: dict[str, Any]) -> None:
        """Write the set to a folder.

        Args:
            folder: folder to write to; it is created if it does not exist.
            settings: description of how the set was made, for ``domain.json``. This file is written last, so it marks
                a complete set.

        Raises:
            UserError: the folder cannot be written to.
        """
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        for name in ("images", "masks"):
            if getattr(self, name) is not None:
                with whole_file(folder / f"{name}.npy") as file:
                    np.save(file, getattr(self, name))
        self.save_labels(folder)
        with whole_file(folder / "domain.json") as file:
            file.write((json.dumps(settings, indent=2) + "\n").encode())

    def save_labels(self, folder: Path) -> None:
        """Write ``labels.npz`` of a folder. Arrays of an existing file that this class does not know are kept.

        Args:
            folder: folder of the set.

        Raises:
            UserError: the file cannot be written.
        """
        labels = {name: getattr(self, name) for name in _LABELS if getattr(self, name) is not None}
        # An npz holds arrays only, so names become arrays without dimensions.
        labels |= {name: np.array(getattr(self, name)) for name in _NAMES}
        path = folder / "labels.npz"
        if path.exists():
            labels = read_arrays(path, set(names_of_arrays(path)) - {*_LABELS, *_NAMES}) | labels
        with whole_file(path) as file:
            np.savez(file, **labels)

    @classmethod
    def load(cls, folder: Path) -> Samples:
        """Load a set from a folder. Images and masks are memory-mapped.

        Raises:
            UserError: the folder is missing or incomplete, or its arrays do not fit together.
        """
        try:
            images = open_mapped(folder / "images.npy")
            masks = open_mapped(folder / "masks.npy") if (folder / "masks.npy").exists() else None
            read = read_arrays(folder / "labels.npz", (*_LABELS, *_NAMES))
        except UserError as error:
            raise UserError(f"{folder} is not a crop set: {error}") from None
        labels: dict[str, Any] = {name: read[name] for name in _LABELS if name in read}
        names: dict[str, Any] = {name: str(read[name]) for name in _NAMES if name in read}
        loaded = {"images": images, "masks": masks, **labels}
        # Parts that are absent have nothing to check.
        arrays = {name: array for name, array in loaded.items() if array is not None}
        _check(arrays, names, folder)
        return cls(images, masks, **labels, **names)


_NAMES = ("joint_set", "body")
# Taken from the class, so that a new array is saved, loaded and selected without being listed again.
_ARRAYS = tuple(field.name for field in fields(Samples) if field.name not in _NAMES)
_LABELS = tuple(name for name in _ARRAYS if name not in ("images", "masks"))
_TYPES: dict[str, type[np.generic]] = {
    **dict.fromkeys(("images", "masks", "parts"), np.uint8),
    **dict.fromkeys(("clip", "subject", "view", "frame"), np.int64),
    **{name: np.bool_ for name in _LABELS if name.startswith("has_")},
}


def _check(arrays: dict[str, Any], names: dict[str, str], folder: Path) -> None:
    """Check the shapes, types and values of the arrays of a folder.

    Raises:
        UserError: an array is wrong, or arrays do not fit together.
    """
    images, masks = arrays["images"], arrays.get("masks")
    # Dimensions first: `_shapes` reads the sizes from them.
    if not all(isinstance(array, np.ndarray) and array.ndim == 4 for array in (images, masks) if array is not None):
        raise UserError(f"{folder}: images must have shape (N, S, S, 3), masks (N, 3, S, S)")
    if len(images) == 0:
        raise UserError(f"{folder} has no crops; expected at least one")
    if names.get("joint_set", SMPL.name) not in JOINT_SETS:
        raise UserError(f"{folder}: unknown joint set {names['joint_set']!r}; known are {', '.join(JOINT_SETS)}")
    shapes = _shapes(arrays, JOINT_SETS[names.get("joint_set", SMPL.name)])
    for name, array in arrays.items():
        if array.shape != shapes[name]:
            raise UserError(f"{folder}: {name} must have shape {shapes[name]}, got {array.shape}")
        kind = _TYPES.get(name, np.float32)
        if array.dtype != kind:
            raise UserError(f"{folder}: {name} must be {np.dtype(kind)}, got {array.dtype}")
        if kind == np.float32 and not np.isfinite(array).all():
            raise UserError(f"{folder}: {name} has numbers that are not finite")
    if (
        masks is not None and masks[0].size and masks[0].max() > 1
    ):  # only the first: reading all of them would take long
        raise UserError(f"{folder}: masks must hold 0 and 1, got {masks[0].max()}")


def _shapes(arrays: dict[str, Any], joints: JointSet) -> dict[str, tuple[int, ...]]:
    """Return the expected shape of each array. K and V are taken from the arrays: only a body model can check them."""
    count, size = arrays["images"].shape[:2]

    def given(name: str) -> int:
        array = arrays.get(name)
        # 0 for a wrong rank: the comparison of shapes then fails, with its message.
        return array.shape[1] if array is not None and array.ndim > 1 else 0

    return {
        # One number or flag per crop, unless listed below.
        **dict.fromkeys(_LABELS, (count,)),
        "images": (count, size, size, 3),
        "masks": (count, len(MASK_KINDS), size, size),
        "box": (count, 4),
        "frame_size": (count, 2),
        "intrinsics": (count, 3, 3),
        "pose": (count, len(SMPL), 3),
        "betas": (count, given("betas")),
        "camera": (count, 3),
        "keypoints": (count, len(joints), 3),
        "joints3d": (count, len(joints), 4),
        "vertices": (count, given("vertices"), 3),
        "parts": (count, size, size),
    }


def is_crop_set(path: Path) -> bool:
    """Return whether a path is a folder of crops rather than a recording."""
    return path.is_dir() and (path / "images.npy").exists()
