"""Foreground masks from a static camera by background subtraction, and their cleaning.

A recording is a file, so it is read twice: once for samples spread over its whole length, from
which the background is learnt, and once to subtract it. A person who stands still for a while
therefore stays foreground, and the first frames need no warm-up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from adaptation.support.image_files import Image, Mask

Floats = npt.NDArray[np.float32]
Method = Literal["median", "mog2", "knn"]
METHODS: tuple[Method, ...] = ("median", "mog2", "knn")

# Masks of other programs may keep this label; given masks read it as background as well.
SHADOW_LABEL = 127  # value with which OpenCV's MOG2 and KNN mark cast shadows


class Subtractor(Protocol):
    """A method of background subtraction: it learns a background, then segments frames."""

    def learn(self, samples: Sequence[Image]) -> None:
        """Learn the background from RGB uint8 frames (H, W, 3) spread over the recording, in order."""

    def mask(self, frame: Image) -> Mask:
        """Return the raw foreground (H, W) of one RGB frame, without shadows; call it in order of frames."""


@dataclass(frozen=True)
class MedianSettings:
    """Parameters of `MedianSubtractor`; distances are in standard deviations of the pixel's noise.

    Attributes:
        low: Distance above which a pixel is foreground if it is connected to one above `high`.
        high: Distance that every foreground region must reach in at least one pixel.
        min_sigma: Least assumed noise, in grey levels of 255.
        shadow_low: Brightness of the darkest cast shadow, as a fraction of the background's.
        shadow_chroma: Largest colour distance, in grey levels, between a cast shadow and the
            darkened background.
        shadow_texture: Largest deviation of the ratio to the background within 3 x 3 pixels, in
            standard deviations that the noise alone would cause. A shadow keeps the texture of the
            surface it falls on; dark clothes have a texture of their own.
        edge: Fraction of the largest difference within 2 px, in grey levels, by which a pixel within
            2 px of the outline must differ from the background. Blur and compression widen a person
            by a pixel or two.
    """

    # Two thresholds: parts of a person may be weak, but each region needs a pixel that noise cannot explain.
    low: float = 8.0
    high: float = 16.0
    # A noiseless pixel, as in clipped or strongly compressed areas, would have a deviation of 0 to divide by.
    min_sigma: float = 2.5
    shadow_low: float = 0.5
    shadow_chroma: float = 8.0
    shadow_texture: float = 6.0
    edge: float = 0.3


class MedianSubtractor:
    """Difference from the median of the samples, in units of each pixel's noise.

    A global change of light (clouds, automatic exposure) is removed by a gain and an offset per
    channel, fitted robustly to every frame. Cast shadows are pixels that look like the background
    darkened: brightness and chromaticity distortion follow Horprasert, Harwood and Davis (1999), the
    local deviation of the ratio to the background follows Jacques, Jung and Musse (2005).
    """

    def __init__(self, settings: MedianSettings | None = None) -> None:
        """Set the parameters; `learn` must come before `mask`."""
        self.settings = settings or MedianSettings()
        self._plate: Floats | None = None
        self._sigma: Floats | None = None

    def learn(self, samples: Sequence[Image]) -> None:
        """Compute the per-pixel median and the noise (1.4826 times the median absolute deviation)."""
        reference = samples[len(samples) // 2].astype(np.float32)
        # All samples are converted to the light of one of them: a median over two lightings would
        # match neither.
        levelled = np.empty((len(samples), *reference.shape), np.uint8)
        for out, sample in zip(levelled, samples, strict=True):
            out[:] = level_light(reference, sample)
        plate = np.empty_like(reference)
        sigma = np.empty_like(reference)
        for row in range(len(plate)):  # row by row: temporary arrays of all rows would be larger than the samples
            line = levelled[:, row].astype(np.int16)  # uint8 differences would wrap around
            middle = np.median(line, axis=0)
            plate[row] = middle
            # Not the standard deviation, which every person who passes would raise.
            sigma[row] = 1.4826 * np.median(np.abs(line - middle), axis=0)
        # Smoothed: few samples give a noisy estimate, and at edges camera jitter also affects neighbours.
        smooth = np.asarray(cv2.blur(sigma, (5, 5)), np.float32)
        self._plate = plate
        # The floor comes after the blur, which would mix it with real noise.
        self._sigma = np.maximum(smooth, np.float32(self.settings.min_sigma))

    @property
    def background(self) -> Floats:
        """The learnt background, (H, W, 3) float32 RGB, 0 to 255."""
        assert self._plate is not None, "learn must be called first"
        return self._plate

    @property
    def noise(self) -> Floats:
        """Standard deviation of each pixel and channel of the background, (H, W, 3) float32, at least `min_sigma`."""
        assert self._sigma is not None, "learn must be called first"
        return self._sigma

    def mask(self, frame: Image) -> Mask:
        """Return the foreground (H, W) of one RGB uint8 frame (H, W, 3)."""
        if self._plate is None or self._sigma is None:
            raise RuntimeError("MedianSubtractor.mask: learn must be called first")
        gain, offset = fit_light(self._plate, frame)
        # The plate is converted to the frame's light, not the reverse, so that clipped whites stay
        # equal.
        plate = np.clip(self._plate * gain + offset, 0, 255)
        image = frame.astype(np.float32)
        # In units of noise to detect a person; the edge test below compares grey levels.
        distance = _norm((image - plate) / self._sigma)
        contrast = _norm(image - plate)
        # Shadows are removed before regions are formed: a person and their shadow would be one region.
        shadow = self._shadow(image, plate, self._sigma)
        weak = (distance > self.settings.low) & ~shadow
        strong = (distance > self.settings.high) & ~shadow
        rough = hysteresis(weak, strong)
        # The edge test applies only near the outline: inside, clothes may resemble the background.
        inside = cv2.erode(rough.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        near = cv2.dilate(contrast, np.ones((5, 5), np.uint8))
        return np.asarray(rough & (inside | (contrast > self.settings.edge * near)))

    def _shadow(self, image: Floats, plate: Floats, sigma: Floats) -> Mask:
        """Return the pixels (H, W) that look like cast shadow."""
        # Before the blur below, which would remove the texture that is compared.
        smooth = self._keeps_texture(image, plate, sigma)
        # Averaged, because chromaticity is noisy in the dark.
        image = np.asarray(cv2.blur(image, (3, 3)), np.float32)
        plate = np.asarray(cv2.blur(plate, (3, 3)), np.float32)
        brightness = _brightness(image, plate)
        # Distance from the line through black and the background's colour, along which shadows move.
        chroma = _norm(image - brightness[..., None] * plate)
        darker = (brightness > self.settings.shadow_low) & (brightness < 1)
        return np.asarray(darker & (chroma < self.settings.shadow_chroma) & smooth)

    def _keeps_texture(self, image: Floats, plate: Floats, sigma: Floats) -> Mask:
        """Return where (H, W) the ratio to the background varies no more than noise explains."""
        ratio = _brightness(image, plate)
        # Mean of squares minus square of the mean: two box filters instead of one per offset.
        variance = cv2.blur(np.square(ratio), (3, 3)) - np.square(cv2.blur(ratio, (3, 3)))
        # The ratio divides by the background, so its noise is larger where the background is dark.
        noise = np.square(sigma).mean(2) / _energy(plate)
        return np.asarray(variance < self.settings.shadow_texture**2 * noise)


def _brightness(image: Floats, plate: Floats) -> Floats:
    """Return the brightness (H, W) of each pixel as a multiple of the background's, by least squares over RGB."""
    return np.asarray((image * plate).sum(2) / _energy(plate))


