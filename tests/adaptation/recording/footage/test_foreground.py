"""Cameras that change their picture: one background for each look."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import DARK, background, full_mask, iou, record, shot
from figures import HEIGHT, WIDTH, figure

from adaptation.recording.footage.empty_scene import read_background
from adaptation.recording.footage.foreground import foreground
from adaptation.recording.footage.modes import Watch, group_looks
from adaptation.recording.footage.video import Frames, open_frames
from adaptation.recording.tracking import find_people
from adaptation.support.reading.findings import kept_findings


def infrared() -> np.ndarray:
    """The scene as an infrared camera sees it: other surfaces are bright."""
    coarse = np.random.default_rng(8).uniform(20, 120, (7, 9, 1)).astype(np.float32)
    return np.repeat(cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)[..., None], 3, axis=2)


def walker(number: int) -> np.ndarray:
    return figure(20 + 3 * number, 60, stride=np.sin(0.7 * number))


def record_switch(path: Path, night: range, count: int = 70) -> Frames:
    """Write a clip of a walker, dark by day and bright in infrared."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (WIDTH, HEIGHT))
    for number in range(count):
        image = (infrared() if number in night else background()).copy()
        image[walker(number)] = (235, 235, 235) if number in night else DARK
        writer.write(shot(image, number))
    writer.release()
    return open_frames(path)


@pytest.mark.parametrize("night", [range(36, 70), range(20, 50)])
def test_a_switch_to_infrared_ends_no_track(tmp_path: Path, night: range) -> None:
    frames = record_switch(tmp_path / "clip.avi", night)
    with kept_findings() as lines:
        (track,) = find_people(frames)
    assert len(lines) == 1 and f"changes its picture, as to infrared, at frame {night[0]}" in lines[0]
    assert "each of its 2 pictures" in lines[0]
    usable = [detection.frame for detection in track.usable]
    assert len(usable) > 60 and len([number for number in usable if number in night]) > 0.8 * len(night)
    assert np.median([iou(full_mask(d), walker(d.frame)) for d in track.usable]) > 0.9


def test_a_part_too_short_to_learn_is_left_out_and_said(tmp_path: Path) -> None:
    frames = record_switch(tmp_path / "clip.avi", range(40, 50))
    with kept_findings() as lines:
        seen = list(foreground(frames, "median"))
    assert "frames 40-49, too few to learn one, which are left out" in lines[0]
    assert [number for number, one in enumerate(seen) if one.background is None] == list(range(40, 50))
    assert not any(seen[number].mask.any() for number in range(40, 50))
    assert iou(seen[60].mask, walker(60)) > 0.9


def test_pictures_of_both_looks(tmp_path: Path) -> None:
    frames = record_switch(tmp_path / "clip.avi", range(36, 70))
    (tmp_path / "empty").mkdir()
    cv2.imwrite(str(tmp_path / "empty" / "day.png"), shot(background(), 998))
    with kept_findings() as lines:
        find_people(frames, background=read_background(tmp_path / "empty", frames))
    assert "frames 36-69 do not look like --background" in lines[0]
    cv2.imwrite(str(tmp_path / "empty" / "night.png"), shot(infrared(), 999))
    with kept_findings() as lines:
        (track,) = find_people(frames, background=read_background(tmp_path / "empty", frames))
    assert not lines and len(track.usable) > 60


@pytest.mark.parametrize(
    "light",
    [
        lambda number: 1.0,
        lambda number: 1.0 if number < 40 else 1.4,  # a lamp, or the camera's exposure
        lambda number: 1.0 - 0.008 * number,  # dusk
        lambda number: 0.1 if number in (20, 45) else 1.0,  # damaged frames
    ],
)
def test_light_is_no_change_of_the_picture(tmp_path: Path, light) -> None:
    frames = record(tmp_path / "clip.avi", 60, lambda number: [(walker(number), DARK)], light)
    watch = Watch()
    for _ in watch.seen(frames):
        pass
    assert set(group_looks([part.look for part in watch.parts()])) == {0}


def test_a_large_person_is_no_change_of_the_picture(tmp_path: Path) -> None:
    frames = record(tmp_path / "clip.avi", 30, lambda number: [(figure(-60 + 20 * number, -20, height=240), DARK)])
    watch = Watch()
    for _ in watch.seen(frames):
        pass
    assert [(part.first, part.last) for part in watch.parts()] == [(0, 29)]
