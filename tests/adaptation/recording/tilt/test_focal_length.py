"""Focal lengths from level edges at right angles."""

from __future__ import annotations

import math

import pytest
from test_structures import random_segments
from tilted_scenes import CENTRE, FOCAL, SIZE, picture

from adaptation.recording.tilt.estimate import Estimate, Focal
from adaptation.recording.tilt.focal_length import focal_of_structures
from adaptation.recording.tilt.structures import find_segments, tilt_of_structures

GUESS = Focal.guess(SIZE)


@pytest.mark.parametrize(("pitch", "roll", "seed"), [(20, 0, 0), (25, 13, 1), (30, -25, 2)])
def test_beams_at_right_angles_show_the_focal_length(pitch: float, roll: float, seed: int) -> None:
    image = picture(math.radians(pitch), math.radians(roll), posts=12, beams=30, seed=seed)
    segments = find_segments(image, CENTRE)
    tilt = tilt_of_structures(segments, GUESS)
    assert tilt is not None
    focal = focal_of_structures(segments, tilt)
    assert focal.deviation < GUESS.deviation / 1.5
    assert abs(math.log(focal.pixels / FOCAL)) < 1.5 * focal.deviation
    better = tilt_of_structures(segments, focal)
    assert better is not None and better.pitch_deviation < tilt.pitch_deviation
    assert math.degrees(better.pitch) == pytest.approx(pitch, abs=4)


def test_a_known_focal_length_is_kept() -> None:
    known = Focal(500.0)
    tilt = Estimate(0.3, 0.0, 0.03, 0.02, known)
    assert focal_of_structures(find_segments(picture(0.3, 0, beams=30), CENTRE), tilt) is known


@pytest.mark.parametrize("seed", range(3))
def test_lines_in_all_directions_keep_the_guess(seed: int) -> None:
    tilt = Estimate(0.3, 0.0, 0.03, 0.02, GUESS)
    assert focal_of_structures(random_segments(120, seed), tilt) is GUESS
