"""Choose the frames that a check looks at, and read them within seconds, however long the recording is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from adaptation.recording.footage.sampling import sample_count
from adaptation.recording.footage.video import Frames, VideoFrames
from adaptation.support.image_files import Image

MOST_PIXELS = 2 * 10**9  # decoded in about ten seconds; longer videos are not read whole


def sampled_frames(
    frames: Frames, in_step: bool, progress: Callable[[int], None] = lambda done: None
) -> list[tuple[int, Image]]:
    """Return evenly spread frames with their numbers, as many as a background is learnt from.

    Args:
        frames: the recording.
        in_step: whether the numbers have to be exact, as they have to be to find the masks of frames. Of a long video
            only the beginning is then looked at; otherwise its frames are found by seeking, whose numbers may be off
            by a few.
        progress: called with the number of frames that were read since the last call.
    """
    width, height = frames.size
    most = max(1, MOST_PIXELS // (width * height))
    if isinstance(frames, VideoFrames) and frames.count > most and not in_step:
        return list(_counted(frames.near(spread(frames.count, frames.size)), progress))
    # A video without a count in its header has a count of 1 until it was decoded.
    count = min(frames.count, most) if frames.count > most else frames.exact_count()
    return list(_counted(((number, frames.frame(number)) for number in spread(count, frames.size)), progress))


def _counted(found: Iterable[tuple[int, Image]], progress: Callable[[int], None]) -> Iterator[tuple[int, Image]]:
    for item in found:
        yield item
        progress(1)


def spread(count: int, size: tuple[int, int]) -> list[int]:
    """Return evenly spread numbers below a count, as many as the background is learnt from for frames of a size."""
    wanted = min(count, sample_count(size))
    # The middles of equal parts, because recordings often begin and end with somebody at the camera.
    return [int((index + 0.5) * count / wanted) for index in range(wanted)]
