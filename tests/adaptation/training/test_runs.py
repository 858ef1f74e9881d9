from __future__ import annotations

import errno
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import fuzzing
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from adaptation.support.errors import Interrupted, UserError
from adaptation.support.files import partial_prefix, whole_file
from adaptation.training.runs import Run, load_state, resumable

SETTINGS = {"adapt": {"steps": 4, "rate": 0.1}, "model": "small"}


def opened(folder: Path, settings: Mapping[str, object] = SETTINGS, *, overwrite: bool = False) -> Run:
    run = Run(folder, settings, overwrite=overwrite)
    run.open()
    return run


def state_of(network: nn.Module, step: int) -> dict[str, object]:
    return {"network": network.state_dict(), "step": step}


def test_states_come_back(tmp_path: Path) -> None:
    network = nn.Linear(3, 2)
    run = opened(tmp_path / "run", SETTINGS)
    assert run.load(network.state_dict()) is None
    run.save(state_of(network, 7))
    state = opened(tmp_path / "run", SETTINGS).load(network.state_dict())
    assert state is not None and state["step"] == 7 and torch.equal(state["network"]["bias"], network.bias)
    with pytest.raises(UserError, match=r"state\.pt is of another network"):
        run.load(nn.Linear(3, 3).state_dict())
    torch.save([1, 2], tmp_path / "run" / "state.pt")
    with pytest.raises(UserError, match="does not hold the state of a run"):
        run.load(network.state_dict())
    (tmp_path / "run" / "state.pt").write_bytes(b"")
    with pytest.raises(UserError, match=r"state\.pt: found an empty file, expected a file of torch\.save; --overwrite"):
        run.load(network.state_dict())


def test_nothing_is_written_before_a_run_is_opened(tmp_path: Path) -> None:
    run = Run(tmp_path / "run", SETTINGS)
    run.log(0, loss=1.0)
    run.close()
    assert not list(tmp_path.iterdir())
    run.open()
    assert (tmp_path / "run" / "settings.json").exists()


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    network = nn.Linear(3, 2)
    run = opened(tmp_path / "run", SETTINGS)
    run.save(state_of(network, 1))
    nn.init.constant_(network.bias, float("nan"))
    with pytest.raises(UserError, match=r"not finite any more; .*state\.pt keeps the last good ones"):
        run.save(state_of(network, 2))
    assert load_state(tmp_path / "run" / "state.pt")["step"] == 1


