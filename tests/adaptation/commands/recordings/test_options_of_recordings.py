"""Options on how a recording is read: an empty scene, and a range of 16 bits."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import DARK, background, record, shot
from command_line import Command, adapting, one_line
from figures import HEIGHT, WIDTH, figure


@pytest.fixture
def swaying(tmp_path: Path) -> Path:
    """A clip of somebody who stands and sways, and a picture of the empty scene beside it."""

    def people(number: int) -> list:
        return [(figure(160 + 8 * np.sin(number / 6), 50, height=120, stride=0.3), DARK)]

    cv2.imwrite(str(tmp_path / "empty.png"), shot(background(), 99))
    return record(tmp_path / "clip.avi", 20, people).path


def test_the_empty_scene(command: Command, work: Path, swaying: Path, tmp_path: Path) -> None:
    options = ["--background", swaying.parent / "empty.png", "--every", 10]
    predict = ["predict", swaying, "--model", "small", "--size", 48, "--out", tmp_path / "p"]
    code, _, errors = command(*predict)
    assert code == 2 and "give a picture of the empty scene (--background) or masks (--masks)" in one_line(errors)
    code, output, errors = command(*predict, *options)
    assert code == 0 and "1 people, 2 bodies" in output, errors
    code, output, errors = command("fit", swaying, "--per-frame", "--steps", 2, "--out", tmp_path / "f", *options)
    assert code == 0 and "1 people, 2 bodies" in output, errors
    adapt = [*adapting(work, tmp_path / "a"), "--size", 48]
    adapt[1] = swaying
    code, output, errors = command(*adapt, "--background", swaying.parent / "empty.png", "--every", 2)
    assert code == 0 and (tmp_path / "a" / "bodies" / "person_01.npz").exists(), errors
    (tmp_path / "other.png").write_bytes((swaying.parent / "empty.png").read_bytes())
    code, _, errors = command(*adapt, "--background", tmp_path / "other.png", "--every", 2)
    assert code == 2 and "other settings (recording.background)" in one_line(errors)


def test_sixteen_bits(command: Command, tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    for number in range(20):
        scene = 29000 + np.random.default_rng(number).integers(-9, 10, (HEIGHT, WIDTH)).astype(np.uint16)
        scene += np.linspace(0, 300, WIDTH).astype(np.uint16)
        scene[figure(30 + 13 * number, 40, height=120, stride=0.3)] += 900
        cv2.imwrite(str(tmp_path / "frames" / f"{number}.png"), scene)
    predict = ["predict", tmp_path / "frames", "--model", "small", "--size", 48, "--every", 10]
    code, output, errors = command(*predict, "--out", tmp_path / "a")
    assert code == 0 and "1 people" in output and "found: " in errors and "16 bits per channel; levels 28" in errors
    code, output, errors = command(*predict, "--out", tmp_path / "b", "--range", "28500,30500")
    assert code == 0 and "1 people" in output and "found: " not in errors
    code, _, errors = command(*predict, "--out", tmp_path / "c", "--range", "28500")
    assert code == 2 and 'range "28500": expected LOW,HIGH' in one_line(errors)


def test_misuse(command: Command, work: Path, swaying: Path, tmp_path: Path) -> None:
    predict = ["predict", swaying, "--model", "small", "--out", tmp_path / "out"]
    code, _, errors = command(*predict, "--background", swaying, "--masks", tmp_path)
    assert code == 2 and "--masks replaces; give one of them" in one_line(errors)
    code, _, errors = command(*predict, "--range", "0,9")
    assert code == 2 and "--range is for recordings of 16 bits" in one_line(errors)
    code, _, errors = command(*predict, "--background", tmp_path / "nowhere.png")
    assert code == 2 and "nowhere.png: there is no such file" in one_line(errors)
    for option in (("--background", swaying), ("--range", "0,9")):
        code, _, errors = command(*adapting(work, tmp_path / "out"), *option)
        assert code == 2 and f"{option[0]} is for recordings" in one_line(errors)
    assert not (tmp_path / "out").exists()
