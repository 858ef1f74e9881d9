"""MPI-INF-3DHP: eight subjects in a studio with green screen, and six test sequences.

Sources of the format: SPIN, ``datasets/preprocess/mpi_inf_3dhp.py``; VIBE, ``lib/data_utils/mpii3d_utils.py``.
A training sequence has ``annot.mat`` (``annot2`` and ``annot3``: one cell per camera, (F, 56) pixels and (F, 84)
millimetres in camera axes) and ``camera.calibration``; a test sequence has ``annot_data.mat`` of version 7.3.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from adaptation.bodies.joint_sets import SPIN, JointSet
from adaptation.data.sets.matlab import read_mat
from adaptation.data.sets.people import (
    Floats,
    People,
    box_of_points,
    expected,
    joined,
    with_boxes,
    with_confidence,
)
from adaptation.support.errors import UserError
from adaptation.support.image_files import natural_key

TRAIN = JointSet(
    "3dhp",
    (
        "spine3", "spine4", "spine2", "spine", "pelvis", "neck", "jaw", "head", "left_clavicle", "left_shoulder",
        "left_elbow", "left_wrist", "left_hand", "right_clavicle", "right_shoulder", "right_elbow",
        "right_wrist", "right_hand", "left_hip", "left_knee", "left_ankle", "left_foot", "left_toe",
        "right_hip", "right_knee", "right_ankle", "right_foot", "right_toe",
    ),
)  # fmt: skip
"""The 28 joints of training sequences, by SPIN's names: its "head" is the top of the head, "jaw" the set's head."""
TEST = JointSet(
    "3dhp_test",
    (
        "head", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
        "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
        "pelvis", "spine", "jaw",
    ),
)  # fmt: skip
CAMERAS = (0, 1, 2, 4, 5, 6, 7, 8)
"""Cameras at the height of people's chests, which SPIN and HMR train with."""
SIDE = 2048  # width and height of the training videos, pixels


def read_3dhp(path: Path, split: str = "test", every: int = 1) -> People:
    """Read the training or the test sequences.

    Args:
        path: folder of the data set, with S1 to S8 or with ``mpi_inf_3dhp_test_set``.
        split: "train" or "test".
        every: frames (of the test set, valid frames) of which one is kept.

    Returns:
        One person per image. Training people have intrinsics. Keypoints outside the image have a confidence of 0.

    Raises:
        UserError: there are no such files, or one is damaged.
    """
    if split not in ("train", "test"):
        raise UserError(f"MPI-INF-3DHP has the splits train and test, not {split!r}")
    if split == "test":
        root = path / "mpi_inf_3dhp_test_set"
        root = root if root.is_dir() else path
        files = sorted(root.glob("TS*/annot_data.mat"), key=lambda file: natural_key(str(file)))
        people = [_test(file, str(file.parent.relative_to(path)), every) for file in files]
    else:
        files = sorted(path.glob("S*/Seq*/annot.mat"), key=lambda file: natural_key(str(file)))
        people = [person for number, file in enumerate(files) for person in _train(file, path, number, every)]
    if not people:
        wanted = "S1/Seq1/annot.mat" if split == "train" else "mpi_inf_3dhp_test_set/TS1/annot_data.mat"
        raise UserError(f"{path}: no {wanted} and the like; name the folder of MPI-INF-3DHP, or another --split")
    return with_boxes(joined(people), path)


def _train(file: Path, root: Path, number: int, every: int) -> list[People]:
    held = read_mat(file, ("annot2", "annot3"))
    intrinsics = _intrinsics(file.with_name("camera.calibration"))
    people = []
    for view in CAMERAS:
        if view >= min(np.size(held["annot2"]), np.size(held["annot3"]), len(intrinsics)):
            raise UserError(f"{file}: fewer cameras than the 9 that are used")
        flat = expected(np.ravel(held["annot2"])[view], (None, 2 * len(TRAIN)), "annot2", file)
        kept = np.arange(0, len(flat), every)
        points = with_confidence(flat[kept].reshape(-1, len(TRAIN), 2))
        points[((points[..., :2] < 0) | (points[..., :2] >= SIDE)).any(axis=2)] = 0
        joints = expected(np.ravel(held["annot3"])[view], (len(flat), 3 * len(TRAIN)), "annot3", file)
        folder = f"{file.parent.relative_to(root).as_posix()}/imageFrames/video_{view}"
        keypoints = TRAIN.placed_in(SPIN, points)
        people.append(
            People(
                files=tuple(f"{folder}/frame_{frame + 1:06d}.jpg" for frame in kept),
                box=box_of_points(keypoints),
                frame=kept,
                clip=np.full(len(kept), 20 * number + view, np.int64),
                subject=np.full(len(kept), int(file.parent.parent.name[1:]), np.int64),
                view=np.full(len(kept), view, np.int64),
                frame_size=np.full((len(kept), 2), SIDE, np.float32),
                intrinsics=np.repeat(intrinsics[view][None], len(kept), axis=0),
                keypoints=keypoints,
                joints3d=TRAIN.placed_in(SPIN, with_confidence(joints[kept].reshape(-1, len(TRAIN), 3) / 1000)),
            )
        )
    return people


def _test(file: Path, folder: str, every: int) -> People:
    held = read_mat(file, ("annot2", "univ_annot3", "valid_frame"))
    valid = np.ravel(held["valid_frame"])
    count = len(valid)
    # MATLAB's order is (coordinate, joint, person, frame).
    points = expected(held["annot2"], (2, len(TEST), 1, count), "annot2", file)[:, :, 0].T
    joints = expected(held["univ_annot3"], (3, len(TEST), 1, count), "univ_annot3", file)[:, :, 0].T / 1000
    kept = np.flatnonzero(valid)[::every]
    number = int(file.parent.name[2:])
    keypoints = TEST.placed_in(SPIN, with_confidence(points[kept]))
    return People(
        files=tuple(f"{folder}/imageSequence/img_{frame + 1:06d}.jpg" for frame in kept),
        box=box_of_points(keypoints),
        frame=kept.astype(np.int64),
        clip=np.full(len(kept), number, np.int64),
        subject=np.full(len(kept), number, np.int64),
        keypoints=keypoints,
        joints3d=TEST.placed_in(SPIN, with_confidence(joints[kept])),
    )


def _intrinsics(file: Path) -> list[Floats]:
    """Return the camera matrices (3, 3) in a file of Skeletool, in the order of the cameras."""
    try:
        lines = file.read_text("latin-1").splitlines()
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from None
    found = []
    for line in lines:
        word, *numbers = line.split() or [""]
        if word == "intrinsic":
            try:
                found.append(np.array([float(number) for number in numbers], np.float32).reshape(4, 4)[:3, :3])
            except ValueError:
                raise UserError(f"{file}: an intrinsic line does not hold 16 numbers") from None
    if not found:
        raise UserError(f"{file} has no intrinsic lines, as calibrations of MPI-INF-3DHP have")
    return found
