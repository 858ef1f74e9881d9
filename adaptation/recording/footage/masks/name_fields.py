"""Numbers in the names of mask files: which of them counts frames, and which counts people."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from adaptation.support.errors import UserError

_FRAME_WORDS = ("frame", "frames")
_OBJECT_WORDS = ("obj", "object", "person", "people", "id", "instance", "inst", "track", "human", "player", "p")
_CLIP_WORDS = ("cam", "camera", "clip", "video", "vid", "scene", "shot", "seq", "sequence", "take", "part", "run", "v")
_MOST_PEOPLE = 64  # per frame


@dataclass(frozen=True)
class Name:
    """A name taken apart.

    Attributes:
        stem: the name.
        form: the name with a zero character, which no file name has, in place of each number.
        texts: digits of each number.
        words: letters just before each number, in lower case.
    """

    stem: str
    form: str
    texts: tuple[str, ...]
    words: tuple[str, ...]

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers."""
        return tuple(int(text) for text in self.texts)


def parse(stem: str) -> Name:
    """Take a name apart."""
    # Only the digits 0 to 9: other scripts' are letters of a name.
    found = re.findall("([a-zA-Z]*)[^a-zA-Z0-9]*([0-9]+)", stem)
    return Name(
        stem, re.sub("[0-9]+", "\0", stem), tuple(text for _, text in found), tuple(word.lower() for word, _ in found)
    )


def frame_field(names: Sequence[Name], count: int, own: Collection[int], folder: str) -> int | None:
    """Return which number in the names counts frames.

    Args:
        names: names of one form.
        count: number of frames.
        own: numbers in the names of the images; empty for a video.
        folder: folder of the masks, for messages.

    Returns:
        Place of the number; None if names have no numbers, or only their order counts.

    Raises:
        UserError: two numbers could be the frame's.
    """
    words = names[0].words
    told = [place for place, word in enumerate(words) if word in _FRAME_WORDS]
    if len(told) == 1:
        return told[0]
    columns = [{name.numbers[place] for name in names} for place in range(len(words))]
    varying = [place for place, column in enumerate(columns) if len(column) > 1]
    known = set(own) if own else range(count)
    if len(varying) > 2:
        return None
    if len(varying) == 2:
        return _of_two(names, varying, columns, known, folder)
    constant = [place for place in range(len(words)) if place not in varying and _counts_frames(names, place, known)]
    if not varying:  # one file
        if len(words) > 1 and constant and constant[-1] != len(words) - 1 and _object_like(names, len(words) - 1):
            return constant[-1]
        return len(words) - 1 if words else None
    place = varying[0]
    if not constant or not _object_like(names, place):
        return place
    if len(columns[place]) == count:
        raise _unclear(names, constant[-1], place, folder)
    return constant[-1]


def _counts_frames(names: Sequence[Name], place: int, known: Collection[int]) -> bool:
    """Return whether a number that all names share may be that of the only frame that has masks."""
    text, word = names[0].texts[place], names[0].words[place]
    widest = max((len(other) for name in names for at, other in enumerate(name.texts) if at != place), default=0)
    padded = text.startswith("0") and len(text) >= 3 and len(text) > widest
    return padded and int(text) in known and word not in (*_CLIP_WORDS, *_OBJECT_WORDS)


def _object_like(names: Sequence[Name], place: int) -> bool:
    """Return whether a number looks like one that counts people, from 0 or 1 and not far."""
    numbers = {name.numbers[place] for name in names}
    return min(numbers) <= 1 and len(numbers) <= 20 and max(numbers) <= _MOST_PEOPLE


def _of_two(
    names: Sequence[Name], varying: Sequence[int], columns: Sequence[set[int]], known: Collection[int], folder: str
) -> int | None:
    """Choose between two numbers that both vary: one counts frames, and the other people."""
    fits = []
    for place, other in (varying, varying[::-1]):
        frames, people = columns[place], columns[other]
        word = names[0].words
        within = len(frames) == len(known) or sum(number in known for number in frames) >= 0.9 * len(frames)
        if within and len(people) <= _MOST_PEOPLE and word[place] not in _OBJECT_WORDS:
            fits.append((place, other))
    if len(fits) == 2:
        widths = [{len(name.texts[place]) for name in names} for place, _ in fits]
        told = [names[0].words[other] in _OBJECT_WORDS for _, other in fits]
        padded = [len(width) == 1 and max(width) >= 3 for width in widths]
        if told[0] != told[1]:
            fits = [fits[told.index(True)]]
        elif padded[0] != padded[1]:
            fits = [fits[padded.index(True)]]
        elif max(widths[0]) != max(widths[1]) and all(padded):
            fits = [fits[0] if max(widths[0]) > max(widths[1]) else fits[1]]
        elif len(columns[fits[0][0]]) >= 4 * len(columns[fits[1][0]]):
            fits = fits[:1]
        elif len(columns[fits[1][0]]) >= 4 * len(columns[fits[0][0]]):
            fits = fits[1:]
        else:
            raise _unclear(names, varying[0], varying[1], folder)
    if not fits:
        return None
    place, other = fits[0]
    # As many files as frames, and yet several for one frame: a file per frame in an order of its own?
    if len(names) == len(known) and len(columns[place]) != len(known) and names[0].words[other] not in _OBJECT_WORDS:
        raise _unclear(names, place, other, folder)
    return place


def _unclear(names: Sequence[Name], first: int, second: int, folder: str) -> UserError:
    texts = names[0].texts
    return UserError(
        f"{folder}: in names such as {names[0].stem} and {names[-1].stem}, {texts[first]} or {texts[second]} could be "
        "the number of the frame; name the masks by frame number, or after it by person, such as frame_00012_person_1"
    )
