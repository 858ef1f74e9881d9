"""Masks of one person over time: packed, and judged against their neighbours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from figures import HEIGHT, WIDTH, figure, tight
from hypothesis import given
from hypothesis import strategies as st

from adaptation.recording.detections import (
    MaskQuality,
    PackedMask,
    Sighting,
    TrackSettings,
    heads,
    judge,
    sight,
)
from adaptation.recording.regions import find_regions

BLACK = np.zeros((HEIGHT, WIDTH, 3), np.uint8)


def sighting(number: int, mask: np.ndarray) -> Sighting:
    return sight(number, BLACK, find_regions(mask, 1))


def walk(count: int) -> list[Sighting]:
    return [sighting(number, figure(60 + 5 * number, 60, stride=0.5)) for number in range(count)]


def judged(changed: Sighting, among: list[Sighting]) -> MaskQuality:
    """Judge a sighting that takes the place of the one of its frame."""
    sightings = [changed if one.frame == changed.frame else one for one in among]
    return judge(sightings, (WIDTH, HEIGHT), TrackSettings())[changed.frame].quality


@given(st.integers(1, 20), st.integers(1, 20), st.randoms(use_true_random=False))
def test_packed_masks_come_back(height: int, width: int, random) -> None:
    mask = np.array([[random.random() < 0.5 for _ in range(width)] for _ in range(height)])
    packed = PackedMask.of(mask)
    assert (packed.unpack() == mask).all() and packed.unpack().dtype == bool
    assert packed.area == mask.sum()


def test_a_sighting_has_a_box_a_mask_and_the_colours_of_its_halves() -> None:
    mask = figure(100, 60)
    frame = BLACK.copy()
    frame[mask] = (200, 10, 10)
    frame[101:][mask[101:]] = (10, 10, 200)
    found = sight(3, frame, find_regions(mask, 1))
    x, y, w, h = found.bbox
    assert (mask[y : y + h, x : x + w] == found.packed.unpack()).all() and found.area == mask.sum()
    assert found.colour[0, 0] > 150 and found.colour[1, 2] > 150
    assert found.centre.tolist() == [x + w / 2, y + h / 2]


def test_a_steady_walk_is_usable() -> None:
    detections = judge(walk(9), (WIDTH, HEIGHT), TrackSettings())
    assert [detection.frame for detection in detections] == list(range(9))
    for detection, seen in zip(detections, walk(9), strict=True):
        assert detection.bbox == seen.bbox and (detection.mask == seen.packed.unpack()).all()
        assert detection.quality == MaskQuality(False, detection.quality.area_ratio, 1, False, True, "")
        assert detection.quality.area_ratio == pytest.approx(1, abs=0.1)


def test_each_defect_is_named() -> None:
    people = walk(9)
    border = judged(sighting(4, figure(2, 60)), people)
    assert border.touches_border and "touches the border" in border.note
    merged = judged(replace(people[4], merged=True), people)
    assert merged.merged and merged.note == "merged with another person"
    half = figure(80, 60, stride=0.5)
    half[100:] = False
    cut = judged(sighting(4, half), people)
    assert not cut.usable and cut.area_ratio < 0.8 and "height" in cut.note
    gap = figure(80, 60, stride=0.5)
    gap[98:106] = False
    assert "fragments" in judged(sighting(4, gap), people).note
    wide = figure(80, 60, stride=0.5)
    wide[90:110, 50:130] = True
    assert judged(sighting(4, wide), people).note.startswith("too wide for one person")


def test_specks_are_counted_but_tolerated() -> None:
    speck = figure(80, 60, stride=0.5)
    speck[135:137, 79:81] = True
    quality = judged(sighting(4, speck), walk(9))
    assert quality.usable and quality.fragments == 2


def test_small_people_are_unusable_however_steady() -> None:
    small = [sighting(number, figure(60 + 5 * number, 60, height=30)) for number in range(9)]
    for detection in judge(small, (WIDTH, HEIGHT), TrackSettings()):
        assert detection.quality.note == "less than 40 px tall"


def test_heads() -> None:
    one = figure(100, 50)
    two = one | figure(125, 52)
    assert heads(tight(two)) == 2
    assert heads(tight(one)) == 1
    assert heads(np.ones((1, 1), bool)) == 1
    bright_face = one.copy()
    bright_face[50:64, 99:101] = False
    assert heads(tight(bright_face)) == 1


def stay(count: int) -> list[Sighting]:
    return [sighting(number, figure(100 + number % 5, 60)) for number in range(count)]


def test_masks_whose_outline_is_the_background_s() -> None:
    track = [replace(one, background_outline=0.02) for one in stay(20)]
    assert judged(track[9], track).usable
    one = judged(replace(track[9], background_outline=0.2), track)
    assert one.in_background and one.note == "part of the person is in the background"
    # A low figure among high ones is no evidence, as outlines vary from frame to frame.
    cut = [replace(one, background_outline=0.12) for one in track]
    assert not judged(replace(cut[9], background_outline=0.02), cut).usable
    assert not judged(replace(cut[9], background_outline=float("nan")), cut).usable


def test_somebody_who_passes_is_not_in_the_background() -> None:
    passing = [replace(one, background_outline=0.2) for one in walk(30)]
    assert all(not detection.quality.in_background for detection in judge(passing, (WIDTH, HEIGHT), TrackSettings()))
    staying = [replace(one, background_outline=0.2) for one in stay(30)]
    assert all(detection.quality.in_background for detection in judge(staying, (WIDTH, HEIGHT), TrackSettings()))
