"""Read 2D keypoints written by OpenPose, and map them to the body's joints.

The joints of a detector lie near SMPL's joints, not on them. Shoulders, elbows, wrists, knees and ankles agree within a
few centimetres. OpenPose's neck is the midpoint of the shoulders, slightly below SMPL's neck, and its hips lie above
and outside of SMPL's hips. Its mid-hip, face and foot keypoints have no counterpart among SMPL's 24 joints and are not
used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from adaptation.bodies.joint_sets import OPENPOSE_LAYOUTS, SMPL
from adaptation.support.errors import UserError, reason
from adaptation.support.reading.file_kinds import kind_of, with_article
from adaptation.support.reading.findings import found

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
_KEY, _OLD_KEY = "pose_keypoints_2d", "pose_keypoints"
_EXPECTED = f"expected one file per image, with numbers in people[].{_KEY}; move other files elsewhere"
_NEAR = 0.03  # part of the mask's side by which joints may lie beside it, since detectors are not exact
_MOST_CONFIDENT = 1.5  # OpenPose's confidences exceed 1 slightly
# What files of other programs have at their top level.
_OTHERS = (
    ({"annotations", "images"}, "a data set in COCO's format"),
    ({"instance_info"}, "MMPose's"),
    ({"landmarks"}, "MediaPipe's"),
    ({"pose_landmarks"}, "MediaPipe's"),
    ({"poseLandmarks"}, "MediaPipe's"),
    ({"keypoints", "image_id"}, "a list of results in COCO's format, as AlphaPose and others write it"),
    ({"shapes", "imagePath"}, "LabelMe's"),
)


def read_openpose(folder: Path, masks: Bytes | None = None) -> Floats:
    """Read a folder of OpenPose JSON files, one per image, in the order of the numbers in their names.

    If a file holds several people, the one is used whose joints lie on the mask, or without masks the one with the
    largest sum of confidences. If it holds none, all confidences of the image are 0.

    Args:
        folder: folder of JSON files with ``people[].pose_keypoints_2d``: x, y and confidence of each keypoint, in the
            layout BODY_25 or COCO-18.
        masks: (N, S, S) masks of the person in each image, not 0 on the person, empty where
            they are not known; None if none is.

    Returns:
        (N, 25 or 18, 3): x and y in pixels, and confidence. Pixel centres lie at +0.5, whereas OpenPose's lie at
        integers. All three are 0 for a keypoint that was not found.

    Raises:
        UserError: the folder has no JSON file, or not one per mask; no file contains a person; a file is unreadable or
            has another layout; or coordinates are not in pixels of the images.
    """
    paths = _ordered(folder)
    if masks is not None and len(paths) != len(masks):
        # Files are matched by their order alone, so a missing one would shift all that follow.
        raise UserError(f"{folder} has {len(paths)} JSON files for {len(masks)} crops; expected one per crop")
    people, layout = _read_all(paths, folder)
    _check_pixels(np.concatenate([person for each in people for person in each]), folder, masks)
    keypoints = np.zeros((len(paths), layout, 3), np.float32)
    others = 0
    for number, each in enumerate(people):
        if each:
            surest = max(range(len(each)), key=lambda k: _confidence(each[k]))
            chosen = surest if masks is None else on_mask(each, masks[number])
            others += chosen != surest
            keypoints[number] = each[chosen]
    if others:
        found(
            f"{folder}: in {others} of {len(paths)} images, the most confident person lies less on the mask than "
            "another one, who is taken"
        )
    return keypoints


def read_everybody(folder: Path, count: int) -> list[Floats]:
    """Read the people of all frames of a recording from a folder of OpenPose JSON files, one per frame.

    Args:
        folder: folder of JSON files, as for `read_openpose`.
        count: number of frames.

    Returns:
        For each frame (P, J, 3) of its P people, in the order of SMPL's joints: x and y in frame pixels, and
        confidence, 0 for joints that were not found.

    Raises:
        UserError: there is not one file per frame, or as for `read_openpose`.
    """
    paths = _ordered(folder)
    if len(paths) != count:
        raise UserError(f"{folder} has {len(paths)} JSON files for {count} frames; expected one per frame")
    people, layout = _read_all(paths, folder)
    _check_pixels(np.concatenate([person for each in people for person in each]), folder, None)
    none = np.zeros((0, layout, 3), np.float32)
    return [to_body_joints(np.stack(each) if each else none) for each in people]


def _read_all(paths: Sequence[Path], folder: Path) -> tuple[list[list[Floats]], int]:
    """Return the people of each file, and the number of keypoints of their layout."""
    people = [_read_people(path) for path in paths]
    # An image without people does not show its layout; the others do.
    counts = {len(person) for each in people for person in each}
    if not counts:
        raise UserError(f"{folder}: none of the {len(paths)} JSON files contains a person")
    if len(counts) > 1:
        raise UserError(f"{folder}: the files mix layouts of {' and '.join(map(str, sorted(counts)))} keypoints")
    return people, counts.pop()


def _ordered(folder: Path) -> list[Path]:
    """Return the JSON files of a folder in the order of the numbers in their names."""
    if folder.is_file():
        raise UserError(f"{folder}: found {with_article(kind_of(folder))}, expected a folder of OpenPose's JSON files")
    # Other systems leave hidden files such as ._000.json beside each file.
    files = (path for path in folder.glob("*") if path.suffix.lower() == ".json")
    by_name = sorted(path for path in files if not path.name.startswith("."))
    if not by_name:
        raise UserError(f"{folder}: there are no JSON files of keypoints in this folder")
    paths = sorted(by_name, key=lambda path: [int(p) if p.isdecimal() else p for p in re.split(r"(\d+)", path.name)])
    if paths != by_name:
        found(f"{folder}: files are in the order of their numbers, {paths[0].name} to {paths[-1].name}")
    return paths


def _read_people(path: Path) -> list[Floats]:
    """Return the keypoints (25 or 18, 3) of each person in a file."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is not readable JSON: {reason(error)}") from None
    people = content.get("people") if isinstance(content, dict) else None
    if not isinstance(people, list) or not all(isinstance(person, dict) for person in people):
        raise UserError(f"{path} is not in OpenPose's layout: it looks like {_looks_like(content)}; {_EXPECTED}")
    found_people = (_read_person(person, path) for person in people)
    return [person for person in found_people if person is not None]


