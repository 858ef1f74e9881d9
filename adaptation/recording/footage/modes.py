"""Cameras that change their picture in the middle of a recording: to infrared, to another view, or by a lamp.

A change that is no gain and offset per channel, from one frame to the next and over much of the frame, ends a part of
the recording. Parts that look alike share a background.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from adaptation.recording.footage.light import fit_light
from adaptation.recording.footage.sampling import EvenSamples
from adaptation.support.image_files import Image

_WIDTH = 64  # of the small frames that are compared; averages over many pixels have little noise
_LEVELS = 15  # grey levels by which an average must differ to count
_CHANGED = 0.4  # fraction of a frame that changes at once; people who walk change less
_SHORTEST = 5  # frames of a part; shorter ones are flashes and damaged frames
_ALIKE = 0.3  # greatest fraction that differs between two parts of one look
_LOOKS = 8  # least number of small frames whose median is the look of a part


@dataclass(frozen=True)
class Part:
    """Consecutive frames without a change of the camera's picture.

    Attributes:
        first: Number of its first frame.
        last: Number of its last frame.
        look: Small median frame (h, w, 3) RGB uint8.
    """

    first: int
    last: int
    look: Image


class Watch:
    """Watches the frames of a recording in order, and finds its parts."""

    def __init__(self) -> None:
        """Start before the first frame."""
        self._before: Image | None = None
        self._parts: list[tuple[int, EvenSamples[Image]]] = []
        self._seen = 0

    def seen(self, frames: Iterable[Image]) -> Iterator[Image]:
        """Yield frames on, RGB uint8 (H, W, 3), having looked at each."""
        for frame in frames:
            small = small_frame(frame)
            if self._before is None or _changes(self._before, small):
                self._parts.append((self._seen, EvenSamples[Image](_LOOKS)))
            self._parts[-1][1].add(small)
            self._before = small
            self._seen += 1
            yield frame

    def parts(self) -> list[Part]:
        """Return the parts so far, without those of a few frames."""
        ends = [first for first, _ in self._parts[1:]] + [self._seen]
        return [
            Part(first, end - 1, look_of(looks.kept))
            for (first, looks), end in zip(self._parts, ends, strict=True)
            if end - first >= _SHORTEST
        ]


def small_frame(frame: Image) -> Image:
    """Return a frame reduced to a few thousand pixels, each the mean of some that it stands for."""
    height = max(8, round(_WIDTH * frame.shape[0] / frame.shape[1]))
    # Some pixels of a large frame, since the mean of all would take longer.
    step = max(1, frame.shape[1] // (3 * _WIDTH))
    return np.asarray(cv2.resize(frame[::step, ::step], (_WIDTH, height), interpolation=cv2.INTER_AREA), np.uint8)


def look_of(small: Sequence[Image]) -> Image:
    """Return the median of small frames."""
    return np.median(np.stack(small), axis=0).astype(np.uint8)


def group_looks(looks: Sequence[Image]) -> list[int]:
    """Return a number from 0 for each look; those that differ by no more than their light have the same number."""
    kinds: list[Image] = []
    numbers = []
    for look in looks:
        number = next((number for number, kind in enumerate(kinds) if alike(kind, look)), len(kinds))
        if number == len(kinds):
            kinds.append(look)
        numbers.append(number)
    return numbers


def alike(a: Image, b: Image) -> bool:
    """Return whether two small frames show one picture in two lights."""
    return min(_unexplained(a, b), _unexplained(b, a)) < _ALIKE


def _changes(before: Image, after: Image) -> bool:
    """Return whether much of a small frame differs from the one before by more than its light."""
    # Most frames end here, before anything is fitted.
    if float(np.mean(cv2.absdiff(before, after).max(2) > _LEVELS)) < _CHANGED:
        return False
    return _unexplained(before, after) >= _CHANGED


def _unexplained(reference: Image, frame: Image) -> float:
    """Return the fraction of a small frame that is not the reference in another light."""
    as_floats = reference.astype(np.float32)
    gain, offset = fit_light(as_floats, frame)
    expected = np.clip(as_floats * gain + offset, 0, 255)
    return float(np.mean(np.abs(frame - expected).max(2) > _LEVELS))
