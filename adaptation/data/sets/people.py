"""What readers of data sets return: people in images, with labels in frame pixels and camera axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import roma
import torch

from adaptation.bodies.joint_sets import SPIN, JointSet
from adaptation.support.errors import UserError
from adaptation.support.reading.findings import found

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Labels = Callable[[int, tuple[int, int]], npt.NDArray[np.uint8]]
"""Reads a picture (H, W) of labels of one person, 0 for background, given the person and the frame's (H, W)."""
ENLARGED = 1.2
"""Side of SPIN's crops as a multiple of the longer side of a person's box (SPIN, datasets/preprocess)."""
_LARGEST = 1e12  # of any number of a data set, in pixels, millimetres or radians
NEUTRAL, MALE, FEMALE = "neutral", "male", "female"


@dataclass(frozen=True, eq=False)
class People:
    """N people in images. Every part except files and boxes may be None, which means that it is unknown.

    Nothing is decoded yet: images and masks are read when people are cropped.

    Attributes:
        files: image or video of each person, relative to the folder of images.
        box: (N, 4) float32 x, y, w, h of square crops in frame pixels, as SPIN would cut them.
        frame: (N,) int64 number of the frame in its sequence, from 0; for videos, the frame of the file.
        clip, subject, view: (N,) int64 numbers of the sequence, the person and the camera.
        frame_size: (N, 2) float32 width and height of the frames, pixels; read from the images where None.
        intrinsics: (N, 3, 3) float32 camera matrices, pixels.
        keypoints: (N, P, 3) float32 x, y in frame pixels and confidence, in the order of ``joint_set``.
        head_size: (N,) float32 length of the head in frame pixels; 0 where unknown.
        joints3d: (N, Q, 4) float32 metres in camera axes and confidence, in the order of ``joints3d_set``.
        pose: (N, 24, 3) float32 axis-angle; joint 0 is the global orientation in camera axes.
        betas: (N, 10) float32 shape coefficients of SMPL.
        has_pose: (N,) bool, which people have pose and betas; None for all.
        gender: of the body model of each person's betas: "neutral", "male" or "female".
        joint_set, joints3d_set: the joint sets.
        mask, parts: readers of the mask (any value but 0 is the person) and of a part map of one person.
    """

    files: tuple[str, ...]
    box: Floats
    frame: Integers | None = None
    clip: Integers | None = None
    subject: Integers | None = None
    view: Integers | None = None
    frame_size: Floats | None = None
    intrinsics: Floats | None = None
    keypoints: Floats | None = None
    head_size: Floats | None = None
    joints3d: Floats | None = None
    pose: Floats | None = None
    betas: Floats | None = None
    has_pose: Flags | None = None
    gender: tuple[str, ...] | None = None
    joint_set: JointSet = SPIN
    joints3d_set: JointSet = SPIN
    mask: Labels | None = None
    parts: Labels | None = None

    def __len__(self) -> int:
        return len(self.files)

    def take(self, index: Integers) -> People:
        """Return some of the people, by index (M,)."""
        chosen: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                chosen[field.name] = value[index]
            elif isinstance(value, tuple):
                chosen[field.name] = tuple(value[place] for place in index)
            elif callable(value):
                chosen[field.name] = _renumbered(value, index)
        return replace(self, **chosen)


def _renumbered(read: Labels, index: Integers) -> Labels:
    return lambda person, shape: read(int(index[person]), shape)


def joined(parts: Sequence[People]) -> People:
    """Join the people of several files of one set, which have the same parts and no masks."""
    first = parts[0]
    values: dict[str, Any] = {}
    for field in fields(first):
        value = getattr(first, field.name)
        each = [getattr(part, field.name) for part in parts]
        if isinstance(value, np.ndarray):
            # What one file lacks, the set does not have.
            values[field.name] = None if any(part is None for part in each) else np.concatenate(each)
        elif isinstance(value, tuple):
            values[field.name] = tuple(item for tuple_ in each for item in tuple_)
    return replace(first, **values)


def box_of_centre(centre: Array, side: Array) -> Floats:
    """Return square boxes (N, 4) of centres (N, 2) and sides (N,), pixels."""
    half = np.asarray(side, np.float64)[:, None] / 2
    return np.concatenate([centre - half, 2 * half, 2 * half], axis=1).astype(np.float32)


def box_around(boxes: Array, factor: float = ENLARGED) -> Floats:
    """Return square boxes (N, 4) around the middle of boxes (N, 4) x, y, w, h, sides in multiples of the longer one."""
    boxes = np.asarray(boxes, np.float64)
    return box_of_centre(boxes[:, :2] + boxes[:, 2:] / 2, factor * boxes[:, 2:].max(axis=1))