def _read_person(person: dict[str, Any], path: Path) -> Floats | None:
    """Return the keypoints (25 or 18, 3) of a person, or None if only face or hands were found."""
    if _KEY not in person and _OLD_KEY not in person:
        raise UserError(f"{path} is not in OpenPose's layout: a person has {_listed(person)}; {_EXPECTED}")
    try:
        # The first versions of OpenPose had a shorter key.
        numbers = np.array(person.get(_KEY, person.get(_OLD_KEY)), np.float32)
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"{path} is not in OpenPose's layout: {_KEY} does not hold numbers; {_EXPECTED}") from None
    if numbers.shape == (0,):
        return None
    if numbers.shape not in {(3 * count,) for count in OPENPOSE_LAYOUTS}:
        raise UserError(f"{path}: {_KEY} must have 75 numbers (BODY_25) or 54 (COCO-18), got shape {numbers.shape}")
    keypoints = numbers.reshape(-1, 3)
    if not np.isfinite(numbers).all() or keypoints[:, 2].min() < 0 or keypoints[:, 2].max() > _MOST_CONFIDENT:
        raise UserError(f"{path}: coordinates must be finite, and confidences in 0 to 1")
    shifted = keypoints + np.array([0.5, 0.5, 0], np.float32)  # from pixel centres at integers
    # OpenPose writes 0, 0, 0 for what it did not find; the shift must not turn that into a position.
    return np.where(keypoints[:, 2:] > 0, shifted, 0).astype(np.float32)


def _looks_like(content: Any) -> str:
    """Describe the content of a JSON file that is not OpenPose's."""
    first = content[0] if isinstance(content, list) and content else content
    if isinstance(first, dict):
        for keys, what in _OTHERS:
            if keys <= first.keys():
                return what
        listed = _listed(first)
        return f"a list of objects with {listed}" if first is not content else f"an object with {listed}"
    return f"a {type(content).__name__}"


def _listed(content: dict[str, Any]) -> str:
    names = [str(key)[:40] for key in content]
    return (", ".join(names[:5]) + (", ..." if len(names) > 5 else "")) or "no keys"


def _check_pixels(keypoints: Floats, folder: Path, masks: Bytes | None) -> None:
    """Check that keypoints (M, 3) of all people are in pixels of the images.

    Raises:
        UserError: they are not.
    """
    places = keypoints[keypoints[:, 2] > 0, :2]
    # OpenPose's --keypoint_scale 3 gives [0, 1], 4 gives [-1, 1]; both have been shifted by half a pixel.
    if len(places) > 1 and np.abs(places - 0.5).max() <= 1:
        raise UserError(f"{folder}: coordinates of at most 1, expected pixels; run OpenPose with --keypoint_scale 0")
    if masks is not None and len(places):
        size = masks.shape[-1]
        outside = ((places < -size / 2) | (places > 1.5 * size)).any(axis=1).mean()
        if outside > 0.5:
            raise UserError(
                f"{folder}: coordinates of up to {places.max():.0f}, but crops have {size} pixels; run OpenPose on the "
                "crops that topo-adapt keypoints --pictures writes"
            )


def _confidence(person: Floats) -> float:
    return float(person[:, 2].sum())


def on_mask(people: Sequence[Floats], mask: Bytes) -> int:
    """Return the index of the person with the most joints on a mask, less those beside it; ties by confidence."""
    size = max(mask.shape)
    reach = 2 * round(_NEAR * size) + 1
    near = cv2.dilate((mask > 0).astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0

    def score(index: int) -> tuple[int, float]:
        person = people[index]
        places = person[person[:, 2] > 0, :2]
        column, row = np.clip(np.floor(places), -1, size).astype(int).T
        inside = (row >= 0) & (row < mask.shape[0]) & (column >= 0) & (column < mask.shape[1])
        on = np.zeros(len(places), bool)
        on[inside] = near[row[inside], column[inside]]
        # An empty mask says nothing about anybody.
        return int(on.sum() - (~on).sum()) if near.any() else 0, _confidence(person)

    return max(range(len(people)), key=score)


def to_body_joints(keypoints: Floats, least_confidence: float = 0.3) -> Floats:
    """Map OpenPose keypoints to SMPL's joints.

    Args:
        keypoints: (N, 25 or 18, 3) x, y in pixels, and confidence.
        least_confidence: confidence below which a keypoint counts as not found.

    Returns:
        (N, J, 3) x, y and confidence in the order of SMPL's joints, 0 for joints that were not found.
    """
    joints = np.zeros((len(keypoints), len(SMPL), 3), np.float32)
    for name, place in OPENPOSE_LAYOUTS[keypoints.shape[1]].items():
        # By name, because OpenPose orders joints differently from SMPL.
        joints[:, SMPL.joints.index(name)] = keypoints[:, place]
    joints[joints[..., 2] < least_confidence] = 0
    return joints
