"""COCO's person keypoints (``person_keypoints_*.json``), with masks from the outlines.

Sources of the format: the data format page of cocodataset.org; SPIN, ``datasets/preprocess/coco.py``. Keypoints are
numbers of pixels from 0, so half a pixel is added, as Detectron2 does; outlines and boxes are positions already.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from adaptation.bodies.joint_sets import SPIN, JointSet
from adaptation.data.sets.people import Labels, People, box_around, expected, with_boxes
from adaptation.support.errors import UserError
from adaptation.support.reading.file_kinds import kind_of, with_article
from adaptation.support.reading.findings import found

COCO = JointSet(
    "coco",
    (
        "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
        "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee",
        "right_knee", "left_ankle", "right_ankle",
    ),
)  # fmt: skip
_FINE = 4  # outlines are filled in an image that is so many times as large, since OpenCV fills what they touch


def read_coco(path: Path) -> People:
    """Read a file of person keypoints.

    Args:
        path: the JSON file.

    Returns:
        People with at least one keypoint; groups of people (``iscrowd``) are left out. Confidences are 1 for visible
        keypoints and 0.5 for hidden ones. Masks come from the outlines, if everybody has one.

    Raises:
        UserError: the file is missing, damaged or of another kind.
    """
    images, annotations = _contents(path)
    try:
        kept = [
            each
            for each in annotations
            if not each.get("iscrowd") and any(value > 0 for value in each.get("keypoints", ())[2::3])
        ]
        names = tuple(str(images[each["image_id"]]["file_name"]) for each in kept)
        sizes = [(images[each["image_id"]]["width"], images[each["image_id"]]["height"]) for each in kept]
        numbers, boxes = [each["keypoints"] for each in kept], [each["bbox"] for each in kept]
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is not in COCO's format: {type(error).__name__} {error}") from None
    if not kept:
        raise UserError(
            f"{path}: none of {len(annotations)} annotations has keypoints; expected person_keypoints_*.json"
        )
    found(f"{path}: {len(kept)} of {len(annotations)} annotations are people with keypoints")
    points = expected(numbers, (len(kept), 3 * len(COCO)), "keypoints", path).reshape(-1, len(COCO), 3)
    known = points[..., 2:] > 0
    keypoints = np.where(known, points + np.array([0.5, 0.5, 0]), 0).astype(np.float32)
    keypoints[..., 2] /= 2
    people = People(
        files=names,
        box=box_around(expected(boxes, (len(kept), 4), "bbox", path)),
        frame_size=expected(sizes, (len(kept), 2), "width and height", path).astype(np.float32),
        keypoints=COCO.placed_in(SPIN, keypoints),
        mask=_masks([each.get("segmentation") for each in kept]),
    )
    return with_boxes(people, path)


def _contents(path: Path) -> tuple[dict[Any, Any], list[Any]]:
    """Return the images by their id, and the annotations."""
    kind = kind_of(path)
    if kind != "JSON file":
        raise UserError(f"{path}: found {with_article(kind)}, expected person_keypoints_*.json of COCO")
    try:
        held = json.loads(path.read_bytes())
        return {image["id"]: image for image in held["images"]}, list(held["annotations"])
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {error}") from None
    except (KeyError, TypeError) as error:
        raise UserError(f"{path} is not in COCO's format: it lacks {error}") from None


def _masks(outlines: list[Any]) -> Labels | None:
    """Return a reader of masks, if everybody has an outline."""
    if not all(isinstance(outline, list) and outline for outline in outlines):
        return None

    def read(person: int, shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
        mask = np.zeros((_FINE * shape[0], _FINE * shape[1]), np.uint8)
        for line in outlines[person]:
            # OpenCV counts from pixel centres, outlines from the image's corner.
            points = np.rint(np.array(line, np.float64).reshape(-1, 2) * _FINE - 0.5).astype(np.int32)
            cv2.fillPoly(mask, [points], 255)
        covered = cv2.resize(mask, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
        return (covered >= 128).astype(np.uint8)

    return read
