"""What happens to a run that is stopped."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from command_line import ENVIRONMENT, Command, adapting, one_line

from adaptation.training.runs import load_state

# Ctrl-C works even where whoever started the tests ignores it. After its second save the run says so and waits for it,
# or finds the disk full: no file may grow beyond ten kilobytes.
STOPPED = """
import signal, sys, resource, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from adaptation import cli
from adaptation.training import runs
how, saves, save = sys.argv.pop(1), 0, runs.Run.save
def announced(self, state):
    global saves
    save(self, state)
    saves += 1
    if saves == 2 and how == "interrupt":
        print("saved", flush=True)
        time.sleep(60)
    if saves == 2 and how == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
runs.Run.save = announced
cli.main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to others, no limits on files")
@pytest.mark.parametrize("how", ["interrupt", "full"])
@pytest.mark.parametrize("program", ["pretrain", "adapt"])
def test_a_run_that_is_stopped_goes_on(program: str, how: str, command: Command, work: Path, tmp_path: Path) -> None:
    def arguments(out: Path) -> list[object]:
        if program == "adapt":
            return [*adapting(work, out), "--steps", 6]
        return ["pretrain", work / "source", "--out", out, "--preset", "tiny", "--steps", 6]

    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPED, how, *map(str, arguments(out))],
        env=ENVIRONMENT, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        if how == "interrupt":
            assert process.stdout is not None and process.stdout.readline() == "saved\n"
            process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == (130 if how == "interrupt" else 2)
    wanted = (
        "interrupted; .*the same command, without --overwrite, goes on"
        if how == "interrupt"
        else r"cannot write .*state\.pt: File too"
    )
    assert re.search(wanted, one_line(errors))
    assert {path.suffix for path in out.iterdir() if "tfevents" not in path.name} == {".json", ".pt"}
    assert load_state(out / "state.pt")["step"] == 2

    assert command(*arguments(out))[0] == 0
    assert command(*arguments(tmp_path / "whole"))[0] == 0
    states = [load_state(folder / "state.pt")["network"] for folder in (out, tmp_path / "whole")]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[1])


def test_a_run_is_not_continued_with_another_model(command: Command, work: Path, tmp_path: Path) -> None:
    assert command(*adapting(work, tmp_path / "out"))[0] == 0
    state = load_state(tmp_path / "out" / "state.pt")
    state["network"]["fc1.weight"] = state["network"]["fc1.weight"][:, :-1]
    torch.save(state, tmp_path / "out" / "state.pt")
    code, _, errors = command(*adapting(work, tmp_path / "out"))
    assert code == 2 and "state.pt is of another network" in one_line(errors)
    (tmp_path / "out" / "state.pt").write_bytes(b"gone")
    code, _, errors = command(*adapting(work, tmp_path / "out"))
    assert code == 2 and "state.pt: found a text file" in one_line(errors)
    assert command(*adapting(work, tmp_path / "out"), "--overwrite")[0] == 0
