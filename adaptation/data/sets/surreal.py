"""SURREAL: rendered people with SMPL bodies (``*_info.mat``, ``*_segm.mat`` and an mp4 per clip).

Source of the format: SURREAL's README and ``datageneration/misc/smpl_relations`` (camera, ``zrot``). Its camera maps
the world with a determinant of -1: the images show mirrored people. Images are kept as they are, so poses are mirrored
and left and right are exchanged in joints and parts.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import roma
import torch

from adaptation.bodies.body import mirror_pose
from adaptation.bodies.joint_sets import SMPL
from adaptation.data.sets.matlab import read_mat
from adaptation.data.sets.people import (
    FEMALE,
    MALE,
    Array,
    Labels,
    People,
    box_of_points,
    expected,
    joined,
    turned,
    with_boxes,
    with_confidence,
)
from adaptation.support.errors import UserError
from adaptation.support.image_files import natural_key

SIZE = (320, 240)
INTRINSICS = np.array([[600, 0, 160], [0, 600, 120], [0, 0, 1]], np.float32)
_CAMERA = np.array([[0.0, 0, -1], [0, 1, 0], [-1, 0, 0]])  # from the world to the camera, with determinant -1
_MIRROR = np.diag([-1.0, 1, 1])
_UPRIGHT = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # a quarter turn about x: SMPL's y up to the world's z up
_KEYS = ("pose", "shape", "joints2D", "joints3D", "zrot", "camLoc", "gender")
_AGREE = 0.7  # least cosine between the line through the hips and the one that the pose says


def read_surreal(path: Path, every: int = 1) -> People:
    """Read clips of SURREAL.

    Args:
        path: folder with ``*_info.mat`` files at any depth, such as ``cmu/test/run0``.
        every: frames of which one is kept.

    Returns:
        One person per frame; files are videos. Joints are SMPL's 24, and masks and parts (1 to 24: SMPL's joints) are
        there if every clip has a ``*_segm.mat``. Shape coefficients belong to the male and female models.

    Raises:
        UserError: there are no such files, or one is damaged.
    """
    files = sorted(path.rglob("*_info.mat"), key=lambda file: natural_key(str(file)))
    files = [file for file in files if not file.name.startswith(".")]
    if not files:
        raise UserError(f"{path}: no *_info.mat of SURREAL; expected a folder such as cmu/test/run0")
    people = joined([_clip(file, path, number, every) for number, file in enumerate(files)])
    if all(_segmentation(file).exists() for file in files):
        assert people.frame is not None and people.clip is not None
        people = _with_masks(people, [_segmentation(files[clip]) for clip in people.clip], people.frame)
    return with_boxes(people, path)


def _clip(file: Path, root: Path, number: int, every: int) -> People:
    held = read_mat(file, _KEYS)
    pose = _frames(held, "pose", (72,), file)
    count = len(pose)
    kept = np.arange(0, count, every)
    joints2d, joints3d = (
        _frames(held, f"joints{width}D", (width, 24), file).transpose(0, 2, 1)[kept] for width in (2, 3)
    )
    zrot = expected(np.ravel(held["zrot"]), (count,), "zrot", file)[kept]
    gender = expected(np.ravel(held["gender"]), (None,), "gender", file)
    shift = -_CAMERA @ expected(np.ravel(held["camLoc"]), (3,), "camLoc", file)
    root_in_world = _root(pose[kept], zrot)
    _check_root(root_in_world, joints3d, file)
    # x in the camera is C G v for a rest vertex v; with S the reflection of x it is (C G S) (S v), a rotation of the
    # mirrored body, whose other joints turn by S R S and are exchanged.
    mirrored = mirror_pose(torch.from_numpy(pose[kept].reshape(-1, 24, 3))).numpy()
    mirrored[:, 0] = 0
    flip = list(SMPL.flip)
    keypoints = with_confidence(joints2d[:, flip])
    return People(
        files=(file.relative_to(root).as_posix().replace("_info.mat", ".mp4"),) * len(kept),
        box=box_of_points(keypoints),
        frame=kept.astype(np.int64),
        clip=np.full(len(kept), number, np.int64),
        frame_size=np.full((len(kept), 2), SIZE, np.float32),
        intrinsics=np.repeat(INTRINSICS[None], len(kept), axis=0),
        keypoints=keypoints,
        joints3d=with_confidence((joints3d @ _CAMERA.T + shift)[:, flip]),
        pose=turned(_CAMERA @ root_in_world @ _MIRROR, mirrored),
        betas=_frames(held, "shape", (10,), file)[kept].astype(np.float32),
        gender=(MALE if gender[0] else FEMALE,) * len(kept),
        joint_set=SMPL,
        joints3d_set=SMPL,
    )


def _frames(held: dict[str, Any], key: str, shape: tuple[int, ...], file: Path) -> Array:
    """Return an array as (F, *shape). The file has the frame last, and clips of one frame lack that dimension."""
    array = np.asarray(held[key])
    if array.shape[: len(shape)] != shape or array.ndim > len(shape) + 1:
        raise UserError(f"{file}: {key} has shape {array.shape}, expected {(*shape, 'frames')}")
    return expected(np.moveaxis(array.reshape(*shape, -1), -1, 0), (None, *shape), key, file)


def _root(pose: Array, zrot: Array) -> npt.NDArray[np.float64]:
    """Return the global orientations (F, 3, 3) in the world."""
    about = torch.zeros(len(zrot), 3, dtype=torch.float64)
    about[:, 2] = torch.from_numpy(zrot.astype(np.float64))
    roots = roma.rotvec_to_rotmat(torch.from_numpy(pose[:, :3].astype(np.float64)))
    return _UPRIGHT @ (roma.rotvec_to_rotmat(about) @ roots).numpy()


def _check_root(root: Array, joints: Array, file: Path) -> None:
    """Compare orientations with the line through the hips (F, 24, 3), which points along the body's x.

    Raises:
        UserError: they disagree.
    """
    line = joints[:, SMPL.joints.index("left_hip")] - joints[:, SMPL.joints.index("right_hip")]
    length = np.linalg.norm(line, axis=1)
    cosine = (line * root[:, :, 0]).sum(axis=1) / np.maximum(length, 1e-9)
    if np.median(cosine) < _AGREE:
        raise UserError(f"{file}: pose and zrot disagree with joints3D; the file is not as SURREAL's are")


def _segmentation(file: Path) -> Path:
    return file.with_name(file.name.replace("_info.mat", "_segm.mat"))


def _with_masks(people: People, files: list[Path], frames: npt.NDArray[np.int64]) -> People:
    """Return people with readers of masks and of parts, which SURREAL stores as ``segm_1``, ``segm_2``, ..."""
    exchanged = np.array([0, *(joint + 1 for joint in SMPL.flip)], np.uint8)

    def read(person: int, shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
        name = f"segm_{frames[person] + 1}"
        labels = expected(read_mat(files[person], (name,))[name], shape, name, files[person])
        if labels.max() > len(SMPL):
            raise UserError(f"{files[person]}: {name} holds labels above {len(SMPL)}")
        return exchanged[labels.astype(np.intp)]

    reader: Labels = read
    return replace(people, mask=reader, parts=reader)
