"""MATLAB's files: those up to version 7 with SciPy, and those of version 7.3, which are HDF5, with h5py.

Both packages belong to the extra "datasets". Neither executes anything in a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adaptation.support.errors import UserError, reason
from adaptation.support.reading.file_kinds import kind_of, with_article

_INSTALL = "pip install '.[datasets]' in the project's folder installs it"


def read_mat(path: Path, names: Sequence[str], *, structs: bool = False) -> dict[str, Any]:
    """Read variables of a MATLAB file.

    Args:
        path: the file.
        names: variables to read; all must be there.
        structs: whether structs become objects with attributes and dimensions of length 1 are dropped, as suits nested
            annotations. Files of version 7.3 are read without structs and cells.

    Returns:
        Arrays by name, with MATLAB's order of dimensions. Cells are arrays of objects.

    Raises:
        UserError: the file is missing, damaged or of another kind, lacks a variable, or the package is missing.
    """
    kind = kind_of(path)
    if kind not in ("MATLAB file", "HDF5 file"):
        raise UserError(f"{path}: found {with_article(kind)}, expected a MATLAB file (.mat)")
    with path.open("rb") as opened:
        later = kind == "HDF5 file" or opened.read(10) == b"MATLAB 7.3"
    read = _read_later(path, names) if later else _read_earlier(path, names, structs)
    if missing := [name for name in names if name not in read]:
        raise UserError(f"{path} has no variable {', '.join(missing)}; it may belong to another data set")
    return read


def _read_earlier(path: Path, names: Sequence[str], structs: bool) -> dict[str, Any]:
    try:
        from scipy.io import loadmat
    except ImportError:
        raise UserError(f"{path}: reading MATLAB files needs SciPy; {_INSTALL}") from None
    try:
        read: dict[str, Any] = loadmat(
            path, variable_names=list(names), squeeze_me=structs, struct_as_record=not structs
        )
    except Exception as error:  # SciPy raises errors of many types on damaged files
        raise UserError(f"{path} is damaged or truncated: {reason(error)}") from None
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
