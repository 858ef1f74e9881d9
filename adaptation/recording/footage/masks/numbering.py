"""Which mask belongs to which frame, by the names of the files alone.

Three things are tried in turn: names of images in the names of masks, numbers in the names, and the order of the files.
What rests on a guess is stated, and what is not clear is refused: masks moved by a frame look right in every picture.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from adaptation.recording.footage.masks.name_fields import Name, frame_field, parse
from adaptation.recording.footage.masks.numbers import placed
from adaptation.support.errors import UserError
from adaptation.support.reading.findings import found

Pairs = dict[int, tuple[str, ...]]
"""Names of the masks of each frame number."""

_MOST_TRIED = 12  # parts of a name in which an image's name is looked for; more are counters of many kinds


@dataclass(frozen=True)
class Recording:
    """What is known of the frames that masks belong to.

    Attributes:
        name: path of the recording, for messages.
        count: number of frames.
        images: names of the files of a folder of images, in the order of the frames; empty for a video.
    """

    name: str
    count: int
    images: tuple[str, ...] = ()


def pair(names: Sequence[str], recording: Recording, folder: str) -> Pairs:
    """Find the masks of each frame.

    Args:
        names: names of the files in natural order, relative to the folder, with "/" between folders.
        recording: the frames.
        folder: folder of the masks, for messages.

    Returns:
        The masks of each frame number from 0, several if there is a file per person; no mask has two frames.

    Raises:
        UserError: it is not clear which frames the masks belong to, or they belong to none.
    """
    stems = _stems(names, folder)
    pairs = _by_images(stems, recording, folder) or _by_numbers(stems, recording, folder)
    if not pairs:
        raise UserError(
            f"{folder}: none of the {len(names)} masks belongs to a frame of {recording.name}; name each mask after "
            f"its image or by its frame number, 0 to {recording.count - 1}"
        )
    missing = recording.count - len(pairs)
    if missing:
        found(f"masks: {missing} of {recording.count} frames have no mask, so nobody is looked for in them")
    return pairs


def _stems(names: Sequence[str], folder: str) -> dict[str, str]:
    """Return the names of the files by their names without a suffix."""
    stems: dict[str, str] = {}
    for name in names:
        stem = _stem(name)
        if stem in stems:
            raise UserError(
                f"{folder}: {stems[stem]} and {name} could be the mask of the same frame; keep one file per frame"
            )
        stems[stem] = name
    return stems


def _stem(name: str) -> str:
    folder, _, file = name.rpartition("/")
    stem = file.rpartition(".")[0] or file
    return f"{folder}/{stem}" if folder else stem


def _by_images(stems: dict[str, str], recording: Recording, folder: str) -> Pairs:
    """Pair masks whose names contain the name of an image; empty if that does not explain all of them."""
    keys: dict[str, int] = {}
    twice = Counter(_stem(image) for image in recording.images)
    for number, image in enumerate(recording.images):
        keys[image] = number
        if twice[_stem(image)] == 1:
            keys[_stem(image)] = number
    if not keys:
        return {}
    matches = {stem: _image_in(stem, keys) for stem in stems}
    known = {stem: match for stem, match in matches.items() if match is not None}
    unknown = [stems[stem] for stem in stems if stem not in known]
    affixes = defaultdict(list)
    for stem, (_, before, after) in known.items():
        affixes[before, after].append(stem)
    plain = affixes.get(("", ""), [])
    # Numbers of masks and images that merely overlap may count from 0 here and from 1 there.
    numbered = all(re.search("[0-9]", stem) for stem in [*stems, *recording.images])
    if unknown and (numbered or not plain):
        return {}
    if len(affixes) > 1 and plain:
        others = [stems[stem] for stem in known if stem not in set(plain)]
        raise UserError(
            f"{folder}: {stems[plain[0]]} and {others[0]} could both be masks of their frames; keep one kind of file"
        )
    if len({_template(before, after) for before, after in affixes}) > 1:
        (first, *_), (second, *_) = list(affixes.values())[:2]
        raise UserError(
            f"{folder}: {stems[first]} and {stems[second]} are files of two kinds; keep one kind of file in the folder"
        )
    if unknown:
        found(f"masks: {len(unknown)} files such as {unknown[0]} are not named after an image and are not used")
    pairs: dict[int, list[str]] = defaultdict(list)
    for stem, (number, _, _) in known.items():
        pairs[number].append(stems[stem])
    _say_united(pairs)
    return {number: tuple(pairs[number]) for number in sorted(pairs)}


def _template(before: str, after: str) -> str:
    return "*".join(re.sub("[0-9]+", "#", part) for part in (before, after))


def _image_in(stem: str, keys: dict[str, int]) -> tuple[int, str, str] | None:
    """Find the longest name of an image in a name, between whole words and numbers.

    Returns:
        Number of the frame, and what comes before and after the name; None if there is none, or more than one.
    """
    if stem in keys:
        return keys[stem], "", ""
    starts = [match.start() for match in re.finditer("[0-9]+|[a-zA-Z]+|[^0-9a-zA-Z]+", stem)] + [len(stem)]
    if len(starts) > 4 * _MOST_TRIED:
        return None
    inside = [
        (end - start, start, end)
        for index, start in enumerate(starts)
        for end in starts[index + 1 :]
        if stem[start:end] in keys
    ]
    longest = [span for span in inside if span[0] == max(inside)[0]]
    if len(longest) != 1:
        return None
    _, start, end = longest[0]
    return keys[stem[start:end]], stem[:start], stem[end:]


def _by_numbers(stems: dict[str, str], recording: Recording, folder: str) -> Pairs:
    """Pair masks by the numbers in their names, or by their order."""
    names = list(_alike({stem: parse(stem) for stem in stems}, stems, folder))
    images = [parse(_stem(image)) for image in recording.images]
    own = _own_numbers(images)
    field = frame_field(names, recording.count, own, folder)
    if field is None:
        return _in_order(stems, names, recording, folder)
    grouped: dict[int, list[str]] = defaultdict(list)
    objects: dict[tuple[int, ...], str] = {}
    for name in names:
        number = name.numbers[field]
        other = (number, *(value for place, value in enumerate(name.numbers) if place != field))
        if other in objects:  # 1.png and 0001.png
            raise UserError(
                f"{folder}: {stems[objects[other]]} and {stems[name.stem]} have the same numbers; keep one of them"
            )
        objects[other] = name.stem
        grouped[number].append(stems[name.stem])
    frames = placed(sorted(grouped), recording.count, own, folder, recording.name)
    pairs = {frames[number]: files for number, files in grouped.items() if number in frames}
    _say_united(pairs)
    return {number: tuple(pairs[number]) for number in sorted(pairs)}


def _alike(names: dict[str, Name], stems: dict[str, str], folder: str) -> Iterator[Name]:
    """Yield the names of the most frequent form; few others without a number are left out.

    Raises:
        UserError: files of another form may be masks, too.
    """
    forms = Counter(name.form for name in names.values())
    numbered = [form for form in forms if "\0" in form]
    if not numbered:
        yield from names.values()
        return
    main = max(numbered, key=lambda form: forms[form])
    others = [name for name in names.values() if name.form != main]
    for name in others:
        if "\0" in name.form or len(others) > max(2, len(names) // 10):
            first = next(other.stem for other in names.values() if other.form == main)
            raise UserError(
                f"{folder}: {stems[first]} and {stems[name.stem]} are files of two kinds; keep one kind of file in the "
                "folder, named by frame numbers"
            )
    if others:
        listed = ", ".join(stems[name.stem] for name in others[:3])
        found(f"masks: {listed} {'has' if len(others) == 1 else 'have'} no number and {_is(others)} not used")
    yield from (name for name in names.values() if name.form == main)


def _is(things: Sequence[object]) -> str:
    return "is" if len(things) == 1 else "are"


def _own_numbers(images: Sequence[Name]) -> dict[int, int]:
    """Return the frames by the numbers in the names of images; empty if the names do not count them."""
    if len({image.form for image in images}) != 1 or not images[0].numbers:
        return {}
    fields = list(zip(*(image.numbers for image in images), strict=True))
    counting = [field for field in fields if len(set(field)) == len(images)]
    if len(counting) != 1:
        return {}
    return {number: frame for frame, number in enumerate(counting[0])}


def _in_order(stems: dict[str, str], names: Sequence[Name], recording: Recording, folder: str) -> Pairs:
    """Pair masks with frames one to one where nothing but their order is known."""
    if len(names) != recording.count:
        raise UserError(
            f"{folder}: none of the {len(names)} masks belongs to a frame of {recording.name} for certain, which has "
            f"{recording.count} frames; name each mask after its image or by its frame number, "
            f"0 to {recording.count - 1}"
        )
    files = [stems[name.stem] for name in names]
    if recording.count > 1:
        found(f"masks: {files[0]} to {files[-1]} are taken in order as frames 0 to {recording.count - 1}")
    return {frame: (file,) for frame, file in enumerate(files)}


def _say_united(pairs: dict[int, list[str]]) -> None:
    """State that frames have several masks."""
    number, most = max(pairs.items(), key=lambda item: len(item[1]), default=(0, []))
    if len(most) > 1:
        found(
            f"masks: there is a file per person, such as {most[0]} and {most[1]} of frame {number}; each is one person"
        )
