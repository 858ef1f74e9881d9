"""Square regions of an image, upright or turned, that networks look at."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from adaptation.support.image_files import Image

Floats = npt.NDArray[np.float32]
MARGIN = 1.25  # of the region around a person, relative to the circle around the person


@dataclass(frozen=True)
class Region:
    """A square in an image, in pixels; pixel centres lie at +0.5.

    Attributes:
        x: column of its centre.
        y: row of its centre.
        side: length of its sides.
        angle: clockwise turn of the square in the image, radians.
    """

    x: float
    y: float
    side: float
    angle: float = 0.0

    @classmethod
    def around(cls, box: tuple[float, float, float, float], margin: float = 0.125) -> Region:
        """Return an upright region around a box.

        Args:
            box: x, y, w, h.
            margin: space on each side as a fraction of the longer side.
        """
        x, y, w, h = box
        return cls(x + w / 2, y + h / 2, (1 + 2 * margin) * max(w, h))

    def to_image(self, points: Floats) -> Floats:
        """Return points (..., 2), given in parts of the sides from the region's upper left corner, in image pixels."""
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        turn = np.array([[cosine, sine], [-sine, cosine]], np.float32)
        return ((points - 0.5) @ turn * self.side + np.array([self.x, self.y], np.float32)).astype(np.float32)

    def turned(self, vectors: Floats) -> Floats:
        """Turn the first two of the components of vectors (..., 3) from the region's axes to the image's."""
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        turn = np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]], np.float32)
        return (vectors @ turn).astype(np.float32)

    def cut(self, image: Image, size: int, border: int = cv2.BORDER_REPLICATE) -> Floats:
        """Cut the region out of an image.

        Args:
            image: (H, W, 3) RGB uint8.
            size: side of the result, pixels.
            border: OpenCV's border mode for what lies outside of the image.

        Returns:
            (size, size, 3) RGB in [0, 1].
        """
        # Without averaging, small structures of a large person would alias.
        fine = size * max(1, int(np.ceil(self.side / size - 1e-6)))
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        cut = cv2.warpAffine(image, self._matrix(fine), (fine, fine), flags=flags, borderMode=border)
        if fine > size:
            cut = cv2.resize(cut, (size, size), interpolation=cv2.INTER_AREA)
        return np.asarray(cut, np.float32) / np.float32(255)

    def paste(self, values: Floats, shape: tuple[int, int]) -> Floats:
        """Return values (S, S) of the region as they lie in an image (H, W), 0 outside of the region."""
        matrix = self._matrix(values.shape[0])
        pasted = cv2.warpAffine(values, matrix, (shape[1], shape[0]), flags=cv2.INTER_LINEAR, borderValue=0)
        return np.asarray(pasted, np.float32)

    def _matrix(self, size: int) -> npt.NDArray[np.float64]:
        """Map pixels of the region, size x size, to those of the image, both with centres at whole numbers."""
        step = self.side / size
        linear = step * np.array([[np.cos(self.angle), -np.sin(self.angle)], [np.sin(self.angle), np.cos(self.angle)]])
        centre = np.array([self.x, self.y])
        offset = centre + linear @ np.full(2, 0.5 - size / 2) - 0.5
        return np.hstack([linear, offset[:, None]])


def upright_region(centre: Floats, rim: Floats) -> Region:
    """Return the square around a person whose hips are at a point (2,), with a point (2,) above the head or nearby.

    Its half side is the distance of the two points, and a margin. The second point lies at its upper edge.
    """
    (x, y), (across, down) = centre.tolist(), (rim - centre).tolist()
    return Region(x, y, 2 * MARGIN * float(np.hypot(across, down)), float(np.arctan2(across, -down)))
