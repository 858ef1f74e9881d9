"""Environments and programs that builds may meet, made up."""

from __future__ import annotations

import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tools"))

import build_checks as checks  # noqa: E402  in a folder that is no package

__all__ = ["ROOT", "checks", "environment_with_torch", "script"]


def script(path: Path, *lines: str) -> Path:
    """Write a program for the shell."""
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return path


def environment_with_torch(folder: Path, version: str | None) -> Path:
    """Make a virtual environment whose torch is a name and a version alone; return its interpreter."""
    venv.create(folder, with_pip=False, symlinks=True)
    site = next((folder / "lib").glob("python*")) / "site-packages"
    if version is not None:
        (site / "torch").mkdir()
        (site / "torch" / "__init__.py").write_text("from torch.version import __version__\n")
        (site / "torch" / "version.py").write_text(f"__version__ = '{version}'\n")
        metadata = site / f"torch-{version}.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n")
        (metadata / "INSTALLER").write_text("pip\n")
        (metadata / "RECORD").write_text("torch/__init__.py,,\ntorch/version.py,,\n")
    return folder / "bin" / "python"
