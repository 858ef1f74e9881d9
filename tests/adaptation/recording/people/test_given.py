"""Given masks are trusted: who is one person, and which masks can be used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import DARK, full_mask, record
from figures import HEIGHT, WIDTH, figure

from adaptation.recording.detections import TrackSettings
from adaptation.recording.footage.foreground import GivenMasks
from adaptation.recording.footage.mask_files import open_masks
from adaptation.recording.footage.video import Frames
from adaptation.recording.people.given import gather_fragments, given_regions
from adaptation.recording.regions import find_regions
from adaptation.recording.tracking import Track, find_people

NO_ONE = np.zeros((0, 4))
COUNT = 8


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Frames:
    return record(tmp_path_factory.mktemp("clip") / "clip.avi", COUNT, lambda number: [(figure(60, 60), DARK)])


def line(*ends: int, width: int = 5) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.line(mask, ends[:2], ends[2:], 1, width)
    return mask > 0


def spread(number: int) -> np.ndarray:
    """Somebody with both arms up, whose hands count as heads, or with arms and legs spread."""
    x = 100 + 2 * number
    arms = line(x, 85, x - 22, 60) | line(x, 85, x + 22, 60) if number % 2 else line(x - 40, 85, x + 40, 85)
    return figure(x, 60, stride=2.5 if number % 3 == 0 else 0.3) | arms


def tracked(folder: Path, frames: Frames, masks: Callable[[int], dict[str, np.ndarray]]) -> list[Track]:
    """Find the people in masks, one file each by the end of its name."""
    folder.mkdir()
    for number in range(COUNT):
        for name, mask in masks(number).items():
            cv2.imwrite(str(folder / f"{number:03d}{name}.png"), mask.astype(np.uint8) * 255)
    return find_people(frames, masks=open_masks(folder, frames))


def test_any_pose_of_one_region_is_one_usable_person(tmp_path: Path, frames: Frames) -> None:
    (track,) = tracked(tmp_path / "masks", frames, lambda number: {"": spread(number)})
    assert [d.frame for d in track.usable] == list(range(COUNT))
    assert all(np.array_equal(full_mask(d), spread(d.frame)) for d in track.usable)
    crouching = [figure(100, 60, height=80 - 8 * (number % 4)) for number in range(COUNT)]
    (track,) = tracked(tmp_path / "crouching", frames, lambda number: {"": crouching[number]})
    assert len(track.usable) == COUNT


def test_a_mask_of_one_person_stays_whole(tmp_path: Path, frames: Frames) -> None:
    def masks(number: int) -> dict[str, np.ndarray]:
        behind_a_post = figure(100 + number, 60)
        behind_a_post[:, 98 + number : 102 + number] = False
        # The other one stands in front of the first one's feet, and covers nobody.
        return {"_1": behind_a_post, "_2": figure(118 + number, 70, stride=0.5)}

    tracks = tracked(tmp_path / "masks", frames, masks)
    assert [len(track.usable) for track in tracks] == [COUNT, COUNT]
    for detection in tracks[0].detections:
        assert np.array_equal(full_mask(detection), masks(detection.frame)["_1"])


def test_regions_of_a_plain_foreground_are_people(tmp_path: Path, frames: Frames) -> None:
    def masks(number: int) -> dict[str, np.ndarray]:
        return {"": figure(60 + 2 * number, 60) | figure(90 + 2 * number, 60)}

    assert [len(track.usable) for track in tracked(tmp_path / "masks", frames, masks)] == [COUNT, COUNT]


def test_fragments_are_gathered_and_people_are_not() -> None:
    hand = line(135, 95, 141, 95, width=4)
    person = figure(100, 60) | line(100, 90, 130, 95)
    foot_apart = person | hand
    (whole,) = gather_fragments(find_regions(foot_apart, 5))
    assert whole.mask.sum() == foot_apart.sum()
    far = line(190, 95, 196, 95, width=4)
    assert len(gather_fragments(find_regions(person | far, 5))) == 2
    assert len(gather_fragments(find_regions(figure(100, 60) | figure(122, 60), 5))) == 2
    assert gather_fragments([]) == []


def test_a_region_is_cut_only_between_people_who_were_seen_apart() -> None:
    one, two = figure(100, 60, stride=0.3), figure(132, 60, stride=0.3)
    both = GivenMasks([one | two | line(104, 95, 128, 95, width=4)], instances=False)
    assert len(given_regions(both, NO_ONE, 20, 40)) == 1
    expected = np.array([region.box for region in find_regions(one | two, 20)], float)
    assert len(given_regions(both, expected, 20, 40)) == 2
    assert len(given_regions(both._replace(instances=True), expected, 20, 40)) == 1
    assert given_regions(GivenMasks([np.zeros((HEIGHT, WIDTH), bool)], instances=True), NO_ONE, 20, 40) == []


def test_few_masks_are_enough(tmp_path: Path, frames: Frames) -> None:
    def one_in_three(number: int) -> dict[str, np.ndarray]:
        return {} if number % 3 else {"": figure(60 + 2 * number, 60)}

    (track,) = tracked(tmp_path / "masks", frames, one_in_three)
    assert [d.frame for d in track.usable] == [0, 3, 6]


def test_masks_that_are_far_apart_in_time_are_one_track(tmp_path: Path) -> None:
    step, count = 15, 90
    frames = record(tmp_path / "clip.avi", count, lambda number: [])
    (tmp_path / "masks").mkdir()
    for number in range(0, count, step):
        mask = figure(100 + number / 5, 60)
        cv2.imwrite(str(tmp_path / "masks" / f"{number:03d}.png"), mask.astype(np.uint8) * 255)
    (track,) = find_people(frames, masks=open_masks(tmp_path / "masks", frames))
    assert step > TrackSettings.max_gap and len(track.usable) == count // step


def test_a_finger_may_touch_the_border(tmp_path: Path, frames: Frames) -> None:
    reaching = figure(30, 60, stride=0.3) | line(0, 90, 28, 90, width=1)
    (track,) = tracked(tmp_path / "reaching", frames, lambda number: {"": reaching})
    assert len(track.usable) == COUNT and track.detections[0].bbox[0] == 0
    cut = figure(4, 60, stride=0.3)
    (track,) = tracked(tmp_path / "cut", frames, lambda number: {"": cut if number < 3 else reaching})
    assert [d.quality.note for d in track.detections] == ["touches the border"] * 3 + [""] * 5


def test_small_people_are_not_used(tmp_path: Path, frames: Frames) -> None:
    def masks(number: int) -> dict[str, np.ndarray]:
        return {"_1": figure(60, 60), "_2": figure(160, 60, height=30)}

    (track,) = tracked(tmp_path / "masks", frames, masks)
    assert len(track.usable) == COUNT
