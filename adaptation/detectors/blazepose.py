"""BlazePose: 33 landmarks of one person in 2D and 3D, and the person's mask.

Bazarevsky et al., BlazePose: On-device Real-time Body Pose Tracking, 2020, as MediaPipe 0.10.21 runs it
(modules/pose_landmark). The network looks at a square region around one person, 256 x 256 RGB in [0, 1], and gives

- (195,): 39 x (x, y, z, visibility, presence), x, y and z in pixels of the input, the last two as logits. The first 33
  are landmarks; of the others, 33 is the middle of the hips and 34 a point on the circle around the whole person;
- (1,): probability that a person is there;
- (256, 256, 1): logits of the person's mask;
- (64, 64, 39): logits of heatmaps, which refine x and y;
- (117,): 39 x (x, y, z) in metres, origin between the hips, x right, y down, z away from the camera.

The network sees one person per region. It exchanges left and right now and then, above all for people who are seen from
behind or from the side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adaptation.detectors.litert import Network
from adaptation.detectors.model_packages import ModelName, ModelPackage
from adaptation.detectors.regions import Region, upright_region
from adaptation.support.image_files import Image

Floats = npt.NDArray[np.float32]

LANDMARKS: tuple[str, ...] = (
    "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer",
    "left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_pinky", "right_pinky", "left_index", "right_index", "left_thumb",
    "right_thumb", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "left_heel",
    "right_heel", "left_foot_index", "right_foot_index",
)  # fmt: skip
"""Names of the 33 landmarks, in the order of the network."""

VARIANTS: tuple[ModelName, ...] = ("pose_landmark_heavy", "pose_landmark_full", "pose_landmark_lite")
"""The networks, the most accurate first."""

PRESENT = 0.5  # probability from which somebody is there, MediaPipe's default
_ALL, _CENTRE, _RIM = 39, 33, 34  # outputs per person; indices of the two that give the next region
_REACH, _SURE = 3, 0.5  # cells on each side of a landmark, and probability from which a heatmap refines it


@dataclass(frozen=True, eq=False)
class Poses:
    """What was found in N images, each of one person.

    Attributes:
        keypoints2d: (N, 33, 3) x, y in image pixels, pixel centres at +0.5, and confidence in [0, 1]: the smaller one
            of the landmark's probabilities of being visible and of being in the image. All confidences are 0 where
            ``presence`` is below 0.5.
        world: (N, 33, 3) metres, x right, y down, z away from the camera, origin between the hips.
        mask: (N, H, W) probability in [0, 1] that a pixel shows the person.
        presence: (N,) probability in [0, 1] that a person is there.
    """

    keypoints2d: Floats
    world: Floats
    mask: Floats
    presence: Floats

    def __len__(self) -> int:
        return len(self.presence)


@dataclass(frozen=True, eq=False)
class _Found:
    """Outputs for one region: landmarks (39, 2) in image pixels, confidence (39,), world (39, 3), mask (S, S)."""

    region: Region
    points: Floats
    confidence: Floats
    world: Floats
    mask: Floats
    presence: float

    def next_region(self) -> Region:
        """Return the region that fits the person who was found, with the trunk upright."""
        return upright_region(self.points[_CENTRE], self.points[_RIM])


class BlazePose:
    """The landmark network.

    Attributes:
        variant: name of the network.
    """

    def __init__(self, models: ModelPackage, variant: ModelName | None = None, threads: int = 1) -> None:
        """Read the network.

        Args:
            models: package that holds it.
            variant: one of `VARIANTS`; None for the most accurate one in the package.
            threads: CPU threads.

        Raises:
            UserError: the package lacks the network, or LiteRT is not installed.
        """
        self.variant = models.first(*VARIANTS) if variant is None else variant
        self._network = Network(models.read(self.variant), self.variant, threads)

    def detect(self, images: Sequence[Image], regions: Sequence[Region], rounds: int = 2) -> Poses:
        """Find a person in each image.

        Args:
            images: N images (H, W, 3) of one size, RGB uint8.
            regions: where to look, one per image; the person should fill about 80 % of the side.
            rounds: how often to look. From the second time on, the region is the one that the landmarks give, as
                MediaPipe does it from frame to frame of a video.
        """
        found = [self._look(image, region, rounds) for image, region in zip(images, regions, strict=True)]
        shape = images[0].shape[:2] if len(images) else (0, 0)
        count = len(LANDMARKS)
        points = np.stack([each.points[:count] for each in found]) if found else np.zeros((0, count, 2), np.float32)
        sure = np.array([each.confidence[:count] * (each.presence >= PRESENT) for each in found], np.float32)
        world = np.array([each.world[:count] for each in found], np.float32)
        masks = [each.region.paste(each.mask, (shape[0], shape[1])) for each in found]
        return Poses(
            keypoints2d=np.concatenate([points, sure.reshape(-1, count, 1)], axis=2),
            world=world.reshape(-1, count, 3),
            mask=np.stack(masks) if masks else np.zeros((0, *shape), np.float32),
            presence=np.array([each.presence for each in found], np.float32),
        )

    def _look(self, image: Image, region: Region, rounds: int) -> _Found:
        found = self._look_once(image, region)
        for _ in range(rounds - 1):
            # Where nobody was found, the landmarks say nothing about where to look next.
            if found.presence < PRESENT:
                break
            again = self._look_once(image, found.next_region())
            if again.presence < PRESENT:
                break
            found = again
        return found

    def _look_once(self, image: Image, region: Region) -> _Found:
        size = self._network.size
        out = self._network(region.cut(image, size))
        landmarks = out[5 * _ALL,].reshape(_ALL, 5)
        places = refine(landmarks[:, :2] / np.float32(size), out[size // 4, size // 4, _ALL])
        return _Found(
            region=region,
            points=region.to_image(places),
            confidence=sigmoid(landmarks[:, 3:]).min(axis=1),
            world=region.turned(out[3 * _ALL,].reshape(_ALL, 3)),
            mask=sigmoid(out[size, size, 1][..., 0]),
            presence=float(out[1,][0]),
        )


def refine(places: Floats, heatmaps: Floats) -> Floats:
    """Move landmarks to the centres of the peaks in their heatmaps.

    A landmark moves to the mean of the cells around it, weighted by their probabilities, if one of them is sure.

    Args:
        places: (J, 2) x, y in parts of the sides.
        heatmaps: (S, S, J) logits.

    Returns:
        (J, 2) x, y in parts of the sides.
    """
    size = heatmaps.shape[0]
    refined = places.copy()
    for joint, (column, row) in enumerate(np.trunc(places * size).astype(int).tolist()):
        if not (0 <= column < size and 0 <= row < size):
            continue
        top, left = max(0, row - _REACH), max(0, column - _REACH)
        weights = sigmoid(heatmaps[top : row + _REACH + 1, left : column + _REACH + 1, joint])
        if weights.max() < _SURE:
            continue
        rows, columns = np.indices(weights.shape)
        # As MediaPipe counts cells, which the network was trained for: not from their centres.
        refined[joint, 0] = (weights * (columns + left)).sum() / weights.sum() / size
        refined[joint, 1] = (weights * (rows + top)).sum() / weights.sum() / size
    return refined


def sigmoid(logits: Floats) -> Floats:
    """Return probabilities of logits of any shape."""
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -80, 80))), np.float32)
