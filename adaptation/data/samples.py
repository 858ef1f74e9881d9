"""Crop sets: images with whatever is known about the people in them.

On disk a set is a folder with ``images.npy``, ``masks.npy`` (where there are masks) and ``labels.npz``, all
readable without this project, and ``domain.json``, which says how the set was made.
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
from adaptation.support.errors import UserError
from adaptation.support.files import whole_file, writing

MaskKind = Literal["truth", "subtracted", "degraded"]
MASK_KINDS: tuple[MaskKind, ...] = get_args(MaskKind)
Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Samples:
    """N crops of S x S pixels. Every part but the images is None where it is unknown.

    A part that only some crops have is stored for all of them, with its ``has_`` flags; without flags, all
    crops have it. Keypoints and joints carry a confidence each instead, 0 where unknown.
    Arrays may be memory-mapped.

    Attributes:
        images: (N, S, S, 3) uint8 RGB.
        masks: (N, 3, S, S) uint8 of 0 and 1: exact, from background subtraction, degraded. Sets with one
            mask per crop repeat it.
        clip: (N,) int64, number of the sequence. Crops of one sequence are never split between training and judging.
        subject: (N,) int64, number of the person.
        view: (N,) int64, number of the camera.
        box: (N, 4) float32, x, y, w, h of the crop in frame pixels.
        frame_size: (N, 2) float32, width and height of the frame in pixels.
        intrinsics: (N, 3, 3) float32 camera matrix of the frame, pixels.
        pose: (N, J, 3) float32 axis-angle, joint 0 the global orientation in camera axes.
        betas: (N, K) float32 shape coefficients of the body model ``body``.
        camera: (N, 3) float32 weak perspective (s, tx, ty) of the crop.
        keypoints: (N, P, 3) float32 2D keypoints in the order of ``joint_set``: x and y in crop pixels, and
            confidence. They come from a detector or an annotator.
        joints3d: (N, P, 4) float32 3D joints in the order of ``joint_set``: metres in camera axes, and confidence.
        vertices: (N, V, 3) float32 metres in camera axes.
        parts: (N, S, S) uint8 body part of each pixel, 0 for background.
        has_pose: (N,) bool, which crops have pose and betas.
        has_camera: (N,) bool, which crops have a camera.
        has_vertices: (N,) bool, which crops have vertices.
        has_parts: (N,) bool, which crops have a part map.
        joint_set: name of the joint set of keypoints and joints3d.
        body: name of the body model that betas belong to (`adaptation.bodies.body.Body.name`).
    """

    images: npt.NDArray[np.uint8]
    masks: npt.NDArray[np.uint8] | None = None
    clip: Integers | None = None
    subject: Integers | None = None
    view: Integers | None = None
    box: Floats | None = None
    frame_size: Floats | None = None
    intrinsics: Floats | None = None
    pose: Floats | None = None
    betas: Floats | None = None
    camera: Floats | None = None
    keypoints: Floats | None = None
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
        """S."""
        return int(self.images.shape[1])

    @property
    def joints(self) -> JointSet:
        """The joint set of keypoints and joints3d."""
        return JOINT_SETS[self.joint_set]

    def has(self, part: str) -> Flags:
        """(N,) which crops have a part, by the name of its array."""
        array = getattr(self, part)
        if array is None:
            return np.zeros(len(self), bool)
        if part in ("keypoints", "joints3d"):
            known: Flags = (array[..., -1] > 0).any(1)
            return known
        flags = getattr(self, f"has_{'pose' if part == 'betas' else part}", None)
        return np.ones(len(self), bool) if flags is None else flags

    @property
    def labelled(self) -> bool:
        """Whether every crop has pose, shape and camera."""
        return all(bool(self.has(part).all()) for part in ("pose", "betas", "camera"))

    @property
    def sequences(self) -> Integers:
        """(N,) the number of each crop's sequence; each crop is one of its own where sequences are unknown."""
        return np.arange(len(self)) if self.clip is None else self.clip

    def take(self, index: Integers | Flags | slice) -> Samples:
        """Some of the crops, with everything known about them."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        chosen = {name: None if array is None else array[index] for name, array in arrays.items()}
        return Samples(**chosen, joint_set=self.joint_set, body=self.body)

    def image_batch(self, index: Integers | slice, device: str = "cpu") -> Tensor:
        """RGB (B, 3, S, S) in [0, 1], on a device."""
        # Bytes go to the device before they become floats: a quarter of the transfer.
        return torch.from_numpy(np.array(self.images[index])).to(device).permute(0, 3, 1, 2).float() / 255

    def mask_batch(self, index: Integers | slice, kind: MaskKind = "truth", device: str = "cpu") -> Tensor:
        """Masks (B, 1, S, S) of 0 and 1, on a device.

        Raises:
            UserError: the set has no masks.
        """
        if self.masks is None:
            raise UserError("this crop set has no masks (masks.npy)")
        chosen = np.array(self.masks[index, MASK_KINDS.index(kind)])
        return torch.from_numpy(chosen).to(device).float().unsqueeze(1)

    def bodies(self, body: Body) -> Bodies:
        """The labelled bodies, for a body model.

        Raises:
            UserError: a crop has no label, or the labels belong to another body model.
        """
        if not self.labelled:
            raise UserError("this crop set has no labels (pose, betas, camera)")
        self.check_body(body)
        rotations = roma.rotvec_to_rotmat(torch.from_numpy(self.pose))
        return Bodies(rotations, torch.from_numpy(self.betas), WeakPerspective(torch.from_numpy(self.camera)))

    def check_body(self, body: Body) -> None:
        """Check that labels belong to a body model.

        Raises:
            UserError: they belong to another one, whose shape coefficients mean something else.
        """
        if self.betas is not None and self.body != body.name:
            raise UserError(f"the labels belong to the body model {self.body!r}, not to {body.name!r}; see --body")

    def save(self, folder: Path, settings: dict[str, Any]) -> None:
        """Write the set into a folder, which is made where it does not exist.

        Args:
            folder: where.
            settings: how the set was made, for ``domain.json``. It is written last, so that it marks a whole set.
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
        """Replace ``labels.npz`` of a folder; arrays in it that this class does not know stay."""
        labels = {name: getattr(self, name) for name in _LABELS if getattr(self, name) is not None}
        labels |= {name: np.array(getattr(self, name)) for name in _NAMES}
        if (folder / "labels.npz").exists():
            with np.load(folder / "labels.npz", allow_pickle=False) as data:
                labels = {**{name: data[name] for name in data if name not in (*_LABELS, *_NAMES)}, **labels}
        with whole_file(folder / "labels.npz") as file:
            np.savez(file, **labels)

    @classmethod
    def load(cls, folder: Path) -> Samples:
        """Read a folder; images and masks stay on disk.

        Raises:
            UserError: missing, incomplete, or arrays that do not fit together.
        """
        try:
            images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
            masks = None
            if (folder / "masks.npy").exists():
                masks = np.load(folder / "masks.npy", mmap_mode="r", allow_pickle=False)
            with np.load(folder / "labels.npz", allow_pickle=False) as data:
                labels = {name: data[name] for name in _LABELS if name in data}
                names = {name: str(data[name]) for name in _NAMES if name in data}
        except Exception as error:  # np.load has no common error of its own
            raise UserError(f"{folder} is not a crop set: {error}") from None
        loaded = {"images": images, "masks": masks, **labels}
        arrays = {name: array for name, array in loaded.items() if array is not None}
        _check(arrays, names, folder)
        return cls(images, masks, **labels, **names)


