from __future__ import annotations

import json
from pathlib import Path

import pytest

from adaptation.commands.networks.demo import demo
from adaptation.support.errors import UserError


def test_demo_adapts_and_reports(tmp_path: Path) -> None:
    def run(folder: Path, steps: int = 2) -> None:
        demo(folder, shift="lr-32", count=24, steps=steps, precision="float32", workers=1)

    run(tmp_path / "demo")
    comparison = json.loads((tmp_path / "demo" / "run" / "comparison.json").read_text())
    assert comparison["before"]["pa_mpjpe"] > 0
    assert "<html" in (tmp_path / "demo" / "run" / "report" / "index.html").read_text()
    filmed = (tmp_path / "demo" / "source-train" / "images.npy").stat().st_mtime_ns
    run(tmp_path / "demo")  # goes on: nothing is left to do
    assert (tmp_path / "demo" / "source-train" / "images.npy").stat().st_mtime_ns == filmed
    with pytest.raises(UserError, match=r"other settings \(demo\.steps\)"):
        run(tmp_path / "demo", steps=3)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file"):
        run(tmp_path / "file")


def test_a_shift_that_needs_a_perturbation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--shift must be one of lr-96, lr-52, lr-32, night, got 'uap-8'"):
        demo(tmp_path / "demo", shift="uap-8")
    assert not (tmp_path / "demo").exists()
