"""People in synthetic clips of a static camera, whose places in every frame are known."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import DARK, RED, background, full_mask, iou, record
from figures import HEIGHT, WIDTH, figure

from adaptation.recording.detections import TrackSettings
from adaptation.recording.footage.mask_files import open_masks
from adaptation.recording.footage.video import open_frames
from adaptation.recording.tracking import Track, find_people
from adaptation.support.errors import UserError


def walker(number: int) -> np.ndarray:
    return figure(-30 + 5 * number, 60, stride=np.sin(0.7 * number))


def check_consistent(tracks: list[Track]) -> None:
    """Check what holds for every result: order, tight boxes, a reason for each unusable mask."""
    assert [track.number for track in tracks] == list(range(1, len(tracks) + 1))
    for track in tracks:
        numbers = [detection.frame for detection in track.detections]
        assert numbers == sorted(set(numbers))
        for detection in track.detections:
            x, y, w, h = detection.bbox
            assert detection.mask.shape == (h, w) and detection.mask.dtype == bool
            assert detection.mask.any(0)[[0, -1]].all() and detection.mask.any(1)[[0, -1]].all()
            assert 0 <= x and 0 <= y and x + w <= WIDTH and y + h <= HEIGHT
            assert detection.quality.usable == (detection.quality.note == "")


@pytest.mark.parametrize("method", ["median", "mog2", "knn"])
def test_one_walker(tmp_path: Path, method) -> None:
    frames = record(tmp_path / "clip.avi", 70, lambda number: [(walker(number), DARK)])
    steps: list[tuple[int, int]] = []
    tracks = find_people(frames, method=method, progress=lambda *step: steps.append(step))
    check_consistent(tracks)
    (track,) = tracks
    assert len(track.usable) > 50
    overlaps = [iou(full_mask(d), walker(d.frame)) for d in track.usable]
    # OpenCV's mixtures include the halo that compression leaves around people.
    assert np.median(overlaps) > (0.9 if method == "median" else 0.75) and min(overlaps) > 0.65
    entering = [d for d in track.detections if d.quality.touches_border]
    assert entering and all("touches the border" in d.quality.note for d in entering)
    done = [step for step, _ in steps]
    assert done == sorted(done) and steps[-1] == (140, 140)


def test_change_of_light(tmp_path: Path) -> None:
    frames = record(
        tmp_path / "clip.avi",
        70,
        lambda number: [(walker(number), DARK)],
        lambda number: 1.0 if number < 40 else 1.25,
    )
    (track,) = find_people(frames)
    assert np.median([iou(full_mask(d), walker(d.frame)) for d in track.usable]) > 0.9
    assert len([d for d in track.usable if d.frame >= 40]) > 15


def test_two_crossing_people(tmp_path: Path) -> None:
    def right(number: int) -> np.ndarray:
        return figure(20 + 4 * number, 50, stride=np.sin(0.7 * number))

    def left(number: int) -> np.ndarray:
        return figure(300 - 4 * number, 60, stride=np.sin(0.7 * number + 1))

    frames = record(tmp_path / "clip.avi", 70, lambda number: [(right(number), RED), (left(number), DARK)])
    tracks = find_people(frames)
    check_consistent(tracks)
    assert len(tracks) == 2
    truths = {}
    for track in tracks:
        first = track.usable[0]
        truths[track.number] = right if iou(full_mask(first), right(first.frame)) > 0.5 else left
    assert set(truths.values()) == {right, left}
    for track in tracks:
        # Each track follows the same person after they meet, and no usable mask covers both.
        assert track.usable[0].frame < 20 and track.usable[-1].frame > 55
        for detection in track.usable:
            assert iou(full_mask(detection), truths[track.number](detection.frame)) > 0.6
        merged = [d for d in track.detections if d.quality.merged]
        assert any(30 <= d.frame <= 40 for d in merged)
        assert all("merged" in d.quality.note for d in merged)


def test_two_who_touch_by_a_hand_are_cut_apart(tmp_path: Path) -> None:
    def pair(number: int) -> list:
        one = figure(30 + 4 * number, 60, stride=0.3)
        two = figure(62 + 4 * number, 60, stride=0.3)
        hands = np.zeros((HEIGHT, WIDTH), np.uint8)
        cv2.line(hands, (34 + 4 * number, 95), (58 + 4 * number, 95), 1, 4)
        return [(hands > 0, DARK), (one, DARK), (two, RED)]

    tracks = find_people(record(tmp_path / "clip.avi", 55, pair))
    assert len(tracks) == 2
    for track in tracks:
        assert len(track.usable) > 35
        assert max(d.bbox[2] for d in track.usable) < 45


@pytest.mark.parametrize(("dx", "dy"), [(15, -2), (16, 5)])
def test_pair_that_never_parts_is_not_one_person(tmp_path: Path, dx: int, dy: int) -> None:
    def pair(number: int) -> list:
        x = 30 + 4 * number
        return [(figure(x, 60, stride=0.3), DARK), (figure(x + dx, 60 + dy, stride=0.3), DARK)]

    frames = record(tmp_path / "clip.avi", 55, pair)
    with pytest.raises(UserError, match="no moving person"):
        find_people(frames)


def test_hidden_legs_are_an_area_jump(tmp_path: Path) -> None:
    def behind_a_wall(number: int) -> list:
        mask = walker(number)
        if 30 <= number < 36:
            mask[105:] = False
        return [(mask, DARK)]

    (track,) = find_people(record(tmp_path / "clip.avi", 70, behind_a_wall))
    hidden = [d for d in track.detections if 30 <= d.frame < 36]
    assert hidden and not any(d.quality.usable for d in hidden)
    assert all("area" in d.quality.note or "height" in d.quality.note for d in hidden)
    assert all(d.quality.area_ratio < 0.8 for d in hidden)


def test_a_person_cut_in_two_is_put_together_and_rejected(tmp_path: Path) -> None:
    def behind_a_bar(number: int) -> list:
        mask = walker(number)
        if 30 <= number < 36:
            mask[98:106] = False
        return [(mask, DARK)]

    (track,) = find_people(record(tmp_path / "clip.avi", 70, behind_a_bar))
    cut = [d for d in track.detections if 30 <= d.frame < 36]
    assert len(cut) == 6
    for detection in cut:
        assert detection.quality.fragments >= 2 and "fragments" in detection.quality.note
        assert detection.bbox[3] > 70, "head and legs belong to one detection"


@pytest.mark.parametrize(
    "people",
    [
        lambda number: [],
        lambda number: [(figure(160, 60), DARK)],  # never moves, so it is part of the background
        lambda number: [(figure(20 + 4 * number, 60, height=25), DARK)],  # too small
    ],
)
def test_no_moving_person(tmp_path: Path, people) -> None:
    frames = record(tmp_path / "clip.avi", 40, people)
    with pytest.raises(UserError, match=r"no moving person found in .*clip\.avi") as caught:
        find_people(frames)
    assert "\n" not in str(caught.value)


def test_smaller_people_on_request(tmp_path: Path) -> None:
    frames = record(tmp_path / "clip.avi", 60, lambda n: [(figure(20 + 4 * n, 60, height=32), DARK)])
    assert len(find_people(frames, settings=TrackSettings(min_height=25))) == 1


def write_masks(folder: Path, count: int) -> None:
    folder.mkdir()
    for number in range(count):
        cv2.imwrite(str(folder / f"{number:03d}.png"), walker(number).astype(np.uint8) * 255)


def test_folder_of_images_and_given_masks(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for number in range(60):  # the images are empty: only the masks show the person
        cv2.imwrite(str(tmp_path / "images" / f"{number:03d}.png"), background())
    write_masks(tmp_path / "masks", 60)
    frames = open_frames(tmp_path / "images")
    (track,) = find_people(frames, masks=open_masks(tmp_path / "masks", frames))
    assert len(track.usable) > 40
    for detection in track.usable:
        assert np.array_equal(full_mask(detection), walker(detection.frame))


def test_masks_without_a_person(tmp_path: Path) -> None:
    frames = record(tmp_path / "clip.avi", 12, lambda number: [])
    (tmp_path / "masks").mkdir()
    for number in range(12):
        cv2.imwrite(str(tmp_path / "masks" / f"{number}.png"), np.zeros((HEIGHT, WIDTH), np.uint8))
    with pytest.raises(UserError, match="no person found in the masks"):
        find_people(frames, masks=open_masks(tmp_path / "masks", frames))


def test_masks_whose_sizes_differ_later(tmp_path: Path) -> None:
    frames = record(tmp_path / "clip.avi", 12, lambda number: [])
    write_masks(tmp_path / "masks", 12)
    cv2.imwrite(str(tmp_path / "masks" / "007.png"), np.zeros((50, 60), np.uint8))
    with pytest.raises(UserError, match=r"007\.png.*60x50.*320x200"):
        find_people(frames, masks=open_masks(tmp_path / "masks", frames))
