"""The command where packages are missing."""

from __future__ import annotations

import subprocess
import sys
import venv
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import adaptation
from adaptation.__main__ import MODULES, missing_modules

ROOT = Path(__file__).parents[2]


def test_names_all_that_is_missing_in_one_line(tmp_path: Path) -> None:
    venv.create(tmp_path, with_pip=False, symlinks=True)
    site = next((tmp_path / "lib").glob("python*")) / "site-packages"
    (site / "adaptation").symlink_to(Path(adaptation.__file__).parent)
    (site / "numpy").mkdir()
    run = subprocess.run(
        [tmp_path / "bin" / "python", "-I", "-m", "adaptation", "doctor"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2 and run.stdout == ""
    assert run.stderr.startswith("topo-adapt: cv2, jinja2, rich, roma, safetensors, tensorboard, typer not found.")
    assert "pip install '.[adapt]'" in run.stderr and run.stderr.count("\n") == 1


def test_modules_are_those_of_the_extra() -> None:
    tomllib = pytest.importorskip("tomllib")  # of Python 3.11
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    names = [name.partition(">")[0] for extra in ("adapt", "adapt-own-opencv") for name in extras[extra]]
    owners = packages_distributions()
    assert not missing_modules()
    for module in MODULES:
        assert any(owner.lower() in names or owner.lower().startswith("opencv") for owner in owners[module]), module
    assert len(names) == len(MODULES) + 1  # and the extra that the other one includes


def test_command_runs() -> None:
    run = subprocess.run([sys.executable, "-m", "adaptation", "--help"], cwd="/", capture_output=True, text=True)
    assert run.returncode == 0 and "keypoints" in run.stdout
