"""Where people are in an image: BlazePose's detector, a single-shot network (SSD).

As MediaPipe 0.10.21 runs it (modules/pose_detection). The network looks at the whole image, scaled to fit 224 x 224 RGB
in [-1, 1] with black borders, and gives for each of 2,254 anchors

- (12,): centre, width and height of the face, then x, y of four points, of which the first two are the middle of the
  hips and a point on the circle around the whole person; all in pixels relative to the anchor;
- (1,): logit of a person being there.

Anchors are centres of cells, row by row: two in each cell of 8 pixels, two in each of 16, six in each of 32. People who
are less than 0.3 times as high as the image's longer side are often missed.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from adaptation.detectors.blazepose import sigmoid
from adaptation.detectors.litert import Network
from adaptation.detectors.model_packages import ModelPackage
from adaptation.detectors.regions import Region, upright_region
from adaptation.support.image_files import Image

Floats = npt.NDArray[np.float32]
_CELLS = ((8, 2), (16, 2), (32, 6))  # pixels of a cell, anchors in it
_LEAST = 0.5  # probability from which a person counts, MediaPipe's default
_OVERLAP = 0.3  # IoU of the boxes of two anchors from which they are one person


@dataclass(frozen=True)
class FoundPerson:
    """A person in an image.

    Attributes:
        region: square around the whole person, turned so that the trunk is upright.
        score: probability in [0, 1].
    """

    region: Region
    score: float


class PeopleDetector:
    """The detection network."""

    def __init__(self, models: ModelPackage, threads: int = 1) -> None:
        """Read the network.

        Args:
            models: package that holds it; the npm archive does not.
            threads: CPU threads.

        Raises:
            UserError: the package lacks the network, or LiteRT is not installed.
        """
        self._network = Network(models.read("pose_detection"), "pose_detection", threads)
        self._anchors = anchors(self._network.size)

    def detect(self, image: Image, most: int = 10) -> list[FoundPerson]:
        """Find the people in an image.

        Args:
            image: (H, W, 3) RGB uint8.
            most: number of people, of whom the surest are returned.
        """
        height, width = image.shape[:2]
        whole = Region(width / 2, height / 2, max(height, width))
        size = self._network.size
        out = self._network(2 * whole.cut(image, size, cv2.BORDER_CONSTANT) - 1)
        scores = sigmoid(out[len(self._anchors), 1][:, 0])
        points = out[len(self._anchors), 12].reshape(-1, 6, 2) / np.float32(size)
        points[:, [0, 2, 3, 4, 5]] += self._anchors[:, None]
        return [
            FoundPerson(upright_region(*whole.to_image(mean[2:4])), score)
            for mean, score in merge(points, scores)[:most]
        ]


def anchors(size: int) -> Floats:
    """Return the centres (A, 2) of the anchors, x and y in parts of the image's sides."""
    centres = []
    for cell, count in _CELLS:
        side = size // cell
        row, column = np.indices((side, side)).reshape(2, -1)
        centres.append(np.repeat((np.stack([column, row], 1) + 0.5) / side, count, axis=0))
    return np.concatenate(centres).astype(np.float32)


def merge(points: Floats, scores: Floats) -> list[tuple[Floats, float]]:
    """Merge the anchors that found one person, by weighted non-maximum suppression.

    Args:
        points: (A, 6, 2) centre and size of the box, and four points, of each anchor.
        scores: (A,) probabilities.

    Returns:
        For each person, the surest first, the means (6, 2) of the anchors' values, weighted by their probabilities, and
        the greatest probability.
    """
    order = [index for index in np.argsort(-scores, kind="stable") if scores[index] >= _LEAST]
    people = []
    while order:
        best = order[0]
        same = [index for index in order if _iou(points[best], points[index]) > _OVERLAP or index == best]
        weights = scores[same][:, None, None]
        people.append((np.asarray((points[same] * weights).sum(0) / weights.sum(), np.float32), float(scores[best])))
        order = [index for index in order if index not in same]
    return people


def _iou(a: Floats, b: Floats) -> float:
    low, high = np.maximum(a[0] - a[1] / 2, b[0] - b[1] / 2), np.minimum(a[0] + a[1] / 2, b[0] + b[1] / 2)
    both = float(np.prod(np.maximum(high - low, 0)))
    return both / max(float(np.prod(a[1]) + np.prod(b[1])) - both, 1e-9)