def _energy(plate: Floats) -> Floats:
    """Return the squared norm over the channels (H, W), at least 1 so that black pixels can be divided by it."""
    return np.asarray(np.maximum(np.square(plate).sum(2), 1))


def _norm(values: Floats) -> Floats:
    """Return the Euclidean norm over the channels of (H, W, 3), as (H, W)."""
    # cv2.transform sums over channels several times faster than NumPy.
    return np.sqrt(cv2.transform(np.square(values), np.ones((1, 3), np.float32)))


class OpenCvSubtractor:
    """OpenCV's MOG2 or KNN mixture, without the pixels it labels as shadow.

    The mixture learns from the samples and is then frozen, so that a person who stands still is not
    learnt. A colour must have been seen in about a quarter of the samples to count as background:
    with OpenCV's defaults a tenth is enough, and people become background in places where many
    pass. Frames are first converted to the light of one of the samples.
    """

    def __init__(self, method: Literal["mog2", "knn"]) -> None:
        """Create the mixture; `learn` must be called before `mask`."""
        self._reference: Floats | None = None
        self._model: cv2.BackgroundSubtractorMOG2 | cv2.BackgroundSubtractorKNN
        if method == "mog2":
            mog2 = cv2.createBackgroundSubtractorMOG2(history=500, varThreshold=16)
            # OpenCV's default is 0.9.
            mog2.setBackgroundRatio(0.75)  # modes beyond this share of the weight are foreground
            self._model = mog2
        else:
            knn = cv2.createBackgroundSubtractorKNN(history=500, dist2Threshold=400)
            knn.setkNNSamples(5)  # of the 21 samples that it keeps: about a quarter
            self._model = knn

    def learn(self, samples: Sequence[Image]) -> None:
        """Feed the samples to the mixture with equal weight."""
        self._reference = samples[len(samples) // 2].astype(np.float32)
        for number, sample in enumerate(samples):
            # A rate of 1 / n makes a running mean: with a constant rate the last samples would dominate.
            self._model.apply(level_light(self._reference, sample), learningRate=1 / (number + 1))

    def mask(self, frame: Image) -> Mask:
        """Return the foreground (H, W) of one RGB uint8 frame (H, W, 3)."""
        if self._reference is None:
            raise RuntimeError("OpenCvSubtractor.mask: learn must be called first")
        # Practically frozen, but not 0: KNN divides by the rate.
        labels = self._model.apply(level_light(self._reference, frame), learningRate=1e-6)
        # 255 is foreground; the comparison drops shadows and background together.
        return np.asarray(labels > SHADOW_LABEL)


def make_subtractor(method: Method = "median") -> Subtractor:
    """Make a subtractor of one of `METHODS`."""
    return MedianSubtractor() if method == "median" else OpenCvSubtractor(method)


def sample_frames(frames: Iterable[Image], least: int, progress: Callable[[int], None] | None = None) -> list[Image]:
    """Return between `least` and 2 * `least` evenly spread frames, in one pass of unknown length.

    Args:
        frames: Frames to choose from, each an array of its own. If there are fewer than `least`,
            all are returned.
        least: Least number of samples, at least 1.
        progress: Callback for the number of frames seen so far.
    """
    samples: list[Image] = []
    step = 1
    for number, frame in enumerate(frames):
        if number % step == 0:
            samples.append(frame)
            # Every second sample is dropped and the step doubles, so the spacing stays even.
            if len(samples) == 2 * least:
                samples = samples[::2]
                step *= 2
        if progress is not None:
            progress(number + 1)
    return samples


def sample_count(size: tuple[int, int]) -> int:
    """Return the number of samples to request for frames of a size (width, height) in pixels.

    It is 40, and less for frames larger than 1080p, so that the samples and the arrays computed from
    them stay below about 1.3 GB.
    """
    # 256 MiB of RGB frames, but never fewer than 8, since a median needs several.
    return max(8, min(40, 256 * 2**20 // (3 * size[0] * size[1])))


def fit_light(reference: Floats, frame: Image) -> tuple[Floats, Floats]:
    """Fit the gain and offset per channel that turn the light of a reference into that of a frame.

    Least squares on a grid of about 5,000 pixels, repeated without the outliers (people, and values
    clipped to black or white).

    Args:
        reference: (H, W, 3) float32 RGB, 0 to 255.
        frame: (H, W, 3) uint8 RGB.

    Returns:
        Gain and offset, each (3,), with frame = gain * reference + offset on the background; 1 and
        0 for a channel without enough contrast to fit.
    """
    # A grid suffices for two unknowns per channel, and its cost does not grow with the frame.
    step = max(1, int((frame.shape[0] * frame.shape[1] / 5000) ** 0.5))
    x = reference[step // 2 :: step, step // 2 :: step].reshape(-1, 3).astype(np.float64)
    y = frame[step // 2 :: step, step // 2 :: step].reshape(-1, 3).astype(np.float64)
    gain, offset = np.ones(3, np.float32), np.zeros(3, np.float32)
    for channel in range(3):
        xs, ys = x[:, channel], y[:, channel]
        # Clipped values do not follow the line.
        usable = (xs > 2) & (xs < 253) & (ys > 2) & (ys < 253)
        xs, ys = xs[usable], ys[usable]
        # A flat channel determines no slope.
        if len(xs) < 20 or xs.std() < 1:
            continue
        # The ratio of the medians is a start that outliers cannot pull far.
        a, b = float(np.median(ys) / np.median(xs)), 0.0
        for _ in range(5):
            residual = np.abs(ys - a * xs - b)
            # Residuals of up to 2.5 grey levels are always inliers, or a perfect fit would reject quantisation.
            near = residual <= 2.5 * max(1.4826 * float(np.median(residual)), 1.0)
            u, v = xs[near], ys[near]
            variance = u.var()
            # The inliers may be flat although all pixels were not; the last good fit is kept.
            if variance < 1:
                break
            a = float(np.mean((u - u.mean()) * (v - v.mean())) / variance)
            b = float(v.mean() - a * u.mean())
        if 0.2 < a < 5:  # beyond, the fit has followed something else than light
            gain[channel], offset[channel] = a, b
    return gain, offset


def level_light(reference: Floats, frame: Image) -> Image:
    """Return a frame (H, W, 3) uint8 as it would appear in the light of a reference, see `fit_light`."""
    gain, offset = fit_light(reference, frame)
    # The half rounds, since the conversion to uint8 cuts off.
    return np.asarray(np.clip((frame - offset) / gain + 0.5, 0, 255), np.uint8)


def hysteresis(weak: Mask, strong: Mask) -> Mask:
    """Return the 8-connected regions of `weak` (H, W) that contain a pixel of `strong`."""
    _, labels = cv2.connectedComponents(weak.astype(np.uint8), connectivity=8)
    # A table of labels, indexed once, instead of one comparison per region.
    keep = np.zeros(int(labels.max()) + 1, bool)
    keep[labels[strong & weak]] = True
    keep[0] = False
    return np.asarray(keep[labels])


def clean_mask(mask: Mask, *, min_area: int = 20, max_hole: float = 0.015) -> Mask:
    """Clean a raw foreground mask without widening it.

    Protruding structures thinner than about 3 px (barrier tape, leaves, noise) are removed by an
    opening; the remaining regions then grow back inside the raw mask. Cracks of one pixel are
    closed. Holes are filled if they are small for their region, so the gap between two legs stays.

    Args:
        mask: Raw foreground (H, W).
        min_area: Area of the smallest region kept, in pixels.
        max_hole: Area of the largest hole filled, as a fraction of the area of the region around it.

    Returns:
        (H, W) bool.
    """
    raw = mask.astype(np.uint8)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    # Closed before it is opened, or the opening would widen cracks into gaps.
    closed = cv2.morphologyEx(raw, cv2.MORPH_CLOSE, cross)
    # The tall element removes thin horizontal structures; upright legs and arms pass. Its even length shifts the rest
    # down by a pixel, which the growth below compensates.
    opened = cv2.morphologyEx(closed, cv2.MORPH_OPEN, cross)
    opened = cv2.morphologyEx(opened, cv2.MORPH_OPEN, np.ones((4, 1), np.uint8))
    # Growing inside the closed mask restores the outline that the openings have rounded.
    cleaned: npt.NDArray[Any] = cv2.min(cv2.dilate(opened, np.ones((5, 5), np.uint8)), closed)
    contours, hierarchy = cv2.findContours(cleaned, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros(mask.shape, np.uint8)
    # OpenCV's answer to a mask without contours.
    if hierarchy is None:
        return np.asarray(filled > 0)
    for outline, (_, _, _, parent) in zip(contours, hierarchy[0], strict=True):
        if parent >= 0:  # the outline of a hole
            continue
        # Inside the bounding box only: a frame-sized array per region would dominate the time.
        x, y, w, h = cv2.boundingRect(outline)
        region = np.zeros((h, w), np.uint8)
        cv2.drawContours(region, [outline], -1, 1, cv2.FILLED, offset=(-x, -y))
        # A filled outline includes its holes; the cleaned mask takes them out again.
        own = region & cleaned[y : y + h, x : x + w]
        area = int(own.sum())
        if area < min_area:
            continue
        holes = region & ~own & 1
        # 4-connected, because the regions are 8-connected: a diagonal line of pixels separates two holes.
        count, labels, stats, _ = cv2.connectedComponentsWithStats(holes, connectivity=4)
        for hole in range(1, count):
            if stats[hole, cv2.CC_STAT_AREA] <= max_hole * area:
                own[labels == hole] = 1
        # Boxes of regions overlap, so pixels are added and never cleared.
        filled[y : y + h, x : x + w] |= own
    return np.asarray(filled > 0)