class FullDisk:
    """A file on a disk with room for a thousand bytes; where it buffers, only its end is refused."""

    def __init__(self, file, buffers: bool) -> None:
        self._file, self._buffers, self._room = file, buffers, 1000

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if self._room < 0:
            self._refuse()

    def write(self, data: bytes) -> int:
        self._room -= len(data)
        if self._room < 0 and not self._buffers:
            self._refuse()
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    def _refuse(self) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("buffers", [False, True])
def test_a_full_disk_keeps_the_last_state(buffers: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, fdopen = nn.Linear(300, 200), os.fdopen
    run = opened(tmp_path / "run", SETTINGS)
    run.save(state_of(network, 1))
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr("adaptation.support.files.os.fdopen", lambda *arguments: FullDisk(fdopen(*arguments), buffers))
    with pytest.raises(UserError, match=r"cannot write .*state\.pt: No space left on device$"):
        run.save(state_of(network, 2))
    assert sorted(tmp_path.rglob("*")) == before
    assert load_state(tmp_path / "run" / "state.pt")["step"] == 1


def test_other_errors_pass_through(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="mine"), whole_file(tmp_path / "file"):
        raise RuntimeError("mine")
    with pytest.raises(UserError, match="nowhere/a: No such file or directory"), whole_file(tmp_path / "nowhere/a"):
        pass
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    opened(tmp_path / "run", SETTINGS).save(state_of(nn.Linear(1, 1), 1))
    left = tmp_path / "run" / f"{partial_prefix(Path('state.pt'))}x7"
    left.write_bytes(b"half")
    opened(tmp_path / "run", SETTINGS)
    assert not left.exists() and (tmp_path / "run" / "state.pt").exists()


def test_other_settings_are_named(tmp_path: Path) -> None:
    opened(tmp_path / "run", SETTINGS)
    with pytest.raises(UserError, match=r"a run with other settings \(adapt\.rate, model\); choose"):
        opened(tmp_path / "run", {"adapt": {"steps": 4, "rate": 0.2}, "model": "spin.pt"})


@pytest.mark.parametrize("settings", ['{"family": "style", "count": 12}', "[]", "{", "\x80"])
def test_only_runs_are_overwritten(settings: str, tmp_path: Path) -> None:
    """A set of crops has settings, too."""
    (tmp_path / "settings.json").write_bytes(settings.encode("latin-1"))
    (tmp_path / "images.npy").touch()
    for overwrite in (False, True):
        with pytest.raises(UserError, match="does not hold a run of topo-adapt; choose another folder"):
            opened(tmp_path, SETTINGS, overwrite=overwrite)
    assert (tmp_path / "images.npy").exists()


def test_the_present_folder_and_links_are_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(tmp_path / "run", SETTINGS).save(state_of(nn.Linear(1, 1), 1))
    (tmp_path / "link").symlink_to(tmp_path / "run")
    opened(tmp_path / "link", SETTINGS, overwrite=True).save(state_of(nn.Linear(1, 1), 2))
    assert load_state(tmp_path / "run" / "state.pt")["step"] == 2
    monkeypatch.chdir(tmp_path / "run")
    opened(Path(), SETTINGS, overwrite=True)
    assert (tmp_path / "run" / "settings.json").exists() and not (tmp_path / "run" / "state.pt").exists()


def test_curves_are_tensorboards(tmp_path: Path) -> None:
    for first in (0, 3):  # a run, and the same one gone on with
        run = opened(tmp_path / "run", SETTINGS)
        for step in range(first, first + 3):
            run.log(step, loss=1 / (1 + step), iou=0.5)
        run.close()
    curves = EventAccumulator(str(tmp_path / "run"))
    curves.Reload()
    assert sorted(curves.Tags()["scalars"]) == ["iou", "loss"]
    points = [(point.step, point.value) for point in curves.Scalars("loss")]
    assert points == [(step, pytest.approx(1 / (1 + step))) for step in range(6)]


def test_interruption_says_what_is_kept(tmp_path: Path) -> None:
    with pytest.raises(Interrupted, match="nothing was saved yet"), resumable(tmp_path):
        raise KeyboardInterrupt
    (tmp_path / "state.pt").touch()
    with pytest.raises(Interrupted, match="goes on from its last save") as caught, resumable(tmp_path):
        raise KeyboardInterrupt
    assert caught.value.code == 130


def test_states_of_other_programs_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    for state, message in (
        ({"network": {"a": 3}}, "does not hold the state of a run"),
        ({"network": [1]}, "does not hold the state of a run"),
        ({"network": {"a": torch.tensor([1.0, float("nan")])}}, "is damaged: its weights are not finite"),
        ({"network": {}, "options": nn.Linear(1, 1)}, "holds objects of torch.nn.modules.linear.Linear"),
    ):
        torch.save(state, path)
        with pytest.raises(UserError, match=rf"state\.pt:? .*{message}.*; --overwrite starts anew"):
            load_state(path)


def load_and_check(path: Path) -> None:
    """Load a state; whatever is accepted has finite weights."""
    assert all(torch.isfinite(value).all() for value in load_state(path)["network"].values())


def test_damaged_states_end_in_one_line() -> None:
    stream = io.BytesIO()
    state = {**state_of(nn.Linear(3, 2), 7), "curve": [(1, 0.5)], "optimizer": {"state": {0: {"step": torch.ones(1)}}}}
    torch.save(state, stream)
    outcome = fuzzing.fuzz(load_and_check, [stream.getvalue()], ".pt", count=200)
    print(outcome)
    assert not outcome.findings, "\n".join(outcome.findings[:5])
    assert outcome.counts["refused"] > 100 and outcome.counts["read"]
