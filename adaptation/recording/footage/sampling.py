"""Samples spread evenly over a recording of unknown length, in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from adaptation.support.image_files import Image

Item = TypeVar("Item")


class EvenSamples(Generic[Item]):
    """Between `least` and 2 * `least` evenly spread items of a stream.

    Attributes:
        kept: The samples so far, in order; all items while there are fewer than `least`.
    """

    def __init__(self, least: int) -> None:
        """Set the least number of samples, at least 1."""
        self.kept: list[Item] = []
        self._least = least
        self._step = 1
        self._seen = 0

    def add(self, item: Item) -> None:
        """Look at the next item of the stream."""
        if self._seen % self._step == 0:
            self.kept.append(item)
            # Every second sample is dropped and the step doubles, so the spacing stays even.
            if len(self.kept) == 2 * self._least:
                self.kept = self.kept[::2]
                self._step *= 2
        self._seen += 1


def sample_frames(frames: Iterable[Image], least: int, progress: Callable[[int], None] | None = None) -> list[Image]:
    """Return between `least` and 2 * `least` evenly spread frames, in one pass of unknown length.

    Args:
        frames: Frames to choose from, each an array of its own. If there are fewer than `least`,
            all are returned.
        least: Least number of samples, at least 1.
        progress: Callback for the number of frames seen so far.
    """
    samples = EvenSamples[Image](least)
    for number, frame in enumerate(frames):
        samples.add(frame)
        if progress is not None:
            progress(number + 1)
    return samples.kept


def sample_count(size: tuple[int, int]) -> int:
    """Return the number of samples to request for frames of a size (width, height) in pixels.

    It is 40, and less for frames larger than 1080p, so that the samples and the arrays computed from
    them stay below about 1.3 GB.
    """
    # 256 MiB of RGB frames, but never fewer than 8, since a median needs several.
    return max(8, min(40, 256 * 2**20 // (3 * size[0] * size[1])))
