"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from adaptation.recording.tilt.options import TiltOptions
from adaptation.support.arguments import Calibration, CameraName, Pitch, Roll, Up


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch):
    """Return a function from words of a command line to the options on the camera's tilt, or to an exit code."""
    monkeypatch.setenv("TERM", "dumb")
    app, results = typer.Typer(), []

    @app.command()
    def command(
        pitch: Pitch = None,
        roll: Roll = None,
        calibration: Calibration = None,
        camera: CameraName = None,
        up: Up = None,
    ) -> None:
        results.append(TiltOptions(pitch, roll, str(calibration) if calibration else None, camera, up))

    def run(*words: str) -> TiltOptions | int:
        outcome = CliRunner().invoke(app, words)
        return results.pop() if results else outcome.exit_code

    return run


def test_how_a_camera_hangs(parsed) -> None:
    assert parsed() == TiltOptions()
    assert parsed("--pitch", "20", "--roll", "-3.5") == TiltOptions(pitch=20, roll=-3.5)
    words = ("--calibration", "a/b.yml", "--camera", "left", "--up", "-y")
    assert parsed(*words) == TiltOptions(calibration=str(Path("a/b.yml")), camera="left", up="-y")


@pytest.mark.parametrize("words", [("--pitch", "91"), ("--roll", "steep"), ("--roll", "-200")])
def test_angles_out_of_range_are_refused(parsed, words: tuple[str, ...]) -> None:
    assert parsed(*words) == 2
