"""Specks far from a person are left out where they would spoil the mask, and nothing else is."""

from __future__ import annotations

import numpy as np
from figures import HEIGHT, WIDTH, figure

from adaptation.recording.detections import Sighting, TrackSettings, judge, sight
from adaptation.recording.people.specks import without_specks
from adaptation.recording.regions import find_regions

SIZE = (WIDTH, HEIGHT)


def sighting(mask: np.ndarray) -> Sighting:
    return sight(0, np.zeros((HEIGHT, WIDTH, 3), np.uint8), find_regions(mask, 1))


def cleaned(mask: np.ndarray) -> Sighting:
    return without_specks(sighting(mask), SIZE, TrackSettings())


def test_the_end_of_a_shadow_at_the_border() -> None:
    person = figure(100, 100)
    shadow = person.copy()
    shadow[194:, 120:124] = True
    assert "border" in judge([sighting(shadow)], SIZE, TrackSettings())[0].quality.note
    left = cleaned(shadow)
    assert left.bbox == sighting(person).bbox and (left.packed.unpack() == sighting(person).packed.unpack()).all()
    assert judge([left], SIZE, TrackSettings())[0].quality.usable


def test_a_piece_that_counts_as_a_fragment() -> None:
    person = figure(100, 60)
    far = person.copy()
    far[120:126, 118:124] = True
    assert "fragments" in judge([sighting(far)], SIZE, TrackSettings())[0].quality.note
    assert cleaned(far).bbox == sighting(person).bbox


def test_what_is_kept() -> None:
    whole = sighting(figure(100, 60))
    assert without_specks(whole, SIZE, TrackSettings()) is whole
    hand, dot, half = figure(100, 60), figure(100, 60), figure(100, 60)
    hand[95:101, 110:116] = True  # near
    dot[120:122, 120:122] = True  # ignored when the mask is judged
    half[98:112] = False  # legs
    for mask in (hand, dot, half):
        kept = sighting(mask)
        assert without_specks(kept, SIZE, TrackSettings()) is kept
