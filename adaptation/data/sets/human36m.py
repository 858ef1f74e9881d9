"""Human3.6M in the JSON files of Moon et al., which hold its joints, cameras and boxes, and often SMPL fits.

Sources of the format: I2L-MeshNet and Pose2Mesh (``data/Human36M/Human36M.py``): for each subject n
``Human36M_subject{n}_data.json`` (images and annotations as in COCO), ``_camera.json``, ``_joint_3d.json`` and, if
SMPL was fitted, ``_smpl_param.json``. The distributor's own CDF files are not read; SPIN's npz files are (format spin).
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from adaptation.bodies.joint_sets import SPIN, JointSet
from adaptation.data.sets.people import (
    People,
    box_around,
    expected,
    joined,
    numbered,
    pinhole,
    projected,
    turned,
    with_boxes,
    with_confidence,
)
from adaptation.support.errors import UserError
from adaptation.support.image_files import natural_key

JOINTS = JointSet(
    "moon",
    (
        "pelvis", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "spine",
        "neck", "jaw", "head", "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow",
        "right_wrist",
    ),
)  # fmt: skip
CAMERAS = {1: 54138969, 2: 55011271, 3: 58860488, 4: 60457274}
"""Serial number of each camera, by its number in these files."""
_DATA = re.compile(r"Human36M_subject(\d+)_data\.json$")


def read_human36m(path: Path, every: int = 5) -> People:
    """Read the subjects of a folder of annotations.

    Args:
        path: folder with the JSON files.
        every: frames of which one is kept; the protocols take every fifth.

    Returns:
        One person per image, with 17 joints in camera axes, keypoints that are their projections, and SMPL poses of
        the neutral model where they were fitted.

    Raises:
        UserError: there are no such files, or one is damaged.
    """
    if not path.is_dir():
        raise UserError(f"{path} is no folder; expected the one with Human36M_subject1_data.json and others")
    files = sorted(path.iterdir(), key=lambda file: natural_key(file.name))
    subjects = [(int(match[1]), file) for file in files if (match := _DATA.search(file.name))]
    if not subjects:
        raise UserError(
            f"{path}: no Human36M_subject*_data.json; preprocessed npz files of SPIN are read by the format spin, and "
            "the distributor's CDF files are not read"
        )
    people = []
    for subject, file in subjects:
        try:
            people.append(_subject(file, subject, every))
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise UserError(f"{file}: not in the format of Moon et al.: {type(error).__name__} {error}") from None
    some_lack_poses = any(each.pose is None for each in people) and any(each.pose is not None for each in people)
    everybody = joined([_with_pose(each) for each in people] if some_lack_poses else people)
    return with_boxes(everybody, path)


def _subject(file: Path, subject: int, every: int) -> People:
    held = _json(file)
    cameras, joints = (_json(_beside(file, kind)) for kind in ("camera", "joint_3d"))
    fits = _json(_beside(file, "smpl_param")) if _beside(file, "smpl_param").exists() else None
    boxes = {each["image_id"]: each["bbox"] for each in held["annotations"]}
    images = [each for each in held["images"] if each["id"] in boxes and each["frame_idx"] % every == 0]
    if not images:
        raise UserError(f"{file}: no annotated frame is a multiple of {every}")
    count = len(images)
    seen = [cameras[str(each["cam_idx"])] for each in images]
    rotation = expected([camera["R"] for camera in seen], (count, 3, 3), "R", file)
    shift = expected([camera["t"] for camera in seen], (count, 3), "t", file)
    focal, centre = (expected([camera[key] for camera in seen], (count, 2), key, file) for key in ("f", "c"))
    world = expected([_entry(joints, each) for each in images], (count, len(JOINTS), 3), "joints", file)
    body = (world @ rotation.transpose(0, 2, 1) + shift[:, None]) / 1000
    intrinsics = pinhole(focal, centre)
    people = People(
        files=tuple(str(each["file_name"]) for each in images),
        box=box_around(expected([boxes[each["id"]] for each in images], (count, 4), "bbox", file)),
        frame=np.array([each["frame_idx"] for each in images], np.int64),
        clip=numbered([f"{each['action_idx']} {each['subaction_idx']} {each['cam_idx']}" for each in images])
        + 1000 * subject,
        subject=np.full(count, subject, np.int64),
        view=np.array([CAMERAS[int(each["cam_idx"])] for each in images], np.int64),
        frame_size=np.array([(each["width"], each["height"]) for each in images], np.float32),
        intrinsics=intrinsics,
        keypoints=JOINTS.placed_in(SPIN, projected(body, intrinsics)),
        joints3d=JOINTS.placed_in(SPIN, with_confidence(body)),
    )
    return people if fits is None else _with_pose(people, [_entry(fits, each) for each in images], rotation, file)


def _with_pose(people: People, fits: list[Any] | None = None, rotation: Any = None, file: Path = Path()) -> People:
    """Return people with SMPL fits, which some or all may lack."""
    if people.pose is not None:
        return people
    count = len(people)
    fits = fits or [None] * count
    known = np.array([fit is not None for fit in fits], bool)
    pose, betas = np.zeros((count, 24, 3), np.float32), np.zeros((count, 10), np.float32)
    if known.any():
        given = [fit for fit in fits if fit is not None]
        world = expected([fit["pose"] for fit in given], (len(given), 72), "pose", file)
        pose[known] = turned(rotation[known], world)
        betas[known] = expected([fit["shape"] for fit in given], (len(given), 10), "shape", file)
    return replace(people, pose=pose, betas=betas, has_pose=known)


def _entry(held: Any, image: Any) -> Any:
    """Return what belongs to an image, or None if a frame is missing."""
    for key in ("action_idx", "subaction_idx", "frame_idx"):
        held = held.get(str(image[key])) if held is not None else None
    return held


def _beside(file: Path, kind: str) -> Path:
    return file.with_name(file.name.replace("_data.json", f"_{kind}.json"))


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file} is damaged: {error}") from None
