"""A training run on disk: settings, state, curves. Killed at any moment, it goes on as if it had not been."""

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
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter
from torch import Tensor

from adaptation.support.errors import Interrupted, UserError, reason
from adaptation.support.files import MARKER, partial_prefix, whole_file, writing
from adaptation.training.processes import is_first

STATE = "state.pt"
KINDS = ("adapt", "pretrain", "demo")
"""Of runs: a folder is taken for one if its settings have one of these."""
State = dict[str, Any]


class Run:
    """A folder with settings.json, state.pt, and TensorBoard's events.

    Nothing is written before `open`, so that whatever is wrong with the data can be said first.

    Args:
        folder: made where it does not exist. A run with equal settings in it is resumed.
        settings: everything that the result depends on, that of the training under one of `KINDS`.
        overwrite: start anew whatever is there.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], *, overwrite: bool = False) -> None:
        self.folder = folder
        self._settings, self._overwrite = settings, overwrite
        self._curves: _Curves | None = None

    def open(self) -> None:
        """Take the folder.

        Raises:
            UserError: it holds something else, or a run with other settings; the message names them.
        """
        if is_first():  # the others would find what it is just writing
            claim(self.folder, self._settings, overwrite=self._overwrite)
        if dist.is_initialized():
            dist.barrier()
        self._curves = _Curves(self.folder) if is_first() else None

    def load(self, network: Mapping[str, Tensor]) -> State | None:
        """The state of the last save, or None for a fresh run.

        Args:
            network: weights of the network that is to continue, which the saved ones must fit.

        Raises:
            UserError: the file is damaged, or its ``network`` is another one than this.
        """
        path = self.folder / STATE
        if not path.exists():
            return None
        state = load_state(path)
        saved, own = ({n: v.shape for n, v in weights.items()} for weights in (state["network"], network))
        if saved != own:
            raise UserError(f"{path} is of another network; choose another folder, or start anew with --overwrite")
        return state

    def save(self, state: State) -> None:
        """Replace the saved state; the old one stays until the new one is whole.

        Raises:
            UserError: it cannot be written, or its ``network`` is not finite; the old one stays.
        """
        if not all(torch.isfinite(value).all() for value in state["network"].values()):
            raise UserError(f"the weights are not finite any more; {self.folder / STATE} keeps the last good ones")
        if is_first():
            with whole_file(self.folder / STATE) as file:
                torch.save(state, file)

    def log(self, step: int, **values: float) -> None:
        """Points on TensorBoard's curves."""
        if self._curves:
            self._curves.add(step, values)

    def close(self) -> None:
        """End the curves."""
        if self._curves:
            self._curves.close()


@contextmanager
def resumable(folder: Path) -> Iterator[None]:
    """A block that runs in a folder.

    Raises:
        Interrupted: at Ctrl-C.
    """
    try:
        yield
    except KeyboardInterrupt:
        again = "the same command, without --overwrite, goes on from its last save"
        kept = again if (folder / STATE).exists() else "nothing was saved yet"
        raise Interrupted(f"interrupted; {folder}: {kept}") from None


class _Curves:
    """A file of TensorBoard's events. Torch's own writer has a thread, whose errors it prints."""

    def __init__(self, folder: Path) -> None:
        # TensorBoard reads the files of a run in the order of their names.
        name = f"events.out.tfevents.{time.time_ns() / 1e9:017.6f}.{socket.gethostname()}.{os.getpid()}"
        self._path = folder / name
        with writing(self._path):
            self._file = self._path.open("wb", buffering=0)
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
    """Tensors and plain values of a file; nothing in it is executed.

    Raises:
        UserError: missing or damaged.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"no such file: {path}") from None
    except Exception as error:  # torch.load has no common error of its own
        raise UserError(f"{path} cannot be read ({reason(error)}); --overwrite starts anew") from None
    if not isinstance(state, dict) or not isinstance(state.get("network"), dict):
        raise UserError(f"{path} does not hold the state of a run; --overwrite starts anew")
    return state


def claim(folder: Path, settings: Mapping[str, Any], *, overwrite: bool) -> None:
    """Make a folder that of a run with these settings, of which there is one named in `KINDS`.

    Raises:
        UserError: as `Run.open`.
    """
    text = json.dumps(settings, indent=2, sort_keys=True, default=str)
    marker = folder / MARKER
    with writing(folder):
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{folder} is a file; --out must name a folder")
        if folder.exists() and any(folder.iterdir()):
            old = _settings(marker)
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
            left.unlink()  # by a process that was killed while it saved
    with whole_file(marker) as file:
        file.write((text + "\n").encode())


def _settings(marker: Path) -> dict[str, Any]:
    """What a run in a folder was made with; nothing where that cannot be read."""
    try:
        old = json.loads(marker.read_bytes())
    except (OSError, ValueError):
        return {}
    return old if isinstance(old, dict) else {}


def _empty(folder: Path) -> None:
    """Remove what is in a folder; it may be the present one, or a link, and stays."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], within: str = "") -> list[str]:
    names = []
    for name in sorted({*old, *new}):
        first, second = old.get(name), new.get(name)
        if isinstance(first, dict) and isinstance(second, dict):
            names += _differences(first, second, f"{within}{name}.")
        elif first != second:
            names.append(f"{within}{name}")
    return names
