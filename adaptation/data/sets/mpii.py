"""MPII Human Pose (``mpii_human_pose_v1_u12_1.mat``).

Sources of the format: the data set's README (RELEASE, annolist, annorect, annopoints.point, ...); HMR,
``src/datasets/mpii_to_tfrecords.py``; the head size is that of its evaluation (evalMPII: 0.6 times the diagonal of the
head's rectangle). Coordinates count pixel centres from 1, so half a pixel is taken off.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from adaptation.bodies.joint_sets import SPIN, JointSet
from adaptation.data.sets.matlab import read_mat
from adaptation.data.sets.people import People, box_of_centre, with_boxes
from adaptation.support.errors import UserError, reason
from adaptation.support.reading.findings import found

JOINTS = JointSet(
    "mpii",
    (
        "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis", "thorax",
        "neck", "head_top", "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow",
        "left_wrist",
    ),
)  # fmt: skip
HEAD = 0.6  # of the diagonal of the head's rectangle
_SIDE = 200  # pixels per unit of MPII's scale
_FARTHEST = 1e6  # of a coordinate, pixels


def read_mpii(path: Path) -> People:
    """Read MPII.

    Args:
        path: the MATLAB file.

    Returns:
        People of the training images that have annotated joints; the test images have none. Confidences are 1, and 0.5
        for hidden joints. The boxes have the sides that MPII's scale gives.

    Raises:
        UserError: the file is missing, damaged or of another kind.
    """
    release = read_mat(path, ("RELEASE",))["RELEASE"]
    try:
        people = [
            (str(_one(image["image"])["name"]), _joints(person), _head(person), _one(person["objpos"]), person["scale"])
            for image in np.ravel(_one(release)["annolist"])
            for person in np.ravel(image["annorect"])
            if _annotated(person)
        ]
        places = [(_number(place["x"]), _number(place["y"])) for *_, place, _ in people]
        scales = [_number(scale) for *_, scale in people]
    except (AttributeError, TypeError, ValueError, IndexError, KeyError) as error:
        raise UserError(f"{path} is not in MPII's format: {reason(error)}") from None
    if not people:
        raise UserError(f"{path}: nobody has annotated joints")
    found(f"{path}: {len(people)} people with joints in {len({name for name, *_ in people})} images")
    names, joints, heads, _, _ = zip(*people, strict=True)
    return with_boxes(
        People(
            files=names,
            box=box_of_centre(np.array(places) - 0.5, _SIDE * np.array(scales)),
            keypoints=JOINTS.placed_in(SPIN, np.array(joints, np.float32)),
            head_size=np.array(heads, np.float32),
        ),
        path,
    )


def _one(structs: Any) -> Any:
    """Return the struct of a struct array of one."""
    return np.ravel(structs)[0]


def _number(array: Any) -> float:
    """Return the finite number of an array of one number, or of a text."""
    value = float(array if isinstance(array, str) else np.ravel(array)[0])
    if not abs(value) < _FARTHEST:
        raise ValueError(f"{value} is no coordinate")
    return value


def _annotated(person: Any) -> bool:
    """Return whether a person has joints, a place and a scale; empty structs are empty arrays."""
    return all(np.size(person.get(name, ())) for name in ("annopoints", "objpos", "scale")) and bool(
        np.size(_one(person["annopoints"]).get("point", ()))
    )


def _joints(person: Any) -> np.ndarray:
    joints = np.zeros((len(JOINTS), 3))
    for point in np.ravel(_one(person["annopoints"])["point"]):
        # Where visibility is not known, it is an empty array; where it is, a number or a text.
        visible = point.get("is_visible", ())
        hidden = np.size(visible) > 0 and _number(visible) == 0
        place = int(_number(point["id"]))
        if not 0 <= place < len(JOINTS):
            raise ValueError(f"there is no joint {place}")
        joints[place] = (_number(point["x"]) - 0.5, _number(point["y"]) - 0.5, 0.5 if hidden else 1)
    return joints


def _head(person: Any) -> float:
    """Return the length of the head in pixels, 0 where its rectangle is unknown."""
    if not all(np.size(person.get(name, ())) for name in ("x1", "y1", "x2", "y2")):
        return 0.0
    x1, y1, x2, y2 = (_number(person[name]) for name in ("x1", "y1", "x2", "y2"))
    return HEAD * float(np.hypot(x2 - x1, y2 - y1))
