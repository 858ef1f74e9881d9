"""Read BVH, Biovision's format of motion capture: a skeleton, then the channels of each frame.

Source of the format: M. Meredith and S. Maddock, "Motion capture file formats explained", University of Sheffield,
2001. A joint's rotation is the product of its channels' rotations in the order in which they are listed.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from adaptation.data.motion.clip import (
    MOST_JOINTS,
    Floats,
    Motion,
    about_axis,
    chained,
    metres_per_unit,
    read_text,
    to_numbers,
)
from adaptation.data.motion.skeleton import leg_length
from adaptation.support.errors import UserError
from adaptation.support.reading.findings import found

_CHANNELS = tuple(f"{axis}{kind}" for kind in ("position", "rotation") for axis in "xyz")
_ADVICE = "export the clip again"


@dataclass
class _Skeleton:
    names: list[str] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    offsets: list[Floats] = field(default_factory=list)
    channels: list[list[int]] = field(default_factory=list)  # indices in _CHANNELS


def read_bvh(path: Path) -> Motion:
    """Read a BVH file. End sites become joints named after their parent with "_end"; they do not turn.

    Args:
        path: the file.

    Raises:
        UserError: the file is missing, damaged or of another format, or its channels are unknown.
    """
    head, separator, tail = read_text(path).partition("MOTION")
    if not separator or "HIERARCHY" not in head:
        raise UserError(f"{path}: expected HIERARCHY and MOTION, as BVH files have them")
    skeleton = _skeleton(head, path)
    frames, seconds = _frames(tail, sum(map(len, skeleton.channels)), path)
    local, positions = _local(frames, skeleton)
    parents, offsets = tuple(skeleton.parents), np.array(skeleton.offsets)
    _report_positions(skeleton, path)
    scale, text = metres_per_unit(leg_length(skeleton.names, parents, offsets, path))
    found(f"{path}: {text}")
    root = offsets[0].copy()
    offsets[0] = 0
    return Motion(
        names=tuple(skeleton.names),
        parents=parents,
        offsets=offsets * scale,
        rotations=chained(local, parents),
        roots=(positions + root) * scale,
        times=np.arange(len(frames), dtype=np.float64) * seconds,
        source=path.name,
    )


def _skeleton(head: str, path: Path) -> _Skeleton:
    """Read the tree of joints."""
    skeleton, open_joints, named = _Skeleton(), list[int](), None
    # Braces may stand on the line of the joint or on their own.
    for line in head.replace("{", "\n{\n").replace("}", "\n}\n").splitlines():
        words = line.split()
        match words[0].upper() if words else "":
            case "ROOT" | "JOINT":
                named = " ".join(words[1:])
            case "END":
                named = f"{skeleton.names[open_joints[-1]]}_end" if open_joints else "end"
            case "{":
                if named is None or (not open_joints and skeleton.names) or len(skeleton.names) >= MOST_JOINTS:
                    raise UserError(
                        f"{path}: expected one tree of at most {MOST_JOINTS} joints; if the file has several "
                        "skeletons, save one per file"
                    )
                skeleton.parents.append(open_joints[-1] if open_joints else -1)
                open_joints.append(len(skeleton.names))
                skeleton.names.append(named)
                skeleton.offsets.append(np.zeros(3))
                skeleton.channels.append([])
                named = None
            case "}":
                if not open_joints:
                    raise UserError(f"{path}: a closing brace too many; the file is damaged, {_ADVICE}")
                open_joints.pop()
            case "OFFSET" | "CHANNELS" if open_joints:
                _attribute(words, skeleton, open_joints[-1], path)
            case "" | "HIERARCHY":
                pass
            case _:
                raise UserError(f"{path}: {line.strip()[:60]!r} is no part of a BVH skeleton; {_ADVICE}")
    if open_joints or not skeleton.names:
        raise UserError(f"{path}: the tree of joints is cut off; {_ADVICE}")
    return skeleton


def _attribute(words: list[str], skeleton: _Skeleton, joint: int, path: Path) -> None:
    """Read a line OFFSET or CHANNELS of a joint."""
    name = skeleton.names[joint]
    if words[0].upper() == "OFFSET":
        offset = to_numbers(words[1:], path, f"the offset of {name!r}")
        if len(offset) != 3 or np.abs(offset).max() > 1e6:
            raise UserError(f"{path}: the offset of {name!r} is not three lengths; {_ADVICE}")
        skeleton.offsets[joint] = offset
        return
    channels = [word.lower() for word in words[2:]]
    known = [_CHANNELS.index(channel) for channel in channels if channel in _CHANNELS]
    if len(known) != len(channels) or words[1:2] != [str(len(channels))] or len(set(known)) < len(known):
        raise UserError(f"{path}: {' '.join(words)[:80]!r} of {name!r} are not channels such as Xrotation; {_ADVICE}")
    skeleton.channels[joint] = known


def _frames(tail: str, count: int, path: Path) -> tuple[Floats, float]:
    """Read the channels of all frames, (F, ``count``), and the seconds per frame."""
    header = re.match(r"\s*Frames\s*:\s*(\d{1,9})\s+Frame\s+Time\s*:\s*(\S+)", tail, re.IGNORECASE)
    if header is None:
        raise UserError(f"{path}: expected Frames: and Frame Time: after MOTION; {_ADVICE}")
    seconds = float(to_numbers([header[2]], path, "Frame Time")[0])
    if not 0 < seconds < 10:
        raise UserError(f"{path}: Frame Time is {seconds:g} s; expected 0.0083333 for 120 frames per second")
    numbers = to_numbers(tail[header.end() :].split(), path, "the frames")
    expected = int(header[1])
    if count == 0 or len(numbers) == 0 or len(numbers) % count:
        raise UserError(
            f"{path}: {len(numbers)} numbers for {expected} frames of {count} channels; expected {expected * count}; "
            f"the file is cut off or damaged, {_ADVICE}"
        )
    frames = numbers.reshape(-1, count)
    # Some exporters count the frame of the rest pose, others do not.
    if len(frames) != expected:
        found(f"{path}: Frames is {expected}, and {len(frames)} frames are there; all of them are taken")
    return frames, seconds


def _local(frames: Floats, skeleton: _Skeleton) -> tuple[Floats, Floats]:
    """Return rotations in the axes of the parent (F, J, 3, 3), and the root's position (F, 3) beside its offset."""
    local = np.tile(np.eye(3), (len(frames), len(skeleton.names), 1, 1))
    positions, column = np.zeros((len(frames), 3)), 0
    for joint, channels in enumerate(skeleton.channels):
        for channel in channels:
            if channel >= 3:
                local[:, joint] = local[:, joint] @ about_axis(channel - 3, np.deg2rad(frames[:, column]))
            elif joint == 0:
                positions[:, channel] = frames[:, column]
            column += 1
    return local, positions


def _report_positions(skeleton: _Skeleton, path: Path) -> None:
    moving = [
        name
        for name, used in zip(skeleton.names[1:], skeleton.channels[1:], strict=True)
        if min(used, default=math.inf) < 3
    ]
    if moving:
        found(f"{path}: positions of {len(moving)} joints other than the root, such as {moving[0]!r}, are not used")
