"""Numbers of the frames that a user asks for."""

from __future__ import annotations

import re
from collections.abc import Iterable

from adaptation.recording.footage.video import MAX_FRAME_NUMBER, Frames
from adaptation.support.errors import UserError


def parse_frames(text: str) -> tuple[int, ...]:
    """Parse a list of frame numbers and inclusive ranges, such as "10,20,30-40".

    Args:
        text: Numbers from 0 and ranges a-b with a <= b, separated by commas; spaces are ignored.

    Returns:
        The distinct numbers in rising order.

    Raises:
        UserError: The text has another form, or a number exceeds `MAX_FRAME_NUMBER`.
    """
    # A set, because ranges may overlap.
    numbers: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*([0-9]+)\s*(?:-\s*([0-9]+)\s*)?", part)
        if match is None:
            raise UserError(
                f'frames "{text}": "{part.strip()}" is not a number or a range; write, for example, 10,20,30-40'
            )
        # The length is compared first: Python refuses to convert thousands of digits.
        ends = [end.lstrip("0") or "0" for end in match.groups() if end is not None]
        if any(len(end) > len(str(MAX_FRAME_NUMBER)) or int(end) > MAX_FRAME_NUMBER for end in ends):
            raise UserError(f'frames "{part.strip()[:40]}": frame numbers go up to {MAX_FRAME_NUMBER}')
        first, last = int(ends[0]), int(ends[-1])
        if last < first:
            raise UserError(f'frames "{text}": the range {first}-{last} runs backwards; write {last}-{first}')
        numbers.update(range(first, last + 1))
    return tuple(sorted(numbers))


def check_frames(numbers: Iterable[int], frames: Frames) -> None:
    """Check that a recording has the requested frames; a video of unknown length is decoded once.

    Raises:
        UserError: A number is out of range.
    """
    count = frames.exact_count()
    for number in numbers:
        if not 0 <= number < count:
            raise UserError(f"frame {number} does not exist: {frames.path} has {count} frames, 0 to {count - 1}")
