"""A training run on disk: settings, state, curves. Killed at any moment, it goes on as if it had not been."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.utils.tensorboard import SummaryWriter

from adaptation.errors import UserError
from adaptation.output import MARKER, whole_file
from adaptation.training.processes import is_first

State = dict[str, Any]


class Run:
    """A folder with settings.json, state.pt, and TensorBoard's events.

    Args:
        folder: made where it does not exist. A run with equal settings in it is continued.
        settings: everything that the result depends on.
        overwrite: start anew whatever is there.

    Raises:
        UserError: the folder holds something else, or a run with other settings; the message names them.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], *, overwrite: bool = False) -> None:
        self.folder = folder
        if is_first():  # the others would find what it is just writing
            _claim(folder, settings, overwrite=overwrite)
        if dist.is_initialized():
            dist.barrier()
        self._writer = SummaryWriter(str(folder)) if is_first() else None

    def load(self) -> State | None:
        """The state of the last save, or None for a fresh run.

        Raises:
            UserError: the file is damaged.
        """
        path = self.folder / "state.pt"
        return load_state(path) if path.exists() else None

    def save(self, state: State) -> None:
        """Replace the saved state; the old one stays until the new one is whole."""
        if is_first():
            with whole_file(self.folder / "state.pt") as file:
                torch.save(state, file)
            if self._writer:
                self._writer.flush()

    def log(self, step: int, **values: float) -> None:
        """Points on TensorBoard's curves."""
        if self._writer:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """End the curves."""
        if self._writer:
            self._writer.close()


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
        raise UserError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None
    if not isinstance(state, dict):
        raise UserError(f"{path} holds a {type(state).__name__}, not a state")
    return state


def _claim(folder: Path, settings: Mapping[str, Any], *, overwrite: bool) -> None:
    """Make the folder one of a run with these settings."""
    text = json.dumps(settings, indent=2, sort_keys=True, default=str)
    marker = folder / MARKER
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; --out must name a folder")
    if folder.exists() and any(folder.iterdir()):
        if not marker.is_file():
            raise UserError(f"{folder} does not hold a run of topo-adapt; choose another folder")
        if overwrite:
            shutil.rmtree(folder)
        elif marker.read_text() != text + "\n":
            raise UserError(
                f"{folder} holds a run with other settings ({_difference(marker, settings)}); "
                "choose another folder, or start anew with --overwrite"
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(marker) as file:
            file.write((text + "\n").encode())
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}") from None


def _difference(marker: Path, settings: Mapping[str, Any]) -> str:
    try:
        old = json.loads(marker.read_text())
    except ValueError:
        return "unreadable"
    new = json.loads(json.dumps(settings, default=str))
    names = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    return ", ".join(names[:5])
