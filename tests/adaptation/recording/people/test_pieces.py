"""Tracks that are pieces of people are put together, or recognised."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from figures import HEIGHT, WIDTH, figure

from adaptation.recording.detections import Sighting, TrackSettings, judge, sight
from adaptation.recording.people.pieces import is_part, join_pieces
from adaptation.recording.regions import find_regions

BLACK = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
SIZE = (WIDTH, HEIGHT)


def sighting(number: int, mask: np.ndarray) -> Sighting:
    return sight(number, BLACK, find_regions(mask, 1))


def rows(mask: np.ndarray, first: int, last: int) -> np.ndarray:
    cut = np.zeros_like(mask)
    cut[first:last] = mask[first:last]
    return cut


def walk(numbers: range, first: int = 0, last: int = HEIGHT, x: int = 60) -> list[Sighting]:
    """Sightings of the rows from `first` to `last` of somebody who walks."""
    return [sighting(number, rows(figure(x + 4 * number, 60, stride=0.5), first, last)) for number in numbers]


def test_legs_trunk_and_head_become_one_track() -> None:
    legs, trunk, head = walk(range(12), 100), walk(range(3, 12), 76, 98), walk(range(5, 11), 0, 74)
    (person,) = join_pieces([legs, head, trunk])
    assert [seen.frame for seen in person] == list(range(12))
    assert person[0].bbox == legs[0].bbox
    whole = walk(range(6, 7))[0]
    assert person[6].bbox == whole.bbox and whole.area * 0.9 < person[6].area <= whole.area


def test_people_stay_apart() -> None:
    def tracks(*others: list[Sighting]) -> int:
        return len(join_pieces([walk(range(12)), *others]))

    assert tracks(walk(range(12), x=110)) == 2
    # Behind somebody, above their head in the image, in half of the frames.
    behind = [sighting(number, figure(60 + 4 * number + 8 * max(0, number - 4), 24, height=36)) for number in range(12)]
    assert tracks(behind) == 2
    assert join_pieces([]) == []


def test_a_group_is_no_evidence() -> None:
    group = [replace(one, merged=True) for one in walk(range(8))]
    assert len(join_pieces([group, group])) == 2


@pytest.mark.parametrize(("heights", "part"), [((80, 80, 80, 78), False), ((20, 45, 80, 60, 44), True)])
def test_masks_that_change_from_frame_to_frame_are_parts(heights: tuple[int, ...], part: bool) -> None:
    seen = [
        sighting(number, figure(60 + 4 * number, 60, height=heights[number % len(heights)])) for number in range(30)
    ]
    detections = judge(seen, SIZE, TrackSettings(min_height=16))
    assert is_part(detections, 16) == part


def test_what_is_outside_of_the_person_does_not_make_them_a_part() -> None:
    # Somebody who is far away for long, then in a group, then at the border, and seen whole in the rest.
    small = [sighting(number, figure(200, 60, height=30)) for number in range(30)]
    grouped = [replace(one, merged=True) for one in walk(range(30, 60), x=-60)]
    cut = [sighting(number, figure(2, 60)) for number in range(60, 70)]
    alone = walk(range(70, 76), x=-200)
    assert not is_part(judge([*small, *grouped, *cut, *alone], SIZE, TrackSettings()), 40)
    assert not is_part([], 40)
