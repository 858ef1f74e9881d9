"""NumPy's files: npz archives and single arrays. Nothing in a file is executed."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from adaptation.support.errors import UserError, reason
from adaptation.support.reading.file_kinds import kind_of, with_article

Array = npt.NDArray[Any]
MOST_BYTES = 8 << 30  # of all arrays of a file: a small archive can expand to any size
_MAGIC = b"\x93NUMPY"


def read_arrays(
    file: Path, keys: Collection[str] | None = None, read_object: Callable[[bytes], Any] | None = None
) -> dict[str, Any]:
    """Read the arrays of an npz file, or the one of an npy file.

    Args:
        file: the file; its first bytes count, not its name.
        keys: names of the arrays to read; None for all. Others are not touched, whatever they hold.
        read_object: reader of the pickle in an array of Python objects, which must execute nothing; without it such
            arrays are refused.

    Returns:
        The arrays by name. The name of an npy file's array is "".

    Raises:
        UserError: the file is missing, damaged, of another kind or too large, or holds Python objects.
    """
    kind = kind_of(file)
    try:
        if kind == "npz file of NumPy":
            with zipfile.ZipFile(file) as archive:
                return _from_archive(archive, file, keys, read_object)
        if kind == "npy file of NumPy":
            _check_size(file.stat().st_size, file)
            return {"": _array(file.read_bytes(), file, "the array", read_object)}
    except UserError:
        raise
    # zipfile and NumPy raise errors of nearly every type on damaged files.
    except Exception as error:
        raise UserError(f"{file} is damaged or truncated: {reason(error)}") from None
    raise UserError(f"{file}: found {with_article(kind)}, expected an npz or npy file of NumPy")


def _from_archive(
    archive: zipfile.ZipFile, file: Path, keys: Collection[str] | None, read_object: Callable[[bytes], Any] | None
) -> dict[str, Any]:
    named = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
    chosen = {name: member for name, member in named.items() if keys is None or name in keys}
    _check_size(sum(member.file_size for member in chosen.values()), file)
    return {name: _array(archive.read(member), file, name, read_object) for name, member in chosen.items()}


def names_of_arrays(file: Path) -> tuple[str, ...]:
    """Return the names of the arrays of an npz file, without reading them; () for other files.

    Raises:
        UserError: the file cannot be read.
    """
    if kind_of(file) != "npz file of NumPy":
        return ()
    with zipfile.ZipFile(file) as archive:
        return tuple(name.removesuffix(".npy") for name in archive.namelist())


def open_mapped(file: Path) -> Array:
    """Open the array of an npy file without reading it: its parts are read when they are used.

    Raises:
        UserError: the file is missing, damaged or of another kind, or holds Python objects.
    """
    if (kind := kind_of(file)) != "npy file of NumPy":
        raise UserError(f"{file}: found {with_article(kind)}, expected an npy file of NumPy")
    try:
        mapped: Array = np.load(file, mmap_mode="r", allow_pickle=False)
    # NumPy raises errors of many types on damaged files.
    except Exception as error:
        raise UserError(f"{file} is damaged or truncated: {reason(error)}") from None
    return mapped


def _check_size(size: int, file: Path) -> None:
    if size > MOST_BYTES:
        raise UserError(
            f"{file}: its arrays take {size / 2**30:.0f} GiB, more than the limit of {MOST_BYTES >> 30} GiB"
        )


def _array(content: bytes, file: Path, name: str, read_object: Callable[[bytes], Any] | None) -> Any:
    """Read one array in NumPy's format."""
    if not content.startswith(_MAGIC):
        raise UserError(f"{file}: {name} is not an array in NumPy's format; the file is damaged")
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = header(stream)
    if dtype.hasobject:
        if read_object is None:
            raise UserError(
                f"{file}: {name} holds Python objects, which are not loaded because that could run code; "
                "save it as an array of numbers"
            )
        return read_object(content[stream.tell() :])
    # The header is compared with what follows it before memory is taken for the array.
    expected, rest = math.prod(shape) * dtype.itemsize, len(content) - stream.tell()
    if expected > rest:
        raise UserError(f"{file}: {name} is truncated: {rest} of {expected} bytes")
    return np.load(io.BytesIO(content), allow_pickle=False)
