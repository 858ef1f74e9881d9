"""MATLAB's files: those up to version 7, and those of version 7.3, which are HDF5 and need h5py.

h5py is the extra "datasets". Nothing in a file is executed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adaptation.support.errors import UserError, reason
from adaptation.support.reading.file_kinds import kind_of, with_article
from adaptation.support.reading.mat_file import read_mat_file

_INSTALL = "pip install '.[datasets]' in the project's folder installs it"


def read_mat(path: Path, names: Sequence[str]) -> dict[str, Any]:
    """Read variables of a MATLAB file.

    Args:
        path: the file.
        names: variables to read; all must be there.

    Returns:
        Variables by name, as `adaptation.support.reading.mat_file.read_mat_file` returns them; files of version 7.3 are
        read without structs and cells.

    Raises:
        UserError: the file is missing, damaged or of another kind, lacks a variable, or h5py is missing.
    """
    kind = kind_of(path)
    if kind not in ("MATLAB file", "HDF5 file"):
        raise UserError(f"{path}: found {with_article(kind)}, expected a MATLAB file (.mat)")
    with path.open("rb") as opened:
        later = kind == "HDF5 file" or opened.read(10) == b"MATLAB 7.3"
    read = _read_later(path, names) if later else read_mat_file(path, names)
    if missing := [name for name in names if name not in read]:
        raise UserError(f"{path} has no variable {', '.join(missing)}; it may belong to another data set")
    return read


def _read_later(path: Path, names: Sequence[str]) -> dict[str, Any]:
    try:
        import h5py
    except ImportError:
        raise UserError(
            f"{path} is a MATLAB file of version 7.3 (HDF5), which needs h5py; {_INSTALL}, or save it again in MATLAB "
            "with save(..., '-v7')"
        ) from None
    try:
        with h5py.File(path, "r") as file:
            wanted = [name for name in names if name in file]
            if plain := [name for name in wanted if not isinstance(file[name], h5py.Dataset)]:
                raise UserError(f"{path}: {plain[0]} is a struct, which is not read from files of version 7.3")
            # HDF5 files of MATLAB hold arrays with their dimensions reversed.
            return {name: file[name][()].T for name in wanted}
    except UserError:
        raise
    except Exception as error:  # h5py raises errors of many types on damaged files
        raise UserError(f"{path} is damaged or truncated: {reason(error)}") from None
