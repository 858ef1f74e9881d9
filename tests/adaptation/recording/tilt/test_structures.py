"""Tilts of cameras that see posts, beams, or lines that mean nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tilted_scenes import CENTRE, FOCAL, HEIGHT, SIZE, WIDTH, picture

from adaptation.recording.tilt.estimate import Focal
from adaptation.recording.tilt.structures import Segments, find_segments, tilt_of_structures

KNOWN = Focal(FOCAL)


@pytest.mark.parametrize(("pitch", "roll"), [(0, 0), (20, 0), (20, 13), (25, -30), (-10, 5), (40, 3)])
def test_posts_show_pitch_and_roll(pitch: float, roll: float) -> None:
    segments = find_segments(picture(math.radians(pitch), math.radians(roll)), CENTRE)
    tilt = tilt_of_structures(segments, KNOWN)
    assert tilt is not None
    assert math.degrees(tilt.pitch) == pytest.approx(pitch, abs=2)
    assert math.degrees(tilt.roll) == pytest.approx(roll, abs=1)
    assert math.degrees(tilt.pitch_deviation) < 6 and math.degrees(tilt.roll_deviation) < 3


def test_an_unknown_focal_length_makes_the_pitch_uncertain() -> None:
    segments = find_segments(picture(math.radians(30), 0), CENTRE)
    known, guessed = (tilt_of_structures(segments, focal) for focal in (KNOWN, Focal.guess(SIZE)))
    assert known is not None and guessed is not None
    # The guess is longer than the truth, and the vanishing point stays where it is.
    assert math.tan(guessed.pitch) / math.hypot(*SIZE) == pytest.approx(math.tan(known.pitch) / FOCAL, rel=0.1)
    assert guessed.pitch_deviation > known.pitch_deviation + math.radians(4)
    assert guessed.roll_deviation < math.radians(3)


def random_segments(count: int, seed: int) -> Segments:
    chance = np.random.default_rng(seed)
    angle = chance.uniform(0, math.pi, count)
    return Segments(
        chance.uniform((-WIDTH / 2, -HEIGHT / 2), (WIDTH / 2, HEIGHT / 2), (count, 2)),
        np.stack([np.cos(angle), np.sin(angle)], 1),
        chance.uniform(20, 60, count),
    )


@pytest.mark.parametrize("seed", range(3))
def test_lines_in_all_directions_show_nothing(seed: int) -> None:
    assert tilt_of_structures(random_segments(120, seed), KNOWN) is None


def test_level_lines_alone_show_nothing() -> None:
    segments = find_segments(picture(math.radians(15), 0, posts=0, beams=12), CENTRE)
    assert len(segments) >= 12
    assert tilt_of_structures(segments, KNOWN) is None


def test_pictures_without_lines_show_nothing() -> None:
    segments = find_segments(np.full((HEIGHT, WIDTH), 90, np.uint8), CENTRE)
    assert len(segments) == 0 and tilt_of_structures(segments, KNOWN) is None


def test_hidden_places_have_no_segments() -> None:
    image = picture(0, 0)
    hidden = np.zeros(image.shape, bool)
    hidden[:, : WIDTH // 2] = True
    everywhere, right = find_segments(image, CENTRE), find_segments(image, CENTRE, hidden)
    assert 0 < len(right) < len(everywhere)
    assert (right.middle[:, 0] >= 0).all()


def test_large_pictures_have_the_segments_of_small_ones() -> None:
    image = picture(math.radians(20), 0.1)
    large = np.repeat(np.repeat(image, 3, 0), 3, 1)
    tilt = tilt_of_structures(find_segments(large, (3 * CENTRE[0], 3 * CENTRE[1])), Focal(3 * FOCAL))
    assert tilt is not None
    assert (math.degrees(tilt.pitch), tilt.roll) == (pytest.approx(20, abs=2), pytest.approx(0.1, abs=0.02))
