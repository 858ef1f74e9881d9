"""What tests of the command line share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
"""For processes that find the package where this one does, and compute with one thread, as tests do.

Sums of more threads round otherwise, so that runs of both would differ in their last bits.
"""

Command = Callable[..., tuple[int, str, str]]
"""Runs a command in this process; its exit code, output and errors."""


def one_line(errors: str) -> str:
    """The one line that a failing command printed, without the program's name."""
    line = errors.strip()
    assert line.startswith("topo-adapt: ") and "\n" not in line, errors
    return line.removeprefix("topo-adapt: ")


def tree(folder: Path) -> dict[Path, bytes | None]:
    """Everything below a folder, to find out whether it changed."""
    return {path: path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


def adapting(work: Path, out: Path) -> list[object]:
    """Arguments that adapt the tiny model of a folder of work to its target."""
    model = work / "run" / "model.safetensors"
    return ["adapt", work / "target", "--model", model, "--out", out, "--preset", "tiny"]
