"""The tilt of a recording's camera, as given, calibrated or seen."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from figures import figure
from tilted_scenes import CENTRE, HEIGHT, SIZE, WIDTH, picture

from adaptation.recording.detections import Detection, MaskQuality, PackedMask
from adaptation.recording.footage.video import Frames, open_frames
from adaptation.recording.tilt.camera_tilt import CameraTilt
from adaptation.recording.tilt.options import TiltOptions
from adaptation.recording.tilt.recording import camera_tilt, given_tilt
from adaptation.recording.tilt.scene import empty_scene
from adaptation.recording.tracking import Track
from adaptation.support.errors import UserError
from adaptation.support.reading.findings import kept_findings

PITCH, ROLL = 20, 10
WHOLE = MaskQuality(False, 1.0, 1, False, True, "")


def record(folder: Path, scene: np.ndarray, people: Callable[[int], np.ndarray | None] = lambda number: None) -> Frames:
    """Write five frames of a scene with black people."""
    folder.mkdir()
    for number in range(5):
        image = scene.copy()
        if (mask := people(number)) is not None:
            image[mask] = 0
        cv2.imwrite(str(folder / f"{number}.png"), image)
    return open_frames(folder)


def upright(number: int, x: int = 100, y: int = 60) -> np.ndarray:
    """Return a person's mask in a frame; the person moves by 40 pixels a frame."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[:200, :320] = figure(x, y)
    return np.roll(mask, 40 * number, axis=1)


def leaning(degrees: float, number: int) -> np.ndarray:
    """Return a person's mask, leaning clockwise."""
    turn = cv2.getRotationMatrix2D((100 + 40 * number, 100), -degrees, 1)
    return cv2.warpAffine(upright(number).astype(np.uint8), turn, SIZE) > 0


def track(people: Callable[[int], np.ndarray]) -> Track:
    detections = []
    for number in range(5):
        mask = people(number)
        x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
        detections.append(Detection(number, (x, y, w, h), PackedMask.of(mask[y : y + h, x : x + w]), WHOLE))
    return Track(1, tuple(detections))


def posts() -> np.ndarray:
    return picture(math.radians(PITCH), math.radians(ROLL))


def blank() -> np.ndarray:
    return np.full((HEIGHT, WIDTH), 128, np.uint8)


def test_given_angles_are_certain(tmp_path: Path) -> None:
    tilt = camera_tilt(record(tmp_path / "a", blank()), [], TiltOptions(pitch=15, roll=-3))
    assert (math.degrees(tilt.pitch), math.degrees(tilt.roll)) == (pytest.approx(15), pytest.approx(-3))
    assert tilt.source == "given" and tilt.deviation == 0 and tilt.centre == CENTRE
    # A focal length is assumed, so that people off the centre are seen more or less steeply.
    assert tilt.focal == pytest.approx(math.hypot(*SIZE))
    assert tilt == given_tilt(SIZE, TiltOptions(pitch=15, roll=-3))


def test_half_of_a_tilt_is_not_given() -> None:
    assert given_tilt(SIZE, TiltOptions(pitch=15)) is None and given_tilt(SIZE, TiltOptions()) is None


def test_vertical_structures_count_where_nobody_is(tmp_path: Path) -> None:
    with kept_findings() as findings:
        tilt = camera_tilt(record(tmp_path / "a", posts()), [])
    assert tilt.source == "vertical structures"
    assert math.degrees(tilt.roll) == pytest.approx(ROLL, abs=1.5)
    assert abs(math.degrees(tilt.pitch) - PITCH) < 2 * math.degrees(tilt.pitch_deviation)
    assert any("from: vertical structures" in line for line in findings)


def test_the_roll_is_estimated_beside_a_given_pitch(tmp_path: Path) -> None:
    tilt = camera_tilt(record(tmp_path / "a", posts()), [], TiltOptions(pitch=15))
    assert tilt.source == "given"
    assert (math.degrees(tilt.pitch), tilt.pitch_deviation) == (pytest.approx(15), 0)
    assert math.degrees(tilt.roll) == pytest.approx(ROLL, abs=1.5) and tilt.roll_deviation > 0


