"""Poses of data sets as clips, for `topo-adapt poses`: AMASS, 3DPW and SPIN's npz files.

Sources of AMASS's format: mmhuman3d (``amass.py``), VIBE (``amass_utils.py``), human_body_prior. Files of SMPL-H hold
``poses`` (F, 156), ``trans``, ``betas``, ``gender`` and ``mocap_framerate``; files of SMPL-X ("stageii" in their names)
hold ``root_orient`` and ``pose_body`` as well, and spell ``mocap_frame_rate``. Both have z up.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from adaptation.data.pose_files import read_poses
from adaptation.data.sets.people import expected, turned
from adaptation.data.sets.spin import read_spin
from adaptation.data.sets.threedpw import RATE, read_pickled
from adaptation.support.errors import UserError
from adaptation.support.reading.array_files import names_of_arrays, read_arrays
from adaptation.support.reading.file_kinds import kind_of
from adaptation.support.reading.findings import found

_RATES = ("mocap_framerate", "mocap_frame_rate")
# AMASS's axes have z up; y up is a quarter turn about -x.
_TO_Y_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])


@dataclass(frozen=True)
class PoseClip:
    """Poses of one person.

    Attributes:
        name: name of the clip.
        pose: (F, 24, 3) float32 axis-angle, radians.
        roots: (F, 3) float32 position of the body, metres; 0 where unknown.
        times: (F,) seconds since the first frame; NaN where unknown.
    """

    name: str
    pose: npt.NDArray[np.float32]
    roots: npt.NDArray[np.float32]
    times: npt.NDArray[np.float64]


def read_clips(path: Path, rate: float) -> list[PoseClip]:
    """Read the clips of a file of AMASS, 3DPW or SPIN, or the poses of any other pose file.

    Args:
        path: the file.
        rate: frames per second that are kept of AMASS and 3DPW.

    Raises:
        UserError: the file cannot be read, or holds no poses.
    """
    kind = kind_of(path)
    if kind == "npz file of NumPy":
        names = set(names_of_arrays(path))
        if names & set(_RATES):
            return [_amass(path, rate)]
        if {"imgname", "center", "scale"} <= names:
            return [_spin(path)]
        if "gender" in names and names <= {"gender", "betas", "latent_labels", "markers_latent", "markers_latent_vids"}:
            raise UserError(f"{path} is a shape file of AMASS, without poses; name the files that end in _poses.npz")
    elif kind == "Python pickle" and b"campose_valid" in path.read_bytes():
        return _threedpw(path, rate)
    pose = read_poses(path).numpy()
    found(f"{path}: a pose file does not state its times: all {len(pose)} poses are taken, in the axes they have")
    return [PoseClip(path.stem, pose, np.zeros((len(pose), 3), np.float32), np.full(len(pose), np.nan))]


def kept_frames(count: int, stored: float, rate: float) -> npt.NDArray[np.int64]:
    """Return the frames next to the multiples of 1 / ``rate`` seconds, of ``count`` frames ``stored`` per second."""
    wanted = np.arange(0, (count - 1) / stored + 0.5 / rate, 1 / rate)
    return np.unique(np.rint(wanted * stored).astype(np.int64).clip(0, count - 1))


def _amass(path: Path, rate: float) -> PoseClip:
    arrays = read_arrays(path, (*_RATES, "poses", "trans"))
    stored = next(float(np.ravel(arrays[name])[0]) for name in _RATES if name in arrays)
    if not 0 < stored < 10_000:
        raise UserError(f"{path}: {stored} frames per second; expected a positive number")
    pose = read_poses(path, fewest=1).numpy()
    kept = kept_frames(len(pose), stored, rate)
    axes = np.broadcast_to(_TO_Y_UP, (len(kept), 3, 3))
    roots = np.zeros((len(pose), 3))
    if "trans" in arrays:
        roots = expected(arrays["trans"], (len(pose), 3), "trans", path)
    return PoseClip(path.stem, turned(axes, pose[kept]), (roots[kept] @ _TO_Y_UP.T).astype(np.float32), kept / stored)


def _threedpw(path: Path, rate: float) -> list[PoseClip]:
    held = read_pickled(path)
    clips = []
    for place, array in enumerate(held["poses"]):
        pose = expected(array, (None, 72), "poses", path).reshape(-1, 24, 3).astype(np.float32)
        kept = kept_frames(len(pose), RATE, rate)
        roots = expected(held["trans"][place], (len(pose), 3), "trans", path) if "trans" in held else 0 * pose[:, 0]
        clips.append(PoseClip(f"{path.stem}_{place}", pose[kept], roots[kept].astype(np.float32), kept / RATE))
    return clips


def _spin(path: Path) -> PoseClip:
    people = read_spin(path)
    if people.pose is None or people.has_pose is None or not people.has_pose.any():
        raise UserError(f"{path} has no poses of SMPL (pose and shape, or body_pose and betas)")
    pose = people.pose[people.has_pose]
    found(f"{path}: {len(pose)} of {len(people)} people have a pose, in the axes of their camera, without times")
    return PoseClip(path.stem, pose, np.zeros((len(pose), 3), np.float32), np.full(len(pose), np.nan))