def box_of_points(points: Array) -> Floats:
    """Return SPIN's square boxes (N, 4) around points (N, P, 3) with confidence; NaN where fewer than two are known."""
    points = np.asarray(points, np.float64)
    known = points[..., 2:] > 0
    low = np.where(known, points[..., :2], np.inf).min(axis=1)
    high = np.where(known, points[..., :2], -np.inf).max(axis=1)
    enough = (known[..., 0].sum(axis=1) >= 2) & ((high - low).max(axis=1) > 0)
    extent = np.where(enough[:, None], high - low, np.nan)
    return box_around(np.concatenate([np.where(enough[:, None], low, np.nan), extent], axis=1))


def with_boxes(people: People, source: Path) -> People:
    """Leave out people whose box is unknown, and say how many.

    Raises:
        UserError: nobody is left.
    """
    usable = np.isfinite(people.box).all(axis=1) & (people.box[:, 2] > 0)
    if not usable.any():
        raise UserError(f"{source}: nobody has a box, or keypoints that give one")
    if not usable.all():
        found(f"{source}: {int((~usable).sum())} of {len(usable)} people have no box and no keypoints; left out")
    return people if usable.all() else people.take(np.flatnonzero(usable))


def numbered(names: Sequence[str]) -> Integers:
    """Return numbers (N,) of equal names, in the order of their first appearance."""
    known: dict[str, int] = {}
    return np.array([known.setdefault(name, len(known)) for name in names], np.int64)


def turned(rotation: Array, pose: Array) -> Floats:
    """Return poses (N, 24, 3) whose global orientation is turned from world to camera axes.

    Args:
        rotation: (N, 3, 3) rotations from world to camera axes.
        pose: (N, 72) or (N, 24, 3) axis-angle in world axes.
    """
    pose = np.array(pose, np.float64).reshape(len(pose), 24, 3)
    root = roma.rotvec_to_rotmat(torch.from_numpy(pose[:, 0].copy()))
    pose[:, 0] = roma.rotmat_to_rotvec(torch.from_numpy(np.array(rotation, np.float64)) @ root).numpy()
    return pose.astype(np.float32)


def pinhole(focal: Array, centre: Array) -> Floats:
    """Return camera matrices (N, 3, 3) of focal lengths (N, 2) and principal points (N, 2), pixels."""
    matrix = np.zeros((len(focal), 3, 3), np.float32)
    matrix[:, 0, 0], matrix[:, 1, 1] = focal[:, 0], focal[:, 1]
    matrix[:, :2, 2], matrix[:, 2, 2] = centre, 1
    return matrix


def projected(joints: Array, intrinsics: Array) -> Floats:
    """Project points (N, P, 3) in camera axes to frame pixels with confidence 1, (N, P, 3); 0 behind the camera."""
    image = np.einsum("nij,npj->npi", intrinsics, joints)
    depth = image[..., 2:]
    ahead = depth > 1e-6
    places = np.where(ahead, image[..., :2] / np.where(ahead, depth, 1), 0)
    return np.concatenate([places, ahead], axis=2).astype(np.float32)


def with_confidence(points: Array) -> Floats:
    """Append a confidence of 1 to points (N, P, C)."""
    return np.concatenate([points, np.ones((*points.shape[:-1], 1))], axis=-1).astype(np.float32)


def expected(array: Any, shape: tuple[int | None, ...], name: str, source: Path) -> Array:
    """Return an array of numbers after checking its shape; None in the shape admits any length.

    Raises:
        UserError: it has another shape, or holds no numbers, NaN or infinity.
    """
    try:
        values = np.asarray(array)
        if values.dtype == object:
            values = np.array(values.tolist(), np.float64)
    except (ValueError, TypeError, OverflowError):
        raise UserError(f"{source}: {name} is not one array of numbers") from None
    fits = values.ndim == len(shape) and all(n in (None, m) for n, m in zip(shape, values.shape, strict=True))
    if not fits or values.dtype.kind not in "fiub":
        wanted = f"({', '.join('any' if n is None else str(n) for n in shape)})"
        raise UserError(f"{source}: {name} must be numbers of shape {wanted}, got {values.dtype} {values.shape}")
    if values.dtype.kind == "f" and not (np.abs(values) < _LARGEST).all():
        text = "NaN or infinity" if not np.isfinite(values).all() else f"numbers above {_LARGEST:.0e}"
        raise UserError(f"{source}: {name} holds {text}; the file is damaged")
    return values
