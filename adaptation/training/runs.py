"""A training run on disk: settings, state and curves. A run that was killed at any moment resumes exactly."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

# TensorBoard has no type annotations.
from tensorboard.compat.proto.event_pb2 import Event  # type: ignore[import-untyped]
from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]
from tensorboard.summary.writer.record_writer import RecordWriter  # type: ignore[import-untyped]
from torch import Tensor

from adaptation.support.errors import Interrupted, UserError
from adaptation.support.files import MARKER, partial_prefix, whole_file, writing
from adaptation.support.reading.torch_files import read_torch
from adaptation.training.processes import is_first

STATE = "state.pt"
KINDS = ("adapt", "pretrain", "demo")
"""Kinds of runs. A folder holds a run if its settings have one of these names at the top level."""
State = dict[str, Any]


class Run:
    """A folder with settings.json, state.pt, and TensorBoard's events.

    Nothing is written before `open`, so that errors in the data are found before an old run is replaced.

    Args:
        folder: folder of the run; created if missing. A run in it with equal settings is resumed.
        settings: everything that the result depends on; the settings of the training are under one of `KINDS`.
        overwrite: whether to start anew instead of resuming a run in the folder.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], *, overwrite: bool = False) -> None:
        self.folder = folder
        self._settings, self._overwrite = settings, overwrite
        self._curves: _Curves | None = None

    def open(self) -> None:
        """Claim the folder and start the curves.

        Raises:
            UserError: the folder holds something else, or a run with other settings; the message names the settings.
        """
        if is_first():  # the other processes would find the folder half written
            claim(self.folder, self._settings, overwrite=self._overwrite)
        # No process may read the folder before it has been claimed.
        if dist.is_initialized():
            dist.barrier()
        self._curves = _Curves(self.folder) if is_first() else None

    def load(self, network: Mapping[str, Tensor]) -> State | None:
        """Return the state of the last save, or None for a fresh run.

        Args:
            network: weights of the network to resume; the saved weights must have the same names and shapes.

        Raises:
            UserError: the file is damaged, or its ``network`` is a different network.
        """
        path = self.folder / STATE
        if not path.exists():
            return None
        state = load_state(path)
        # Compared here, for one line in place of the list that load_state_dict prints.
        saved, own = ({n: v.shape for n, v in weights.items()} for weights in (state["network"], network))
        if saved != own:
            raise UserError(f"{path} is of another network; choose another folder, or start anew with --overwrite")
        return state

    def save(self, state: State) -> None:
        """Replace the saved state; the old one stays until the new one is complete.

        Raises:
            UserError: the state cannot be written, or a weight of its ``network`` is not finite; the old one stays.
        """
        # In every process, so that all of them stop.
        if not all(torch.isfinite(value).all() for value in state["network"].values()):
            raise UserError(f"the weights are not finite any more; {self.folder / STATE} keeps the last good ones")
        if is_first():
            with whole_file(self.folder / STATE) as file:
                torch.save(state, file)

    def log(self, step: int, **values: float) -> None:
        """Add points to TensorBoard's curves."""
        if self._curves:
            self._curves.add(step, values)

    def close(self) -> None:
        """Close the file of the curves."""
        if self._curves:
            self._curves.close()


@contextmanager
def resumable(folder: Path) -> Iterator[None]:
    """Turn Ctrl-C within a block into a message that says whether the run in a folder can be resumed.

    Raises:
        Interrupted: Ctrl-C was pressed.
    """
    try:
        yield
    except KeyboardInterrupt:
        again = "the same command, without --overwrite, goes on from its last save"
        kept = again if (folder / STATE).exists() else "nothing was saved yet"
        raise Interrupted(f"interrupted; {folder}: {kept}") from None


class _Curves:
    """A file of TensorBoard's events. Torch's own writer uses a thread, which only prints its errors."""

    def __init__(self, folder: Path) -> None:
        # TensorBoard reads the files of a run in the order of their names, so the time comes first, zero-padded.
        name = f"events.out.tfevents.{time.time_ns() / 1e9:017.6f}.{socket.gethostname()}.{os.getpid()}"
        self._path = folder / name
        with writing(self._path):
            self._file = self._path.open("wb", buffering=0)  # unbuffered, so that a killed run keeps its curves
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def add(self, step: int, values: Mapping[str, float]) -> None:
        points = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._write(Event(wall_time=time.time(), step=step, summary=Summary(value=points)))

    def close(self) -> None:
        self._file.close()

    def _write(self, event: Event) -> None:
        with writing(self._path):
            RecordWriter(self._file).write(event.SerializeToString())


def load_state(path: Path) -> State:
    """Read the tensors and plain values of a state file; nothing in it is executed.

    Raises:
        UserError: the file is missing or damaged, or does not hold the state of a run.
    """
    # Checked here, because the line about a missing file already says what is wrong.
    if not path.exists():
        raise UserError(f"no such file: {path}")
    try:
        state = read_torch(path)
    except UserError as error:
        raise UserError(f"{error}; --overwrite starts anew") from None
    network = state.get("network") if isinstance(state, dict) else None
    if not isinstance(network, dict) or not all(isinstance(value, Tensor) for value in network.values()):
        raise UserError(f"{path} does not hold the state of a run; --overwrite starts anew")
    # `Run.save` never writes such weights.
    if not all(torch.isfinite(value).all() for value in network.values()):
        raise UserError(f"{path} is damaged: its weights are not finite; --overwrite starts anew")
    return state


def claim(folder: Path, settings: Mapping[str, Any], *, overwrite: bool) -> None:
    """Create a folder for a run with these settings, or accept one whose run has equal settings.

    Args:
        folder: folder of the run.
        settings: settings of the run, with one of `KINDS` among their names.
        overwrite: whether to empty the folder if it holds a run.

    Raises:
        UserError: as `Run.open`.
    """
    text = json.dumps(settings, indent=2, sort_keys=True, default=str)
    # Settings are compared as JSON holds them: tuples have become lists, and paths strings.
    marker = folder / MARKER
    with writing(folder):
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{folder} is a file; --out must name a folder")
        if folder.exists() and any(folder.iterdir()):
            old = _settings(marker)
            # Only a folder that certainly holds a run is ever emptied.
            if not any(isinstance(old.get(kind), dict) for kind in KINDS):
                raise UserError(f"{folder} does not hold a run of topo-adapt; choose another folder")
            if overwrite:
                _empty(folder)
            elif changed := _differences(old, json.loads(text)):
                raise UserError(
                    f"{folder} holds a run with other settings ({', '.join(changed[:5])}); "
                    "choose another folder, or start anew with --overwrite"
                )
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(f"{partial_prefix(folder / STATE)}*"):
            left.unlink()  # partial file of a process that was killed while it saved
    # Last: a folder with a marker is a run that may be resumed or overwritten.
    with whole_file(marker) as file:
        file.write((text + "\n").encode())


def _settings(marker: Path) -> dict[str, Any]:
    """Settings of the run in a folder; empty if they cannot be read."""
    try:
        old = json.loads(marker.read_bytes())
    except (OSError, ValueError):
        return {}
    return old if isinstance(old, dict) else {}


def _empty(folder: Path) -> None:
    """Remove the contents of a folder. The folder stays: it may be the current one, or a link."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], within: str = "") -> list[str]:
    """Dotted names of the settings that differ."""
    names = []
    for name in sorted({*old, *new}):
        first, second = old.get(name), new.get(name)
        if isinstance(first, dict) and isinstance(second, dict):
            names += _differences(first, second, f"{within}{name}.")
        elif first != second:
            names.append(f"{within}{name}")
    return names
