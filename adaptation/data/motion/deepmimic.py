"""Read clips of DeepMimic (Peng et al., SIGGRAPH 2018), as pybullet ships them: JSON of its humanoid of 13 joints.

A frame has 44 numbers: its duration; the root's position; then quaternions (w, x, y, z) in the axes of the parent, or
one angle about z for knees and elbows, in the order of `_JOINTS`. The humanoid looks along +x with y up. Its lengths
are those of DeepMimic's humanoid.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import roma
import torch

from adaptation.data.motion.clip import Floats, Motion, about_axis, chained, read_text
from adaptation.support.errors import UserError, reason
from adaptation.support.reading.findings import found

# Name, parent, rest position relative to the parent in metres, count of numbers in a frame.
_JOINTS: tuple[tuple[str, int, tuple[float, float, float], int], ...] = (
    ("root", -1, (0.0, 0.0, 0.0), 4),
    ("chest", 0, (0.0, 0.236, 0.0), 4),
    ("neck", 1, (0.0, 0.224, 0.0), 4),
    ("right_hip", 0, (0.0, 0.0, 0.085), 4),
    ("right_knee", 3, (0.0, -0.422, 0.0), 1),
    ("right_ankle", 4, (0.0, -0.410, 0.0), 4),
    ("right_shoulder", 1, (-0.024, 0.244, 0.183), 4),
    ("right_elbow", 6, (0.0, -0.275, 0.0), 1),
    ("left_hip", 0, (0.0, 0.0, -0.085), 4),
    ("left_knee", 8, (0.0, -0.422, 0.0), 1),
    ("left_ankle", 9, (0.0, -0.410, 0.0), 4),
    ("left_shoulder", 1, (-0.024, 0.244, -0.183), 4),
    ("left_elbow", 11, (0.0, -0.275, 0.0), 1),
)
# The hands are fixed to the forearms.
_ENDS = (("right_elbow_end", 7, (0.0, -0.259, 0.0)), ("left_elbow_end", 12, (0.0, -0.259, 0.0)))
_NUMBERS = 4 + sum(count for *_, count in _JOINTS)
_Z = 2


def read_deepmimic(path: Path) -> Motion:
    """Read a clip of DeepMimic's humanoid.

    Args:
        path: JSON file with ``Frames``, lists of 44 numbers.

    Raises:
        UserError: the file is missing, damaged or of another format or skeleton.
    """
    try:
        content = json.loads(read_text(path))
    # The parser raises RecursionError on many brackets in a row.
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON: {reason(error)}; download it again") from None
    frames = content.get("Frames") if isinstance(content, dict) else None
    if not isinstance(frames, list) or not frames:
        raise UserError(f"{path}: expected Frames, a list of lists of numbers, as DeepMimic's clips have it")
    values = _values(frames, path)
    local = np.tile(np.eye(3), (len(values), len(_JOINTS) + len(_ENDS), 1, 1))
    column = 4
    for joint, (name, _, _, count) in enumerate(_JOINTS):
        part = values[:, column : column + count]
        local[:, joint] = about_axis(_Z, part[:, 0]) if count == 1 else _from_quaternions(part, path, name)
        column += count
    every = [*(joint[:3] for joint in _JOINTS), *_ENDS]
    tree = tuple(parent for _, parent, _ in every)
    # A duration is that of its own frame, so the last one is not used; pybullet's clips have 0 there.
    times = np.concatenate([[0.0], values[:-1, 0].cumsum()])
    return Motion(
        names=tuple(name for name, _, _ in every),
        parents=tree,
        offsets=np.array([offset for *_, offset in every]),
        rotations=chained(local, tree),
        roots=values[:, 1:4],
        times=times,
        source=path.name,
    )


def _values(frames: list[object], path: Path) -> Floats:
    """Return frames as an array (F, 44) of plausible numbers."""
    for number, frame in enumerate(frames):
        if not isinstance(frame, list) or len(frame) != _NUMBERS:
            what = f"{len(frame)} numbers" if isinstance(frame, list) else f"a {type(frame).__name__}"
            raise UserError(
                f"{path}: frame {number} is {what}; expected {_NUMBERS} numbers of DeepMimic's humanoid (humanoid3d)"
            )
        if not all(isinstance(value, int | float) and abs(value) < 1e6 for value in frame):
            raise UserError(f"{path}: frame {number} holds something other than finite numbers; download it again")
    values = np.array(frames, np.float64)
    if (values[:-1, 0] <= 0).any() or values[:-1, 0].max(initial=0) > 10:
        raise UserError(f"{path}: durations of frames must be above 0 and below 10 s, got {values[:-1, 0].min():g}")
    return values


def _from_quaternions(numbers: Floats, path: Path, name: str) -> Floats:
    """Convert quaternions (F, 4), w first, to rotation matrices."""
    lengths = np.linalg.norm(numbers, axis=1, keepdims=True)
    # Clips that were edited by hand have a few shorter ones: 0.58 is the shortest of pybullet's.
    if abs(np.median(lengths) - 1) > 0.1 or lengths.min() < 0.5 or lengths.max() > 1.5:
        raise UserError(f"{path}: the rotations of {name} are not unit quaternions; the clip is of another skeleton")
    if np.abs(lengths - 1).max() > 1e-3:
        found(f"{path}: quaternions of {name} are normalised; lengths from {lengths.min():.2f} to {lengths.max():.2f}")
    quaternions = torch.from_numpy(np.roll(numbers / lengths, -1, axis=1))
    matrices: Floats = roma.unitquat_to_rotmat(quaternions).numpy()
    return matrices
