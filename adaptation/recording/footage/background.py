"""Foreground masks from a static camera by background subtraction, and their cleaning.

A recording is a file, so it is read twice: once for samples spread over its whole length, from
which the background is learnt, and once to subtract it. A person who stands still for a while
therefore stays foreground, and the first frames need no warm-up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import cv2
import numpy as np

from adaptation.recording.footage.cleaning import hysteresis
from adaptation.recording.footage.light import Floats, fit_light, level_light
from adaptation.support.image_files import Image, Mask

Method = Literal["median", "mog2", "knn"]
METHODS: tuple[Method, ...] = ("median", "mog2", "knn")

# Masks of other programs may keep this label; given masks read it as background as well.
SHADOW_LABEL = 127  # value with which OpenCV's MOG2 and KNN mark cast shadows


class Subtractor(Protocol):
    """A method of background subtraction: it learns a background, then segments frames."""

    def learn(self, samples: Sequence[Image]) -> None:
        """Learn the background from RGB uint8 frames (H, W, 3) spread over the recording, in order."""

    def expect_noise_of(self, samples: Sequence[Image]) -> None:
        """Expect at least the noise of a recording, if what was learnt are a few pictures made otherwise."""

    def mask(self, frame: Image) -> Mask:
        """Return the raw foreground (H, W) of one RGB frame, without shadows; call it in order of frames."""

    @property
    def background(self) -> Floats | None:
        """Background (H, W, 3) in the light of the frame of the last call of `mask`."""


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
        self._lit: Floats | None = None

    @property
    def background(self) -> Floats | None:
        """Background (H, W, 3) in the light of the last frame."""
        return self._lit

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
    def learnt(self) -> Floats:
        """The background as it was learnt, (H, W, 3) float32 RGB, 0 to 255."""
        assert self._plate is not None, "learn must be called first"
        return self._plate

    @property
    def noise(self) -> Floats:
        """Standard deviation of each pixel and channel of the background, (H, W, 3) float32, at least `min_sigma`."""
        assert self._sigma is not None, "learn must be called first"
        return self._sigma

    def expect_noise_of(self, samples: Sequence[Image]) -> None:
        """Raise the noise to the recording's, by the median difference of all pixels, most of which show no person."""
        if self._plate is None or self._sigma is None:
            raise RuntimeError("MedianSubtractor.expect_noise_of: learn must be called first")
        noise = [np.zeros(3, np.float32)]
        for sample in samples:
            gain, offset = fit_light(self._plate, sample)
            difference = np.abs(sample - np.clip(self._plate * gain + offset, 0, 255))
            noise.append(1.4826 * np.median(difference[::4, ::4].reshape(-1, 3), axis=0))
        self._sigma = np.maximum(self._sigma, np.median(noise, axis=0).astype(np.float32))

    def mask(self, frame: Image) -> Mask:
        """Return the foreground (H, W) of one RGB uint8 frame (H, W, 3)."""
        if self._plate is None or self._sigma is None:
            raise RuntimeError("MedianSubtractor.mask: learn must be called first")
        gain, offset = fit_light(self._plate, frame)
        # The plate is converted to the frame's light, not the reverse, so that clipped whites stay
        # equal.
        plate = self._lit = np.clip(self._plate * gain + offset, 0, 255)
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
        self._background: Floats | None = None
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

    @property
    def background(self) -> Floats | None:
        """Mean background (H, W, 3), in the light of the samples."""
        return self._background

    def learn(self, samples: Sequence[Image]) -> None:
        """Feed the samples to the mixture with equal weight."""
        self._reference = samples[len(samples) // 2].astype(np.float32)
        # A few pictures are repeated, since a colour that was seen once is not yet background.
        for number, sample in enumerate([*samples] * -(-20 // len(samples)) if len(samples) < 8 else samples):
            # A rate of 1 / n makes a running mean: with a constant rate the last samples would dominate.
            self._model.apply(level_light(self._reference, sample), learningRate=1 / (number + 1))
        self._background = np.asarray(self._model.getBackgroundImage(), np.float32)

    def expect_noise_of(self, samples: Sequence[Image]) -> None:
        """Do nothing: mixtures assume more noise than cameras have."""

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
