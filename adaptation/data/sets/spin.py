"""SPIN's preprocessed npz files (``dataset_extras``), and those of ProHMR and 4D-Humans.

Sources of the format: SPIN, ``datasets/base_dataset.py`` and ``datasets/preprocess/*.py``; ProHMR,
``prohmr/datasets/image_dataset.py``, from which 4D-Humans took its own. SPIN's ``scale`` is the side of the crop
divided by 200 pixels, ProHMR's is the side in pixels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from adaptation.bodies.joint_sets import SPIN, JointSet
from adaptation.data.sets.people import (
    FEMALE,
    MALE,
    NEUTRAL,
    Array,
    Floats,
    Integers,
    Labels,
    People,
    box_of_centre,
    expected,
    numbered,
    with_boxes,
)
from adaptation.support.errors import UserError
from adaptation.support.image_files import read_grey
from adaptation.support.reading.array_files import read_arrays
from adaptation.support.reading.inert_pickle import plain, read_pickle

_KEYS = (
    "imgname", "center", "scale", "part", "openpose", "S", "pose", "shape", "has_smpl", "gender", "maskname",
    "partname", "body_keypoints_2d", "extra_keypoints_2d", "extra_keypoints_3d", "body_pose", "betas",
    "has_body_pose",
)  # fmt: skip
_PROHMR = {"body_keypoints_2d", "extra_keypoints_2d", "body_pose", "has_body_pose"}
_EXTRA = JointSet("extra", SPIN.joints[:19])
"""ProHMR's extra keypoints: the first 19 of SPIN's 24."""
BODY_25 = JointSet(
    "body_25",
    (
        "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
        "left_wrist", "pelvis", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee",
        "left_ankle", "right_eye", "left_eye", "right_ear", "left_ear", "left_big_toe", "left_small_toe",
        "left_heel", "right_big_toe", "right_small_toe", "right_heel",
    ),
)  # fmt: skip
# What names of images say in the sets that SPIN preprocesses: sequence, person, camera and frame.
_PLACES = (
    re.compile(r"(?P<clip>S(?P<subject>\d+)_[^/]+\.(?P<view>\d{8}))_(?P<frame>\d+)\.\w+$"),  # Human3.6M
    re.compile(
        r"(?P<clip>S(?P<subject>\d+)/Seq\d+/imageFrames/video_(?P<view>\d+))/frame_(?P<frame>\d+)\.\w+$"
    ),  # 3DHP
    re.compile(r"(?P<clip>TS(?P<subject>\d+)/imageSequence)/img_(?P<frame>\d+)\.\w+$"),  # 3DHP's test set
)
_PW3D = re.compile(r"(?P<clip>imageFiles/[^/]+)/image_(?P<frame>\d+)\.\w+$")


def read_spin(path: Path, masks: Path | None = None) -> People:
    """Read a preprocessed npz file.

    Args:
        path: the file.
        masks: folder that the file's ``maskname`` and ``partname`` (UPi-S1h, for LSP) are relative to; None leaves
            masks out.

    Returns:
        People with SPIN's boxes. Keypoints are the annotated ones (``part``); a person without any has OpenPose's.

    Raises:
        UserError: the file is missing, damaged or of another kind.
    """
    arrays = read_arrays(path, _KEYS, lambda content: plain(read_pickle(content)))
    if missing := [key for key in ("imgname", "center", "scale") if key not in arrays]:
        raise UserError(f"{path} lacks {', '.join(missing)}, which preprocessed files of SPIN have")
    names = _texts(arrays["imgname"])
    count = len(names)
    # ProHMR's scale has pixels, per axis or once.
    scale = expected(arrays["scale"], (count, None) if np.ndim(arrays["scale"]) == 2 else (count,), "scale", path)
    side = scale.reshape(count, -1).max(axis=1) * (1 if _PROHMR & set(arrays) else 200)
    box = box_of_centre(expected(arrays["center"], (count, 2), "center", path), side)
    pose, betas, has_pose = _pose(arrays, count, path)
    clip, subject, view, frame = _places(names)
    people = People(
        files=names,
        box=box,
        frame=frame,
        clip=clip,
        subject=subject,
        view=view,
        keypoints=_keypoints(arrays, count, path),
        joints3d=_joints(arrays, count, path),
        pose=pose,
        betas=betas,
        has_pose=has_pose,
        gender=_genders(arrays, count) if pose is not None else None,
        mask=_labels(arrays, "maskname", masks),
        parts=_labels(arrays, "partname", masks),
    )
    return with_boxes(people, path)


def _texts(names: Array) -> tuple[str, ...]:
    """Return names, which Python 2 wrote as bytes."""
    return tuple(name.decode("utf-8") if isinstance(name, bytes) else str(name) for name in np.ravel(names).tolist())


def _pose(arrays: Mapping[str, Any], count: int, path: Path) -> tuple[Floats | None, Floats | None, Array | None]:
    pose, betas, flags = (
        ("body_pose", "betas", "has_body_pose") if "body_pose" in arrays else ("pose", "shape", "has_smpl")
    )
    if pose not in arrays or betas not in arrays:
        return None, None, None
    rotations = expected(arrays[pose], (count, 72), pose, path).reshape(count, 24, 3).astype(np.float32)
    shape = expected(arrays[betas], (count, None), betas, path)[:, :10].astype(np.float32)
    known = expected(arrays[flags], (count,), flags, path).astype(bool) if flags in arrays else np.ones(count, bool)
    # Zeros stand where there is no fit.
    known &= np.abs(rotations).reshape(count, -1).max(axis=1) > 0
    return rotations, shape, known


def _keypoints(arrays: Mapping[str, Any], count: int, path: Path) -> Floats | None:
    annotated = _placed(arrays, "part", SPIN, count, path)
    if annotated is None:
        annotated = _placed(arrays, "extra_keypoints_2d", _EXTRA, count, path)
    detected = _placed(arrays, "openpose", BODY_25, count, path)
    if detected is None:
        detected = _placed(arrays, "body_keypoints_2d", BODY_25, count, path)
    if annotated is None or detected is None:
        return detected if annotated is None else annotated
    somebody = np.asarray(annotated[..., 2] > 0).any(axis=1)
    return np.where(somebody.reshape(-1, 1, 1), annotated, detected)


def _joints(arrays: Mapping[str, Any], count: int, path: Path) -> Floats | None:
    whole = _placed(arrays, "S", SPIN, count, path, 4)
    return _placed(arrays, "extra_keypoints_3d", _EXTRA, count, path, 4) if whole is None else whole


def _placed(
    arrays: Mapping[str, Any], key: str, joints: JointSet, count: int, path: Path, width: int = 3
) -> Floats | None:
    if key not in arrays:
        return None
    array = expected(arrays[key], (count, len(joints), width), key, path).astype(np.float32)
    return joints.placed_in(SPIN, array)


def _genders(arrays: Mapping[str, Any], count: int) -> tuple[str, ...]:
    if "gender" not in arrays:
        return (NEUTRAL,) * count
    letters = {"m": MALE, "f": FEMALE}
    return tuple(letters.get(name[:1].lower(), NEUTRAL) for name in _texts(arrays["gender"]))


def _places(names: tuple[str, ...]) -> tuple[Integers | None, Integers | None, Integers | None, Integers | None]:
    """Return sequence, subject, camera and frame, where the names of all images say them."""
    for pattern in (*_PLACES, _PW3D):
        matches = [pattern.search(name.replace("\\", "/")) for name in names]
        known = [match for match in matches if match is not None]
        if len(known) < len(names):
            continue
        groups = [match.groupdict() for match in known]

        def number(key: str, groups: list[dict[str, Any]] = groups) -> Integers | None:
            return np.array([int(group[key]) for group in groups], np.int64) if key in groups[0] else None

        frame = number("frame")
        assert frame is not None
        # 3DPW's images count from 0, the others from 1.
        return numbered([g["clip"] for g in groups]), number("subject"), number("view"), frame - (pattern is not _PW3D)
    return None, None, None, None


def _labels(arrays: Mapping[str, Any], key: str, folder: Path | None) -> Labels | None:
    if folder is None or key not in arrays:
        return None
    files = [folder / name for name in _texts(arrays[key])]
    return lambda person, shape: read_grey(files[person])
