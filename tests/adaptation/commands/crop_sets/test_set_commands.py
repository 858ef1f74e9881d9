"""Commands that make sets of crops, and what becomes of them when they are stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import ENVIRONMENT, Command, one_line

from adaptation.data.samples import Samples


def test_commands_that_make_sets(command: Command, work: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    assert command("domain", "--out", made, "--count", 12, "--size", 32, "--family", "style")[0] == 0
    assert Samples.load(made).images.shape == (12, 32, 32, 3)
    assert command("degrade", made, "--out", tmp_path / "night", "--shift", "night")[0] == 0
    assert command("keypoints", made, "--simulate", "--noise", 1)[0] == 0
    assert command("degrade", made, "--out", tmp_path / "lr", "--shift", "lr-32")[0] == 0
    assert Samples.load(made).keypoints is not None
    assert Samples.load(tmp_path / "lr").keypoints is None  # found in other images
    code, _, errors = command("keypoints", made)
    assert (
        code == 2
        and "needs exactly one of --from FOLDER, --simulate, --detector mediapipe and --pictures FOLDER" in errors
    )
    delta, model = tmp_path / "delta.npy", work / "run" / "model.safetensors"
    assert command("uap", work / "source", "--model", model, "--out", delta, "--steps", 1)[0] == 0
    assert command("degrade", work / "target", "--out", tmp_path / "u", "--shift", "uap-8", "--delta", delta)[0] == 0


FILMING = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from adaptation import cli
from adaptation.synthetic import domains
if __name__ == "__main__":
    films = domains.side_by_side
    def announced(*arguments):
        for film in films(*arguments):
            print("filmed", flush=True)
            yield film
    domains.side_by_side = announced
    cli.main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to others")
def test_processes_end_without_a_word(tmp_path: Path) -> None:
    """Ctrl-C goes to all processes of a terminal."""
    (tmp_path / "filming.py").write_text(FILMING)
    arguments = ["domain", "--out", "made", "--count", "1200", "--size", "32", "--workers", "2"]
    process = subprocess.Popen(
        [sys.executable, "filming.py", *arguments],
        env=ENVIRONMENT, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None and process.stdout.readline() == "filmed\n"
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130 and one_line(errors)
    assert not (tmp_path / "made").exists()