_NAMES = ("joint_set", "body")
_ARRAYS = tuple(field.name for field in fields(Samples) if field.name not in _NAMES)
_LABELS = tuple(name for name in _ARRAYS if name not in ("images", "masks"))
_TYPES: dict[str, type[np.generic]] = {
    **dict.fromkeys(("images", "masks", "parts"), np.uint8),
    **dict.fromkeys(("clip", "subject", "view"), np.int64),
    **{name: np.bool_ for name in _LABELS if name.startswith("has_")},
}


def _check(arrays: dict[str, Any], names: dict[str, str], folder: Path) -> None:
    """Check that the arrays of a folder fit together.

    Raises:
        UserError: they do not.
    """
    images, masks = arrays["images"], arrays.get("masks")
    if not all(isinstance(array, np.ndarray) and array.ndim == 4 for array in (images, masks) if array is not None):
        raise UserError(f"{folder}: images must have shape (N, S, S, 3), masks (N, 3, S, S)")
    if len(images) == 0:
        raise UserError(f"{folder} holds no crops")
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
    if masks is not None and masks[0].max() > 1:  # the others are left on disk
        raise UserError(f"{folder}: masks must hold 0 and 1, got {masks[0].max()}")


def _shapes(arrays: dict[str, Any], joints: JointSet) -> dict[str, tuple[int, ...]]:
    """The shape that each array must have. J, K and V are what the arrays say: a body model checks them."""
    count, size = arrays["images"].shape[:2]

    def given(name: str) -> int:
        array = arrays.get(name)
        return array.shape[1] if array is not None and array.ndim > 1 else 0

    return {
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
    """Whether a path is a folder of crops rather than a recording."""
    return path.is_dir() and (path / "images.npy").exists()
