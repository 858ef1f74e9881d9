"""People who stay in place, who are part of any background that is learnt from the recording itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import DARK, background, full_mask, iou, record, shot
from figures import HEIGHT, WIDTH, figure

from adaptation.recording.footage.empty_scene import read_background
from adaptation.recording.footage.video import open_frames
from adaptation.recording.tracking import find_people
from adaptation.support.errors import UserError

COUNT = 64
STAYING: dict[str, Callable[[int], np.ndarray]] = {
    "standing and swaying": lambda n: figure(160 + 25 * np.sin(n / 6), 50, height=120, stride=0.3),
    "walking at the camera": lambda n: figure(160, 60 - 0.4 * n, height=60 + int(0.9 * n), stride=np.sin(0.5 * n)),
    "walking on the spot": lambda n: figure(160 + 10 * np.sin(n / 9), 50, height=120, stride=1.4 * np.sin(0.5 * n)),
}


def empty(path: Path) -> Path:
    cv2.imwrite(str(path), shot(background(), 999))
    return path


@pytest.mark.parametrize("name", STAYING)
def test_people_who_stay_need_a_picture_of_the_empty_scene(tmp_path: Path, name: str) -> None:
    person = STAYING[name]
    frames = record(tmp_path / "clip.avi", COUNT, lambda number: [(person(number), DARK)])
    # Their masks are cut: none is called usable, and the error says what to do.
    with pytest.raises(UserError, match=r"stays in place.*--background.*--masks"):
        find_people(frames)
    (track,) = find_people(frames, background=read_background(empty(tmp_path / "empty.png"), frames))
    assert len(track.usable) > 0.9 * COUNT
    assert min(iou(full_mask(d), person(d.frame)) for d in track.usable) > 0.9


def test_somebody_who_walks_on_after_a_pause_is_found(tmp_path: Path) -> None:
    def person(number: int) -> np.ndarray:
        return figure(30 + 4 * min(number, 20) + 4 * max(number - 44, 0), 50, height=120, stride=np.sin(0.5 * number))

    (track,) = find_people(record(tmp_path / "clip.avi", COUNT, lambda number: [(person(number), DARK)]))
    assert len(track.usable) > 0.9 * COUNT and not any(d.quality.in_background for d in track.detections)


@pytest.mark.parametrize("method", ["median", "mog2", "knn"])
def test_one_picture_is_enough_for_every_method(tmp_path: Path, method) -> None:
    person = STAYING["standing and swaying"]
    frames = record(tmp_path / "clip.avi", 20, lambda number: [(person(number), DARK)])
    picture = read_background(empty(tmp_path / "empty.png"), frames)
    (track,) = find_people(frames, method=method, background=picture)
    # The mixtures include the halo that compression leaves around people.
    lowest = 0.9 if method == "median" else 0.75
    assert np.median([iou(full_mask(d), person(d.frame)) for d in track.usable]) > lowest


def test_noise_that_the_picture_does_not_show_is_expected(tmp_path: Path) -> None:
    person = STAYING["standing and swaying"]
    frames = record(tmp_path / "clip.avi", 20, lambda number: [(person(number), DARK)], noise=12)
    cv2.imwrite(str(tmp_path / "empty.png"), background().astype(np.uint8))
    (track,) = find_people(frames, background=read_background(tmp_path / "empty.png", frames))
    assert np.median([iou(full_mask(d), person(d.frame)) for d in track.usable]) > 0.9


def test_kinds_of_backgrounds(tmp_path: Path) -> None:
    frames = record(tmp_path / "clip.avi", 12, lambda number: [])
    record(tmp_path / "empty.avi", 7, lambda number: [])
    (tmp_path / "folder").mkdir()
    for number in range(3):
        empty(tmp_path / "folder" / f"{number}.png")
    for name, count in (("empty.avi", 7), ("folder", 3)):
        pictures = read_background(tmp_path / name, frames)
        assert len(pictures) == count and pictures[0].shape == (HEIGHT, WIDTH, 3)
        assert abs(float(pictures[0].mean()) - float(frames.frame(0).mean())) < 2


def test_bad_backgrounds(tmp_path: Path) -> None:
    frames = record(tmp_path / "clip.avi", 30, lambda number: [(figure(100, 60), DARK)])
    cv2.imwrite(str(tmp_path / "small.png"), np.zeros((20, 30, 3), np.uint8))
    with pytest.raises(UserError, match=r"--background .*small\.png is 30x20, expected 320x200"):
        read_background(tmp_path / "small.png", frames)
    with pytest.raises(UserError, match="no such file"):
        read_background(tmp_path / "nowhere.png", frames)
    cv2.imwrite(str(tmp_path / "deep.png"), np.zeros((HEIGHT, WIDTH), np.uint16))
    with pytest.raises(UserError, match="got 16"):
        read_background(tmp_path / "deep.png", frames)
    cv2.imwrite(str(tmp_path / "other.png"), shot(background()[::-1, ::-1], 0))
    other = read_background(tmp_path / "other.png", frames)
    with pytest.raises(UserError, match="--background shows another scene"):
        find_people(frames, background=other)


def test_a_background_of_another_depth(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for number in range(3):
        scene = np.linspace(29000, 30000, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).astype(np.uint16)
        cv2.imwrite(str(tmp_path / "deep" / f"{number}.png"), scene)
    frames = open_frames(tmp_path / "deep")
    assert np.array_equal(read_background(tmp_path / "deep" / "0.png", frames)[0], frames.frame(0))
    with pytest.raises(UserError, match="got 8"):
        read_background(empty(tmp_path / "empty.png"), frames)
    shallow = record(tmp_path / "clip.avi", 3, lambda number: [])
    with pytest.raises(UserError, match="has 16 bits per channel"):
        read_background(tmp_path / "deep", shallow)
