"""Regressors on recordings."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from command_line import Command, adapting, one_line

from adaptation.synthetic.hall import ClipSettings, render_clip, write_clip


def test_a_recording(command: Command, work: Path, tmp_path: Path) -> None:
    write_clip(render_clip(ClipSettings(width=240, height=180, frames=40, rate=5.0)), tmp_path)
    model, options = work / "run" / "model.safetensors", ("--size", 48, "--every", 3)
    unused = re.compile(r"^\d+ masks? not used: (\d+ [a-z ]+(, )?)+$", re.MULTILINE)
    predict = ["predict", tmp_path / "frames", "--model", "small", *options]
    code, output, errors = command(*predict, "--out", tmp_path / "p")
    assert code == 0 and "2 people" in output and unused.search(output), errors
    assert command(*predict, "--out", tmp_path / "twice", "--mirror")[0] == 0
    once, twice = (np.load(tmp_path / name / "person_01.npz")["camera"] for name in ("p", "twice"))
    assert once.shape == twice.shape and not np.array_equal(once, twice)
    arguments = [
        "adapt",
        tmp_path / "frames",
        "--model",
        model,
        "--out",
        tmp_path / "out",
        "--preset",
        "tiny",
        *options,
    ]
    code, output, errors = command(*arguments)
    assert code == 0 and "2 people" in output and unused.search(output), errors
    assert (tmp_path / "out" / "bodies" / "person_02.npz").exists()
    html = (tmp_path / "out" / "report" / "index.html").read_text("utf-8")
    assert "from subtracted masks" in html
    assert "Silhouettes, without labels" in html and "Joint by joint" not in html
    code, _, errors = command(*arguments, "--loss", "a1", "--overwrite")
    assert code == 2 and "the target has no 2D keypoints" in errors


def test_bodies_of_a_result_folder_teach(
    command: Command, work: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_clip(render_clip(ClipSettings(width=240, height=180, frames=40, rate=5.0)), tmp_path)
    recording, options = tmp_path / "frames", ("--size", 48, "--every", 3)
    assert command("predict", recording, "--model", "small", *options, "--out", tmp_path / "fits")[0] == 0
    arguments = adapting(work, tmp_path / "out")
    arguments[1] = recording
    arguments += options
    code, _, errors = command(*arguments, "--fits", tmp_path / "fits")
    assert code == 0, errors
    count = sum(len(np.load(file)["frame"]) for file in (tmp_path / "fits").glob("person_*.npz"))
    assert f"fits: bodies for {count} of {count} crops" in caplog.text
    assert json.loads((tmp_path / "out" / "settings.json").read_text())["fits"] == str(tmp_path / "fits")
    code, _, errors = command(*arguments, "--fits", recording, "--overwrite")
    assert code == 2 and "no person_*.npz" in one_line(errors)


def test_a_regressor_takes_part_in_fits_if_it_agrees_with_the_masks(
    command: Command, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_clip(render_clip(ClipSettings(width=240, height=180, frames=40, rate=5.0)), tmp_path)
    fit = ["fit", tmp_path / "frames", "--frames", 18, "--model", "small", "--steps", 1, "--out", tmp_path / "out"]
    code, _, errors = command(*fit, "--pitch", 12, "--roll", 0)
    assert code == 0 and re.search(r"small: its bodies and the masks have a mean IoU of 0\.\d\d", caplog.text), errors
    assert json.loads((tmp_path / "out" / "settings.json").read_text())["options"]["network"]["model"] == "small"
    code, _, errors = command(*fit, "--per-frame", "--overwrite")
    assert code == 2 and "--model have no effect with --per-frame" in one_line(errors)


def test_a_run_goes_on_with_its_own_settings_alone(command: Command, work: Path, tmp_path: Path) -> None:
    write_clip(render_clip(ClipSettings(frames=24, height=120)), tmp_path / "clip")
    arguments = adapting(work, tmp_path / "out")
    arguments[1] = tmp_path / "clip" / "frames"
    assert command(*arguments, "--size", 48, "--every", 12)[0] == 0
    code, _, errors = command(*arguments, "--size", 48, "--every", 6)
    assert code == 2 and "other settings (recording.crops.every)" in one_line(errors)
