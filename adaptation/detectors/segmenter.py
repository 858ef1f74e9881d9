"""Masks of the people in an image, also of those who stand still: BlazePose's detector, then its segmentation."""

from __future__ import annotations

import numpy as np

from adaptation.detectors.blazepose import PRESENT, BlazePose
from adaptation.detectors.model_packages import ModelPackage
from adaptation.detectors.people import PeopleDetector
from adaptation.support.image_files import Image, Mask

# Height of people, in parts of the longer side of the image, from which all of 30 views of a man were found; at 0.25 it
# was 83 % of them, at 0.2 17 %.
SMALLEST = 0.3
_INSIDE = 0.5  # probability from which a pixel belongs to a person
_SAME = 0.5  # IoU from which two masks show one person


class Segmenter:
    """Finds people in single images and segments each of them.

    The detector scales the whole image to 224 pixels, so that it misses people who are small in it, see `SMALLEST`.
    """

    def __init__(self, models: ModelPackage, most: int = 5, threads: int = 1) -> None:
        """Read the networks.

        Args:
            models: package that holds pose_detection and one of the landmark networks.
            most: number of people in an image, of whom the surest are segmented.
            threads: CPU threads.

        Raises:
            UserError: the package lacks a network, or LiteRT is not installed.
        """
        self._people = PeopleDetector(models, threads)
        self._pose = BlazePose(models, threads=threads)
        self._most = most

    def masks(self, image: Image) -> list[Mask]:
        """Return a mask (H, W) of each person in an image (H, W, 3), RGB uint8, the surest person first."""
        masks: list[Mask] = []
        for person in self._people.detect(image, self._most):
            # Once: a second look improves landmarks, but not the mask.
            pose = self._pose.detect([image], [person.region], rounds=1)
            if pose.presence[0] < PRESENT:
                continue
            mask = pose.mask[0] >= _INSIDE
            # Two detections may end at one person, whose mask the network draws twice.
            if mask.any() and all(_iou(mask, other) < _SAME for other in masks):
                masks.append(mask)
        return masks


def _iou(a: Mask, b: Mask) -> float:
    return float((a & b).sum() / (a | b).sum())


def union(masks: list[Mask], size: tuple[int, int]) -> Mask:
    """Return the pixels (H, W) that belong to any of some masks, for images of a (width, height)."""
    return np.logical_or.reduce([np.zeros((size[1], size[0]), bool), *masks])
