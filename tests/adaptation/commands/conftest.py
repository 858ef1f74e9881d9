from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from command_line import ENVIRONMENT, Command

from adaptation import cli
from adaptation.data.samples import Samples


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Runs a command in this process; its exit code, output and errors."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["topo-adapt", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as stop:
            cli.main()
        output, errors = capfd.readouterr()
        return int(stop.value.code or 0), output, errors

    return call


@pytest.fixture(scope="session")
def work(source: Samples, target: Samples, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two sets of crops and a source model, which tests read alone."""
    folder = tmp_path_factory.mktemp("work")
    source.save(folder / "source", {})
    target.save(folder / "target", {})
    arguments = ["pretrain", folder / "source", "--out", folder / "run", "--preset", "tiny"]
    command = [sys.executable, "-m", "adaptation.cli", *map(str, arguments)]
    done = subprocess.run(command, env=ENVIRONMENT, cwd=folder, check=False)  # the source folder hides the package
    assert done.returncode == 0
    return folder
