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
    release = read_mat(path, ("RELEASE",), structs=True)["RELEASE"]
    try:
        people = [
            (str(image.image.name), _joints(person), _head(person), person.objpos, float(person.scale))
            for image in np.atleast_1d(release.annolist)
            for person in np.atleast_1d(image.annorect)
            if _annotated(person)
        ]
        places = [(float(place.x), float(place.y)) for *_, place, _ in people]
    except (AttributeError, TypeError, ValueError, IndexError) as error:
        raise UserError(f"{path} is not in MPII's format: {reason(error)}") from None
    if not people:
        raise UserError(f"{path}: nobody has annotated joints")
    found(f"{path}: {len(people)} people with joints in {len({name for name, *_ in people})} images")
    names, joints, heads, _, scales = zip(*people, strict=True)
    return with_boxes(
        People(
            files=names,
            box=box_of_centre(np.array(places) - 0.5, _SIDE * np.array(scales)),
            keypoints=JOINTS.placed_in(SPIN, np.array(joints, np.float32)),
            head_size=np.array(heads, np.float32),
        ),
        path,
    )


def _annotated(person: Any) -> bool:
    """Return whether a person has joints, a place and a scale; empty structs are empty arrays."""
    return all(np.size(getattr(person, name, ())) for name in ("annopoints", "objpos", "scale")) and bool(
        np.size(getattr(person.annopoints, "point", ()))
    )


def _joints(person: Any) -> np.ndarray:
    joints = np.zeros((len(JOINTS), 3))
    for point in np.atleast_1d(person.annopoints.point):
        # Where visibility is not known, it is an empty array; where it is, a number or a text.
        visible: Any = getattr(point, "is_visible", ())
        hidden = np.size(visible) > 0 and int(visible) == 0
        joints[int(point.id)] = (float(point.x) - 0.5, float(point.y) - 0.5, 0.5 if hidden else 1)
    return joints


def _head(person: Any) -> float:
    if not all(np.size(getattr(person, name, ())) for name in ("x1", "y1", "x2", "y2")):
        return 0.0
    return HEAD * float(np.hypot(float(person.x2) - float(person.x1), float(person.y2) - float(person.y1)))
