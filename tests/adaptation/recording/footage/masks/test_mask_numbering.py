"""Which mask belongs to which frame: by names of images, by numbers, by order, or refused."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptation.recording.footage.masks.numbering import Pairs, Recording, pair
from adaptation.support.errors import UserError
from adaptation.support.image_files import natural_key
from adaptation.support.reading.findings import kept_findings


def paired(names: Sequence[str], count: int = 0, images: Sequence[str] = ()) -> tuple[Pairs, list[str]]:
    """Pair names with the frames of a video, or of images; with what was stated."""
    with kept_findings() as found:
        pairs = pair(sorted(names, key=natural_key), Recording("clip", count or len(images), tuple(images)), "masks")
    return pairs, found


def numbered(form: str, numbers: Sequence[int]) -> list[str]:
    return [form.format(number) for number in numbers]


def single(names: Sequence[str]) -> Pairs:
    return {number: (name,) for number, name in enumerate(names)}


IMAGES = numbered("frame_{:04d}.jpg", range(1, 11))


@pytest.mark.parametrize(
    ("form", "images"),
    [
        ("frame_{:04d}.png", IMAGES),
        ("frame_{:04d}_mask.png", IMAGES),
        ("frame_{:04d}.jpg.png", IMAGES),
        ("mask_of_frame_{:04d}.png", IMAGES),
        ("mask_{:04d}.png", IMAGES),
        ("{}.png", IMAGES),
        ("{:05d}_seg.png", numbered("{:05d}.jpg", range(1, 11))),
        ("{}_mask.png", numbered("{}.jpg", range(1, 11))),
        ("2024-01-05_12-30-{:02d}_mask.png", numbered("2024-01-05_12-30-{:02d}.jpg", range(1, 11))),
        ("cam2_{:04d}.png", numbered("cam1_{:04d}.jpg", range(1, 11))),
    ],
)
def test_names_and_numbers_of_images(form: str, images: Sequence[str]) -> None:
    names = numbered(form, range(1, 11))
    assert paired(names, images=images) == (single(names), [])
    fewer, found = paired(names[3:8], images=images)
    assert fewer == {number: (names[number],) for number in range(3, 8)}
    assert found == ["masks: 5 of 10 frames have no mask, so nobody is looked for in them"]


def test_names_without_numbers() -> None:
    images = ["anna.jpg", "bert.jpg", "chris.jpg"]
    assert paired(["anna.png", "chris.png"], images=images)[0] == {0: ("anna.png",), 2: ("chris.png",)}
    pairs, found = paired(["anna.png", "legend.png"], images=images)
    assert pairs == {0: ("anna.png",)} and "1 files such as legend.png are not named after an image" in found[0]
    with pytest.raises(UserError, match=r"anna\.png and anna_mask\.png could both be masks"):
        paired(["anna.png", "anna_mask.png", "bert.png"], images=images)
    with pytest.raises(UserError, match=r"anna_(mask|vis)\.png and anna_(mask|vis)\.png are files of two kinds"):
        paired(["anna_mask.png", "anna_vis.png", "bert_mask.png", "bert_vis.png"], images=images)


def test_images_and_masks_that_count_from_different_numbers() -> None:
    names = numbered("{:04d}.png", range(10))
    pairs, found = paired(names, images=numbered("{:04d}.jpg", range(1, 11)))
    assert pairs == single(names) and found == ["masks: numbers 0 to 9 are taken in order as frames 0 to 9"]
    names = numbered("{:04d}.png", range(1, 11))
    assert paired(names, images=numbered("{:04d}.jpg", range(10)))[0] == single(names)
    # Some are missing.
    names = numbered("{:04d}.png", (0, 1, 3, 4))
    pairs, found = paired(names, images=numbered("{:04d}.jpg", range(1, 6)))
    assert pairs == dict(zip((0, 1, 3, 4), ((name,) for name in names), strict=True))
    assert found[0] == "masks: numbers 0 to 4 are taken as the images 1 to 5, since images are numbered 1 to 5"
    names = numbered("mask_{:04d}.png", (1, 2, 3, 5, 6))
    pairs, found = paired(names, images=numbered("frame_{:04d}.jpg", range(6)))
    assert pairs == dict(zip((0, 1, 2, 4, 5), ((name,) for name in names), strict=True)) and len(found) == 2
    with pytest.raises(UserError, match="there is a mask 0, but the images of clip are numbered 1 to 10"):
        paired(numbered("{:04d}.png", (0, 5, 10)), images=numbered("{:04d}.jpg", range(1, 11)))
    with pytest.raises(UserError, match=r"masks 1 to 6 \(without 4\) are more than the 5 frames"):
        paired(names, images=numbered("frame_{:04d}.jpg", range(5)))


NAMES_OF_OBJECTS = (
    "{frame:05d}_{person}.png",
    "{frame}_{person}.png",
    "{person}/{frame:05d}.png",
    "{frame:05d}/{person}.png",
    "person_{person}/{frame:05d}.png",
    "frame_{frame}_person_{person}.png",
    "clip3_{frame:04d}_id{person:03d}.png",
    "obj{person}_{frame:04d}.png",
)


@pytest.mark.parametrize("form", NAMES_OF_OBJECTS)
@pytest.mark.parametrize("images", [(), tuple(numbered("{:05d}.jpg", range(20)))])
@pytest.mark.parametrize("people", [(1, 2), (0, 1, 2), (4, 7)])
def test_a_file_per_person(form: str, images: tuple[str, ...], people: tuple[int, ...]) -> None:
    names = {
        (frame, person): form.format(frame=frame, person=person)
        for frame in range(20)
        for person in people
        if person == people[0] or frame % 3 == 0  # the others come and go
    }
    pairs, found = paired(list(names.values()), 20, images)
    assert {number: {*files} for number, files in pairs.items()} == {
        frame: {name for (of, _), name in names.items() if of == frame} for frame in range(20)
    }
    assert len(found) == 1 and "each is one person" in found[0], found


@pytest.mark.parametrize("frames", [1, 3])
def test_a_file_per_person_in_few_frames(frames: int) -> None:
    names = [f"{frame:05d}_{person}.png" for frame in range(frames) for person in (1, 2)]
    pairs, found = paired(names, 20)
    assert pairs == {frame: (f"{frame:05d}_1.png", f"{frame:05d}_2.png") for frame in range(frames)}
    assert "00000_1.png and 00000_2.png of frame 0" in found[0]


def test_numbers_that_could_count_frames_or_people_are_refused() -> None:
    with pytest.raises(UserError, match="could be the number of the frame"):
        paired(["00000_1.png", "00000_2.png"], 2)
    with pytest.raises(UserError, match="could be the number of the frame"):
        paired([f"{first}_{second}.png" for first in range(4) for second in range(4)], 20)
    with pytest.raises(UserError, match="could be the number of the frame"):
        paired([f"{frame:03d}_{part}.png" for frame in range(5) for part in (0, 1)], 10)
    # Words decide.
    pairs, _ = paired([f"frame_{first}_person_{second}.png" for first in range(5) for second in range(2)], 10)
    assert sorted(pairs) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("numbers", "count", "frames", "stated"),
    [
        (range(20), 20, range(20), ""),
        (range(1, 21), 20, range(20), "numbers 1 to 20 are taken in order as frames 0 to 19"),
        (range(1001, 1021), 20, range(20), "numbers 1001 to 1020 are taken in order as frames 0 to 19"),
        (range(0, 200, 10), 200, range(0, 200, 10), "180 of 200 frames have no mask"),
        (range(0, 200, 10), 20, range(20), "numbers 0 to 190 are taken in order as frames 0 to 19"),
        ((0, 3, 17), 20, (0, 3, 17), "17 of 20 frames have no mask"),
        ((4, 19), 20, (4, 19), "numbers 4 to 19 are taken as frame numbers, counted from 0"),
        ((1, 2, 3, 5, 6), 6, (0, 1, 2, 4, 5), "numbers 1 to 6 are counted from 1 and taken as frames 0 to 5"),
        ((7, 8, 20), 20, (6, 7, 19), "numbers 7 to 20 are counted from 1 and taken as frames 6 to 19"),
        (range(21), 20, range(20), "1 of 21 lie beyond the last frame, 19, and are not used"),
        ((1690000000123, 1690000000160, 1690000000199), 3, (0, 1, 2), "taken in order as frames 0 to 2"),
    ],
)
def test_numbers_of_a_video(numbers: Sequence[int], count: int, frames: Sequence[int], stated: str) -> None:
    names = numbered("mask_{:04d}.png", numbers)
    pairs, found = paired(names, count)
    assert pairs == {frame: (name,) for frame, name in zip(frames, names, strict=False)}
    assert stated in " ".join(found) and bool(stated) == bool(found), found


@pytest.mark.parametrize(
    ("numbers", "count", "message"),
    [
        ((1, 2, 3, 5, 6), 5, r"masks 1 to 6 \(without 4\) are more than the 5 frames"),
        ((1, 2, 3, 5, 6), 7, r"masks 1 to 6 \(without 4\) of the 7 frames of clip may count from 0 or from 1; add"),
        (range(1, 10), 20, "may count from 0 or from 1; add an empty mask numbered 0 .* or 20 if"),
        ((0, 1, 2, 4, 5), 5, r"masks 0 to 5 \(without 3\) are more than the 5 frames"),
        (range(10, 110, 10), 100, "may count from 0 or from 1"),
        (range(60), 20, "masks 0 to 59 are more than the 20 frames of clip; give the masks of these very frames"),
        ((500,), 20, "none of the 1 masks belongs to a frame of clip"),
    ],
)
def test_numbers_that_are_not_clear(numbers: Sequence[int], count: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        paired(numbered("mask_{:04d}.png", numbers), count)


def test_files_that_are_not_alike() -> None:
    names = numbered("mask_{:04d}.png", range(20))
    pairs, found = paired([*names, "legend.png"], 20)
    assert pairs == single(names) and found == ["masks: legend.png has no number and is not used"]
    with pytest.raises(UserError, match=r"mask_0000\.png and vis_0000\.png are files of two kinds"):
        paired([*names, *numbered("vis_{:04d}.png", range(20))], 20)
    with pytest.raises(UserError, match=r"0\.jpg and 0\.png could be the mask of the same frame"):
        paired(["0.png", "0.jpg"], 2)
    with pytest.raises(UserError, match=r"01\.png and 1\.png have the same numbers"):
        paired(["0.png", "1.png", "01.png"], 2)


def test_names_without_numbers_are_taken_in_order() -> None:
    assert paired(["a.png", "b.png"], 2) == (
        {0: ("a.png",), 1: ("b.png",)},
        ["masks: a.png to b.png are taken in order as frames 0 to 1"],
    )
    with pytest.raises(UserError, match="name each mask after its image or by its frame number, 0 to 2"):
        paired(["a.png", "b.png"], 3)


_PART = st.one_of(
    st.sampled_from(
        ["frame", "mask", "_", "-", ".", "person", "obj", "#", "é", "٣", "²", "00", "p", "clip", "\0x"[1:]]
    ),
    st.integers(0, 30).map(str),
    st.integers(0, 30).map("{:04d}".format),
    st.integers(0, 10**30).map(str),
    st.text(st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=4),
)
_NAME = st.lists(_PART, min_size=1, max_size=6).map("".join)
_PATH = st.one_of(_NAME, st.tuples(_NAME, _NAME).map("/".join)).map(lambda name: f"{name}.png")
# Names of one form are what folders hold; single odd ones stand among them.
_SERIES = st.tuples(
    st.sampled_from(
        [
            "{:d}",
            "{:05d}",
            "m_{:03d}_mask",
            "{:04d}.jpg",
            *(re.sub("{person.*?}", "1", form) for form in NAMES_OF_OBJECTS),
        ]
    ),
    st.sets(st.integers(0, 25), min_size=1, max_size=25),
).map(lambda made: [re.sub("{(frame)?", "{", made[0]).format(number) + ".png" for number in sorted(made[1])])


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(
    st.one_of(
        st.lists(_PATH, min_size=1, max_size=12), _SERIES, st.tuples(_SERIES, _SERIES).map(lambda two: two[0] + two[1])
    ),
    st.lists(_PATH, max_size=2),
    st.integers(1, 30),
    st.one_of(st.just([]), _SERIES, st.lists(_NAME, max_size=12)),
)
def test_any_names_are_paired_one_to_one_or_refused(
    names: list[str], odd: list[str], count: int, images: list[str]
) -> None:
    chosen = list(dict.fromkeys([*names, *odd]))
    try:
        pairs, _ = paired(chosen, len(images) or count, images)
    except UserError as error:
        assert 0 < len(str(error))
        return
    used = [name for files in pairs.values() for name in files]
    assert len(used) == len({*used}) and {*used} <= {*chosen} and used
    assert all(0 <= number < (len(images) or count) for number in pairs)
