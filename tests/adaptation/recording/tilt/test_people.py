"""Tilts of cameras that see people stand and walk on a level floor."""

from __future__ import annotations

import math

import numpy as np
import pytest
from figures import figure
from tilted_scenes import CENTRE, FOCAL, SIZE, walkers

from adaptation.recording.detections import Detection, MaskQuality, PackedMask
from adaptation.recording.regions import Box
from adaptation.recording.tilt.estimate import Focal
from adaptation.recording.tilt.people import Walkers, find_walkers, tilt_of_people
from adaptation.recording.tracking import Track

KNOWN = Focal(FOCAL)


@pytest.mark.parametrize(("pitch", "roll"), [(5, 0), (15, -4), (25, 13), (25, -30), (40, 10)])
@pytest.mark.parametrize("focal", [KNOWN, Focal.guess(SIZE)])
def test_walkers_show_pitch_and_roll(pitch: float, roll: float, focal: Focal) -> None:
    tilt = tilt_of_people(walkers(math.radians(pitch), math.radians(roll), people=12), focal)
    assert tilt is not None
    assert abs(tilt.pitch - math.radians(pitch)) < 2.5 * tilt.pitch_deviation < math.radians(10)
    assert abs(tilt.roll - math.radians(roll)) < 2.5 * tilt.roll_deviation < math.radians(10)


def test_walkers_show_the_focal_length() -> None:
    tilt = tilt_of_people(walkers(math.radians(25), 0, people=20), Focal.guess(SIZE))
    assert tilt is not None
    assert tilt.focal.deviation < 0.2
    assert abs(math.log(tilt.focal.pixels / FOCAL)) < 2.5 * tilt.focal.deviation


def test_one_person_in_one_place_leaves_the_pitch_unknown() -> None:
    all_over = walkers(math.radians(20), 0.2, people=1)
    place = np.repeat([[0.0, 60.0]], len(all_over.person), axis=0)
    still = Walkers(place, place + (all_over.heads - all_over.feet).mean(0), all_over.person)
    tilt = tilt_of_people(still, KNOWN)
    assert tilt is not None
    assert math.degrees(tilt.pitch_deviation) > 10 and math.degrees(tilt.roll_deviation) < 8


def test_a_few_who_lie_or_kneel_change_little() -> None:
    upright = walkers(math.radians(20), 0, people=12)
    heads = upright.heads.copy()
    # Two of twelve: one half as tall, one who leans by 45 degrees.
    half, leans = upright.person == 0, upright.person == 1
    axis = heads - upright.feet
    heads[half] -= axis[half] / 2
    heads[leans] += np.stack([-axis[leans][:, 1], axis[leans][:, 0]], 1)
    before, after = (
        tilt_of_people(Walkers(upright.feet, each, upright.person), KNOWN) for each in (upright.heads, heads)
    )
    assert before is not None and after is not None
    assert abs(after.pitch - before.pitch) < math.radians(3) and abs(after.roll - before.roll) < math.radians(2)


def test_nobody_shows_nothing() -> None:
    none = find_walkers([], CENTRE)
    assert len(none.person) == 0 and tilt_of_people(none, KNOWN) is None


def detection(frame: int, mask: np.ndarray, usable: bool = True) -> Detection:
    rows, columns = np.nonzero(mask)
    box: Box = (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)
    x, y, w, h = box
    quality = MaskQuality(False, 1.0, 1, False, usable, "" if usable else "merged")
    return Detection(frame, box, PackedMask.of(mask[y : y + h, x : x + w]), quality)


def test_feet_and_heads_are_the_ends_of_masks() -> None:
    mask = figure(100, 50)
    track = Track(1, (detection(0, mask), detection(1, mask, usable=False)))
    seen = find_walkers([track], (0, 0))
    assert seen.person.tolist() == [0]
    np.testing.assert_allclose(seen.heads, [[100.5, 51]], atol=1.5)
    np.testing.assert_allclose(seen.feet, [[100.5, 129]], atol=4)


def test_people_who_are_as_wide_as_tall_are_left_out() -> None:
    square = np.zeros((100, 100), bool)
    square[20:70, 20:60] = True
    assert len(find_walkers([Track(1, (detection(0, square),))], (0, 0)).person) == 0


def test_each_person_counts_a_few_times() -> None:
    track = Track(1, tuple(detection(number, figure(100, 50)) for number in range(40)))
    assert len(find_walkers([track, track], (0, 0)).person) == 24
