"""Numbers of masks and numbers of frames: counted from 0 or from 1, with gaps, or sampled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import gcd

from adaptation.support.errors import UserError
from adaptation.support.reading.findings import found


def placed(numbers: Sequence[int], count: int, own: Mapping[int, int], folder: str, recording: str) -> dict[int, int]:
    """Find the frames that numbers mean.

    Args:
        numbers: distinct numbers of masks in rising order; at least one.
        count: number of frames.
        own: frames by the numbers in the names of the images; empty for a video.
        folder: folder of the masks, for messages.
        recording: path of the recording, for messages.

    Returns:
        Frame of each number; numbers without a frame are absent.

    Raises:
        UserError: it is not clear which frames are meant.
    """
    if own and all(number in own for number in numbers):
        return {number: own[number] for number in numbers}
    if not own and numbers[0] == 0 and numbers[-1] < count:
        return {number: number for number in numbers}
    if len(numbers) == count and _evenly(numbers) and (not own or _evenly(sorted(own))):
        return _in_order(numbers, count)
    if own and (numbers[-1] < min(own) or numbers[0] > max(own)):
        own = {}  # no number is an image's: the frames are counted anew
    if own:
        return _of_images(numbers, own, folder, recording)
    return _counted(numbers, count, folder, recording)


def _counted(numbers: Sequence[int], count: int, folder: str, recording: str) -> dict[int, int]:
    """Find the frames of numbers that count frames, from 0 or from 1."""
    first, last = numbers[0], numbers[-1]
    # Numbers with gaps of their own, such as times: nothing but the order relates them to frames.
    if len(numbers) == count and min(_steps(numbers), default=1) > 1:
        return _in_order(numbers, count)
    step = gcd(*numbers)
    if first > 0 and last == count and step == 1:
        found(f"masks: numbers {first} to {last} are counted from 1 and taken as frames {first - 1} to {last - 1}")
        return {number: number - 1 for number in numbers}
    if last > count and first == 1:
        raise _beyond(numbers, count, folder, recording)
    if first == 1 or (first > 0 and last == count):
        raise UserError(
            f"{folder}: masks {first} to {last}{_gaps(numbers)} of the {count} frames of {recording} may count from 0 "
            f"or from 1; add an empty mask numbered 0 if they count from 0, or {count} if they count from 1"
        )
    kept = _within(numbers, {number: number for number in range(count)}, folder, recording)
    if kept:
        found(f"masks: numbers {min(kept)} to {max(kept)} are taken as frame numbers, counted from 0")
    return kept


def _of_images(numbers: Sequence[int], own: Mapping[int, int], folder: str, recording: str) -> dict[int, int]:
    """Find the images of numbers, some of which no image has."""
    low, high = min(own), max(own)
    for shift in (-1, 1):  # images from 0 and masks from 1, or the other way round
        if all(number + shift in own for number in numbers):
            found(
                f"masks: numbers {numbers[0]} to {numbers[-1]} are taken as the images {numbers[0] + shift} to "
                f"{numbers[-1] + shift}, since images are numbered {low} to {high}"
            )
            return {number: own[number + shift] for number in numbers}
    if numbers[0] < low or sum(number not in own and number <= high for number in numbers):
        strange = next(number for number in numbers if number not in own)
        raise UserError(
            f"{folder}: there is a mask {strange}{_gaps(numbers)}, but the images of {recording} are numbered {low} to "
            f"{high}; name each mask after its image"
        )
    return _within(numbers, own, folder, recording)


def _within(numbers: Sequence[int], frames: Mapping[int, int], folder: str, recording: str) -> dict[int, int]:
    """Take numbers as they are, and leave out few that lie beyond the last frame."""
    kept = {number: frames[number] for number in numbers if number in frames}
    beyond = len(numbers) - len(kept)
    # As many masks as frames, but with gaps and beyond the end: the numbers are not those of these frames.
    if kept and (beyond > max(2, len(numbers) // 10) or (beyond and len(numbers) == len(frames))):
        raise _beyond(numbers, len(frames), folder, recording)
    if kept and beyond:
        found(f"masks: {beyond} of {len(numbers)} lie beyond the last frame, {max(frames)}, and are not used")
    return kept


def _beyond(numbers: Sequence[int], count: int, folder: str, recording: str) -> UserError:
    return UserError(
        f"{folder}: masks {numbers[0]} to {numbers[-1]}{_gaps(numbers)} are more than the {count} frames of "
        f"{recording}; give the masks of these very frames, numbered from 0 to {count - 1}"
    )


def _in_order(numbers: Sequence[int], count: int) -> dict[int, int]:
    found(f"masks: numbers {numbers[0]} to {numbers[-1]} are taken in order as frames 0 to {count - 1}")
    return {number: frame for frame, number in enumerate(numbers)}


def _steps(numbers: Sequence[int]) -> list[int]:
    return [second - first for first, second in pairwise(numbers)]


def _evenly(numbers: Sequence[int]) -> bool:
    """Return whether numbers have the same distance everywhere."""
    return len({*_steps(numbers)}) <= 1


def _gaps(numbers: Sequence[int]) -> str:
    """Name the first numbers that are missing, as a part of a sentence."""
    missing = [number for number in range(numbers[0], min(numbers[-1], numbers[0] + 2000)) if number not in {*numbers}]
    if not missing or len(missing) > len(numbers):
        return ""
    return f" (without {', '.join(map(str, missing[:3]))}{', ...' if len(missing) > 3 else ''})"
