"""3DPW: people in the wild, filmed by a moving camera, with SMPL bodies of men and women.

Sources of the format: the data set's ``readme.txt``; SPIN, ``datasets/preprocess/pw3d.py``; VIBE,
``lib/data_utils/threedpw_utils.py``. Its pickles were written by Python 2 and are read without executing anything.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from adaptation.bodies.joint_sets import SMPL, JointSet
from adaptation.data.sets.people import (
    FEMALE,
    MALE,
    People,
    box_of_points,
    expected,
    joined,
    projected,
    turned,
    with_boxes,
    with_confidence,
)
from adaptation.support.errors import UserError, reason
from adaptation.support.image_files import natural_key
from adaptation.support.reading.file_kinds import kind_of, with_article
from adaptation.support.reading.inert_pickle import RefusedError, plain, read_pickle

RATE = 30.0
"""Images per second."""
COCO_18 = JointSet(
    "coco_18",
    (
        "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
        "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
        "right_eye", "left_eye", "right_ear", "left_ear",
    ),
)  # fmt: skip
_KEYS = ("sequence", "poses", "betas", "genders", "poses2d", "cam_poses", "campose_valid", "cam_intrinsics")
_SPLITS = ("train", "validation", "test")


def read_threedpw(path: Path, split: str = "test") -> People:
    """Read sequences of 3DPW.

    Args:
        path: folder of the data set (with ``sequenceFiles``), folder of pickles, or one pickle.
        split: "train", "validation" or "test", for the folder of the data set.

    Returns:
        Every person in every frame with a valid camera. Keypoints are OpenPose's, 3D joints those of SMPL, and poses
        are in camera axes; shape coefficients belong to the male and female models.

    Raises:
        UserError: there are no such files, or one is damaged or of another kind.
    """
    people = [person for number, file in enumerate(_files(path, split)) for person in _sequence(file, number)]
    return with_boxes(joined(people), path)


def read_pickled(path: Path) -> dict[str, Any]:
    """Return the contents of one of 3DPW's pickles.

    Raises:
        UserError: the file is no such pickle.
    """
    kind = kind_of(path)
    if kind not in ("Python pickle", "text file", "unknown file"):  # protocol 0 of Python 2 is text
        raise UserError(f"{path}: found {with_article(kind)}, expected a pickle of 3DPW")
    try:
        held = plain(read_pickle(path.read_bytes()))
    except RefusedError as error:
        raise UserError(f"{path} holds objects of {error}, which are not loaded, because that could run code") from None
    except Exception as error:  # damaged pickles raise errors of nearly every type
        raise UserError(f"{path} is damaged, or no pickle: {reason(error)}") from None
    if not isinstance(held, dict) or (missing := [key for key in _KEYS if key not in held]):
        text = f"it lacks {', '.join(missing)}" if isinstance(held, dict) else f"it holds a {type(held).__name__}"
        raise UserError(f"{path} is not a sequence of 3DPW: {text}")
    return held


def _files(path: Path, split: str) -> list[Path]:
    if path.is_file():
        return [path]
    folder = path / "sequenceFiles"
    if folder.is_dir() and split not in _SPLITS:
        raise UserError(f"3DPW has the splits {', '.join(_SPLITS)}, not {split!r}")
    folder = folder / split if folder.is_dir() else path
    files = sorted(folder.glob("*.pkl"), key=lambda file: natural_key(file.name))
    if not files:
        raise UserError(f"{folder}: no pickles of 3DPW (*.pkl); expected the folder that holds sequenceFiles")
    return files


def _sequence(path: Path, number: int) -> list[People]:
    held = read_pickled(path)
    cameras = expected(held["cam_poses"], (None, 4, 4), "cam_poses", path).astype(np.float64)
    matrix = expected(held["cam_intrinsics"], (3, 3), "cam_intrinsics", path)
    return [_person(held, place, cameras, matrix, path, number) for place in range(len(held["poses"]))]


def _person(
    held: dict[str, Any], place: int, cameras: np.ndarray, matrix: np.ndarray, path: Path, number: int
) -> People:
    count = len(cameras)
    pose = expected(held["poses"][place], (count, 72), "poses", path)
    betas = expected(np.ravel(held["betas"][place])[:10], (10,), "betas", path)
    keypoints = expected(held["poses2d"][place], (count, 3, 18), "poses2d", path).transpose(0, 2, 1)
    kept = np.flatnonzero(expected(held["campose_valid"][place], (count,), "campose_valid", path))
    rotation, shift = cameras[kept, :3, :3], cameras[kept, None, :3, 3]
    intrinsics = np.repeat(matrix[None].astype(np.float32), len(kept), axis=0)
    joints, box = None, box_of_points(keypoints[kept])
    if "jointPositions" in held:
        world = expected(held["jointPositions"][place], (count, 72), "jointPositions", path).reshape(count, 24, 3)
        seen = world[kept] @ rotation.transpose(0, 2, 1) + shift
        joints = with_confidence(seen)
        # Where OpenPose found nobody, the joints themselves say where the person is.
        box = np.where(np.isfinite(box), box, box_of_points(projected(seen, intrinsics)))
    sequence = str(held["sequence"])
    return People(
        files=tuple(f"imageFiles/{sequence}/image_{frame:05d}.jpg" for frame in kept),
        box=box,
        frame=kept.astype(np.int64),
        clip=np.full(len(kept), number, np.int64),
        # No person is numbered across sequences.
        subject=np.full(len(kept), 2 * number + place, np.int64),
        intrinsics=intrinsics,
        keypoints=keypoints[kept].astype(np.float32),
        joints3d=joints,
        pose=turned(rotation, pose[kept]),
        betas=np.repeat(betas[None].astype(np.float32), len(kept), axis=0),
        gender=(FEMALE if str(held["genders"][place]).startswith("f") else MALE,) * len(kept),
        joint_set=COCO_18,
        joints3d_set=SMPL,
    )
