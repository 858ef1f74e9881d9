"""Which joints of a file are which joints of the body, by their names and their places in the tree."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from adaptation.data.motion.clip import Floats
from adaptation.support.errors import UserError

# Names of the left side, without case, prefixes and punctuation: "l" stands for left. The first that a file has is
# taken. In files of CMU and Mixamo "LeftShoulder" is the collar and "LeftArm" the shoulder; elsewhere "LeftShoulder"
# is the shoulder.
_ALIASES: dict[str, tuple[str, ...]] = {
    "hip": ("lfemur", "lupleg", "lupperleg", "lthigh", "lhip"),
    "knee": ("ltibia", "lleg", "llowleg", "llowerleg", "lshin", "lcalf", "lknee"),
    "ankle": ("lfoot", "lankle"),
    "foot": ("ltoes", "ltoebase", "ltoe"),
    "shoulder": ("lhumerus", "larm", "luparm", "lupperarm", "lshoulder"),
    "elbow": ("lradius", "lforearm", "llowarm", "llowerarm", "lelbow"),
    "wrist": ("lhand", "lwrist"),
    "collar": ("lclavicle", "lcollar", "lshoulder"),
}
_MIDDLE: dict[str, tuple[str, ...]] = {"neck": ("lowerneck", "neck", "neck1"), "head": ("head", "upperneck")}
_NEEDED = ("hip", "knee", "shoulder", "elbow")
_PREFIX = re.compile(r"^(mixamorig\d*|bip\d+|biped|character\d*|valvebiped|.*:)(?=.)")


def body_joints(names: Sequence[str], parents: Sequence[int], path: Path | str) -> dict[str, int]:
    """Find the body's joints in a skeleton.

    Args:
        names: names of the joints.
        parents: parent of each joint, -1 for the root.
        path: the file, for errors.

    Returns:
        Index of each joint that was found, by names of SMPL's joints; "spine3" is the joint that carries both
        arms and "pelvis" the one that carries both legs.

    Raises:
        UserError: hips, knees, shoulders or elbows are not among the names.
    """
    known: dict[str, int] = {}
    for number, name in enumerate(names):
        known.setdefault(_normal(name), number)
    result: dict[str, int] = {}
    for side in ("left", "right"):
        for part, aliases in _ALIASES.items():
            fitting = (known.get(side[0] + alias[1:]) for alias in aliases)
            used = set(result.values())
            joint = next((each for each in fitting if each is not None and each not in used), None)
            if joint is not None:
                result[f"{side}_{part}"] = joint
            elif part in _NEEDED:
                shown = ", ".join(names[:12]) + (" ..." if len(names) > 12 else "")
                raise UserError(
                    f"{path}: no joint of the skeleton is known as the {side} {part} (such as {aliases[0]!r} or "
                    f"{aliases[1]!r}); its joints are {shown}; rename them"
                )
    for part, aliases in _MIDDLE.items():
        middle = next((known[alias] for alias in aliases if alias in known), None)
        if middle is not None and middle not in result.values():
            result[part] = middle
    result["pelvis"] = _common(result["left_hip"], result["right_hip"], parents)
    result["spine3"] = _common(result["left_shoulder"], result["right_shoulder"], parents)
    return result


def leg_length(names: Sequence[str], parents: Sequence[int], offsets: Floats, path: Path) -> float:
    """Return the length of the left leg from hip to ankle, or twice the thigh, in the units of the offsets.

    Raises:
        UserError: it is not above 0, or joints are missing.
    """
    joints = body_joints(names, parents, path)
    ends = [joints[name] for name in ("left_hip", "left_knee", "left_ankle") if name in joints]
    lengths = [float(np.linalg.norm(_between(*pair, parents, offsets))) for pair in pairwise(ends)]
    length = sum(lengths) * (2 if len(lengths) == 1 else 1)
    if not length > 1e-6:
        raise UserError(f"{path}: the left leg has no length; the skeleton is damaged, export the clip again")
    return length


def _between(upper: int, lower: int, parents: Sequence[int], offsets: Floats) -> Floats:
    """Return the vector of the rest pose from a joint to one below it."""
    total = np.zeros(3)
    while lower not in (upper, -1):
        total = total + offsets[lower]
        lower = parents[lower]
    return total


def _common(first: int, second: int, parents: Sequence[int]) -> int:
    """Return the lowest joint above two others."""
    above = set()
    while first != -1:
        first = parents[first]
        above.add(first)
    second = parents[second]
    while second not in above:
        second = parents[second]
    return max(second, 0)


def _normal(name: str) -> str:
    """Return a name without case, prefix and punctuation, with "l" or "r" at the front for the side."""
    name = _PREFIX.sub("", name.lower().rsplit(":", 1)[-1])
    words = re.sub(r"[^a-z0-9]+", " ", name).strip()
    # "thigh.L" of Blender.
    words = re.sub(r"^(.*\S) (l|r|left|right)$", r"\2 \1", words)
    return re.sub(r"^(left|right)", lambda side: side[0][0], words.replace(" ", ""))