def test_a_tilt_that_nothing_shows_is_unknown(tmp_path: Path) -> None:
    with kept_findings() as findings:
        tilt = camera_tilt(record(tmp_path / "a", blank()), [])
    assert not tilt.known and tilt.down == CameraTilt().down and math.isinf(tilt.deviation)
    assert any("unknown" in line and "--pitch" in line for line in findings)


def test_people_count_where_there_are_no_structures(tmp_path: Path) -> None:
    person = partial(leaning, 15)
    tilt = camera_tilt(record(tmp_path / "a", blank(), person), [track(person)])
    assert tilt.source == "people"
    assert 8 < math.degrees(tilt.roll) < 17
    # One person who walks across the image says little about the pitch.
    assert tilt.roll_deviation < tilt.pitch_deviation


def test_estimates_that_agree_are_averaged(tmp_path: Path) -> None:
    person = partial(leaning, ROLL)
    frames = record(tmp_path / "a", posts(), person)
    alone, both = camera_tilt(frames, []), camera_tilt(frames, [track(person)])
    assert both.source == "structures and people"
    assert both.roll_deviation <= alone.roll_deviation
    assert math.degrees(both.roll) == pytest.approx(ROLL, abs=1.5)


def test_the_surer_one_counts_where_estimates_disagree(tmp_path: Path) -> None:
    person = partial(leaning, -20)
    frames = record(tmp_path / "a", posts(), person)
    with kept_findings() as findings:
        tilt = camera_tilt(frames, [track(person)])
    assert math.degrees(tilt.roll) == pytest.approx(ROLL, abs=1.5)
    assert any("people show a roll of" in line and "vertical structures are surer" in line for line in findings)


def test_a_calibration_is_certain(tmp_path: Path) -> None:
    file = tmp_path / "camera.yml"
    storage = cv2.FileStorage(str(file), cv2.FILE_STORAGE_WRITE)
    storage.write("K", np.array([[500.0, 0, 300], [0, 500, 250], [0, 0, 1]]))
    storage.write("rvec", np.array([math.radians(30), 0, 0]))
    storage.release()
    options = TiltOptions(calibration=str(file), up="-y")
    tilt = camera_tilt(record(tmp_path / "a", posts()), [], options)
    assert tilt.source == "calibration" and tilt.deviation == 0
    assert (math.degrees(tilt.pitch), tilt.roll) == (pytest.approx(30), pytest.approx(0))
    assert (tilt.focal, tilt.centre) == (pytest.approx(500), pytest.approx((300.5, 250.5)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pitch": 91.0}, "--pitch must be an angle from -90 to 90 degrees, got 91"),
        ({"roll": math.nan}, "--roll must be an angle"),
        ({"camera": "left"}, "--camera belongs to --calibration"),
        ({"up": "z"}, "--up belongs to --calibration"),
        ({"calibration": "a.yml", "pitch": 3.0}, "give either it or --pitch and --roll"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        TiltOptions(**options)


def test_people_are_not_in_the_scene(tmp_path: Path) -> None:
    scene = posts()
    frames = record(tmp_path / "a", scene, upright)
    empty, hidden = empty_scene(frames, [track(upright)])
    assert not hidden.any() and np.abs(empty.astype(int) - scene).max() <= 1


def test_what_people_hide_in_all_frames_is_said(tmp_path: Path) -> None:
    def stays(number: int) -> np.ndarray:
        return upright(0)

    frames = record(tmp_path / "a", posts(), stays)
    _, hidden = empty_scene(frames, [track(stays)])
    assert hidden[upright(0)].all()
    # Some pixels around the person as well.
    assert upright(0).sum() < hidden.sum() < 3 * upright(0).sum()


def test_bars_beside_the_picture_are_no_structures(tmp_path: Path) -> None:
    scene = posts()
    scene[:, :90] = scene[:, -90:] = scene[:20] = 0
    frames = record(tmp_path / "a", scene)
    _, hidden = empty_scene(frames, [])
    assert hidden[:, :90].all() and hidden[:, -90:].all() and hidden[:20].all()
    assert not hidden[30:, 100:-100].any()
    assert math.degrees(camera_tilt(frames, []).roll) == pytest.approx(ROLL, abs=1.5)
