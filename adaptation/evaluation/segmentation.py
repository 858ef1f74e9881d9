"""Accuracy and F1 of silhouettes and of six parts, as the data set Unite the People measures LSP.

Sources of the convention: SPIN, ``eval.py`` (sums over all pixels of all images; F1 is the mean over the classes, with
the background; ignored pixels of part maps count as background in the accuracy); up_tools, ``model.py`` for the parts:
1 head, 2 trunk with neck and shoulders, 3 right arm, 4 left arm, 5 right leg, 6 left leg.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from adaptation.bodies.body import Body
from adaptation.bodies.joint_sets import SMPL

Bytes = npt.NDArray[np.uint8]
PARTS = ("background", "head", "trunk", "right arm", "left arm", "right leg", "left leg")
IGNORED = 255
_LIMBS = {"shoulder": 3, "elbow": 3, "wrist": 3, "hand": 3, "hip": 5, "knee": 5, "ankle": 5, "foot": 5}


@dataclass
class Tally:
    """Sums over pixels of many images, weighted by the area of a pixel.

    Attributes:
        classes: number C of classes; class 0 is the background.
        true_positive, false_positive, false_negative: (C,) sums.
        correct, total: sums of correct and of all pixels.
    """

    classes: int
    true_positive: npt.NDArray[np.float64] = field(init=False)
    false_positive: npt.NDArray[np.float64] = field(init=False)
    false_negative: npt.NDArray[np.float64] = field(init=False)
    correct: float = 0.0
    total: float = 0.0

    def __post_init__(self) -> None:
        """Start the sums at 0."""
        self.true_positive, self.false_positive, self.false_negative = np.zeros((3, self.classes))

    def add(self, pred: Bytes, true: Bytes, counted: npt.NDArray[np.bool_], area: float, background: float) -> None:
        """Add an image.

        Args:
            pred: (S, S) predicted classes.
            true: (S, S) true classes, or `IGNORED`.
            counted: (S, S) bool, the pixels that lie in the frame.
            area: area of a pixel of the crop in frame pixels.
            background: frame pixels beside the crop, which are background in both.
        """
        pred, true = pred[counted], true[counted]
        for number in range(self.classes):
            is_true, is_pred = true == number, (pred == number) & (true != IGNORED)
            self.true_positive[number] += area * (is_true & is_pred).sum()
            self.false_positive[number] += area * (~is_true & is_pred).sum()
            self.false_negative[number] += area * (is_true & ~is_pred).sum()
        self.true_positive[0] += background
        self.correct += area * float((np.where(true == IGNORED, 0, true) == pred).sum()) + background
        self.total += area * len(true) + background

    @property
    def accuracy(self) -> float:
        """Share of the pixels that are correct, in percent."""
        return 100 * self.correct / self.total

    @property
    def f1(self) -> npt.NDArray[np.float64]:
        """F1 of each class, 0 to 1; NaN for a class that occurs in neither."""
        with np.errstate(invalid="ignore"):
            counted = 2 * self.true_positive + self.false_positive + self.false_negative
            return np.where(counted > 0, 2 * self.true_positive / np.where(counted > 0, counted, 1), np.nan)


def inside_frame(
    box: npt.NDArray[np.float32], frame: npt.NDArray[np.float32], size: int
) -> tuple[npt.NDArray[np.bool_], float, float]:
    """Return which pixels of a crop lie in the frame, the area of one, and the area of the frame beside the crop.

    Args:
        box: (4,) x, y, w, h of the crop in frame pixels.
        frame: (2,) width and height of the frame, pixels.
        size: side of the crop, pixels.
    """
    step = float(box[2]) / size
    columns, rows = (float(corner) + (np.arange(size) + 0.5) * step for corner in box[:2])
    inside = ((rows >= 0) & (rows < frame[1]))[:, None] & ((columns >= 0) & (columns < frame[0]))[None]
    area = step**2
    return inside, area, max(float(frame[0]) * float(frame[1]) - area * float(inside.sum()), 0.0)


def part_of_faces(body: Body) -> Tensor:
    """Return the part (F,) uint8 of each face of a body, 1 to 6: that of the joint that moves its corners most."""
    of_joint = torch.tensor([_part_of_joint(name) for name in SMPL.joints], device=body.faces.device)
    moved = body.skinning_weights[body.faces].sum(dim=1).argmax(dim=1)
    return of_joint[moved].to(torch.uint8)


def _part_of_joint(name: str) -> int:
    if name == "head":
        return PARTS.index("head")
    side, _, joint = name.partition("_")
    limb = _LIMBS.get(joint)
    return PARTS.index("trunk") if limb is None else limb + (side == "left")
