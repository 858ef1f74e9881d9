from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from adaptation.recording.tilt.camera_tilt import CameraTilt, down_of
from adaptation.recording.view import KEY, RecordingView
from adaptation.support.errors import UserError

TILT = CameraTilt(down_of(0.2, -0.1), 0.0, 0.1, "people", 700.0, (320.0, 240.0))


def write(folder: Path, stored: object) -> Path:
    (folder / "settings.json").write_text(json.dumps({KEY: stored}))
    return folder


def test_round_trip(tmp_path: Path) -> None:
    for tilt in (None, TILT):
        view = RecordingView.of((640, 480), 12.5, "free", tilt)
        assert RecordingView.read(write(tmp_path, view.as_json())) == view


def test_a_tilt_that_is_known_in_part_is_unknown() -> None:
    half = CameraTilt(TILT.down, math.inf, 0.1, "given", 700.0, (320.0, 240.0))
    assert RecordingView.of((640, 480), 0.0, "free", half).down is None
    assert RecordingView.of((640, 480), 0.0, "free", half).focal == 700


@pytest.mark.parametrize(
    ("changed", "value"),
    [
        ("size", [640]), ("size", [0, 480]), ("rate", "fast"), ("rate", -1.0), ("rate", math.inf), ("focal", 0.0),
        ("focal", math.nan), ("centre", [1.0]), ("down", [0.0, 2.0, 0.0]), ("down", [0.0, math.nan, 0.0]),
        ("body", None),
    ],
)  # fmt: skip
def test_damaged_settings_are_refused_in_one_line(tmp_path: Path, changed: str, value: object) -> None:
    stored = RecordingView.of((640, 480), 12.5, "free", TILT).as_json()
    with pytest.raises(UserError, match="'recording' is damaged; run topo-adapt fit or predict again"):
        RecordingView.read(write(tmp_path, {**stored, changed: value}))


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no readable settings.json; expected a folder written by topo-adapt fit"):
        RecordingView.read(tmp_path)
    with pytest.raises(UserError, match="is not a folder"):
        RecordingView.read(tmp_path / "none")
    with pytest.raises(UserError, match="does not describe a recording"):
        RecordingView.read(write(tmp_path, None))
    (tmp_path / "settings.json").write_text("[1]")
    with pytest.raises(UserError, match="does not describe a recording"):
        RecordingView.read(tmp_path)
