"""Files of torch.save, old and new, with tensors, plain values and NumPy's values. Nothing in a file is executed."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch

from adaptation.support.errors import UserError, reason
from adaptation.support.reading.file_kinds import kind_of, with_article
from adaptation.support.reading.inert_pickle import IN_CHECKPOINTS, plain

_CHUNK = 1 << 20
_MOST_OTHERS = 64  # classes in a checkpoint that are left out
# Keys under which checkpoints hold their weights, the likeliest first; for the advice.
_KEYS = ("state_dict", "model_state_dict", "model", "network", "net", "params", "weights")


def read_torch(path: Path, *, leave_others: bool = False) -> Any:
    """Read a file that torch.save wrote.

    Args:
        path: the file; its first bytes count, not its name.
        leave_others: whether objects of other classes, such as the settings in checkpoints of Lightning, become
            dictionaries instead of an error. Their classes are not imported.

    Returns:
        What it holds: tensors on the CPU, containers, numbers, text, NumPy's arrays and values, argparse.Namespace.

    Raises:
        UserError: the file is missing, damaged or of another kind, or holds objects of other classes.
    """
    left: set[str] = set()
    while True:
        try:
            return _read(path, left)
        except _OtherClassError as error:
            name = str(error)
            # Some names stay refused, whatever stands in for them.
            if not leave_others or name in left or len(left) >= _MOST_OTHERS:
                raise UserError(f"{path} holds objects of {name[:100]}; {_advice(path)}") from None
            left.add(name)


def read_state_dict(path: Path) -> dict[str, torch.Tensor]:
    """Return the weights in a checkpoint by their names, under any of the usual keys.

    Raises:
        UserError: the file cannot be read, or holds no weights.
    """
    whole = read_torch(path, leave_others=True)
    for held in (*(whole.get(key) for key in _KEYS), whole) if isinstance(whole, dict) else ():
        tensors = {n: v for n, v in held.items() if isinstance(v, torch.Tensor)} if isinstance(held, dict) else {}
        if tensors:
            return tensors
    raise UserError(f"{path} holds no weights under {', '.join(_KEYS)}")


class _OtherClassError(Exception):
    """A file holds objects of a class that is not read; the message is its name."""


class _Left:
    """Stands in for another class: what is made of it is an ordered dictionary, whatever the arguments.

    torch gives items and a state to dictionaries alone, and to ordered ones both.
    """

    def __new__(cls, *_arguments: Any) -> Any:
        return OrderedDict()


def _read(path: Path, left: set[str]) -> Any:
    kind = kind_of(path)
    if kind != "PyTorch checkpoint":
        raise UserError(f"{path}: found {with_article(kind)}, expected a file of torch.save")
    try:
        _check_sums(path)
        # An open file, because torch would take a file named .safetensors for one.
        # The advice that torch warns about is for its own developers.
        with (
            path.open("rb") as opened,
            warnings.catch_warnings(),
            torch.serialization.safe_globals([*IN_CHECKPOINTS, *((_Left, name) for name in left)]),
        ):
            warnings.simplefilter("ignore")
            whole = torch.load(opened, map_location="cpu", weights_only=True)
        return plain(whole)
    # torch.load raises errors of nearly every type on damaged files.
    except Exception as error:
        if named := re.search(r"GLOBAL (\S+)", str(error)):
            raise _OtherClassError(named[1]) from None
        raise UserError(f"{path} is damaged or truncated: {_cause(error)}") from None


def is_before_zip(path: Path) -> bool:
    """Return whether a file of torch.save has the format before torch 1.6, which is not a zip archive."""
    with path.open("rb") as opened:
        return opened.read(1) == b"\x80"


def _check_sums(path: Path) -> None:
    """Compare the checksums in a zip archive, which torch does not do."""
    if is_before_zip(path):
        return  # that format has no checksums
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            # 0 where torch was told not to compute them.
            if member.CRC:
                with archive.open(member) as opened:
                    while opened.read(_CHUNK):
                        pass


def _advice(path: Path) -> str:
    """Say how the weights alone are saved again, by whoever trusts the file."""
    # Both formats begin with the pickle, which zip archives of torch hold uncompressed.
    with path.open("rb") as opened:
        start = opened.read(_CHUNK)
    # Text has its length before it.
    found = next((key for key in _KEYS if len(key).to_bytes(4, "little") + key.encode() in start), _KEYS[0])
    # A network that was saved whole has its parts' classes in it.
    part = ".state_dict()" if b"torch.nn.modules" in start else f'["{found}"]'
    return (
        "only tensors, plain values and NumPy's are read, because others could run code; if you trust the file, save "
        f"its weights alone: torch.save(torch.load({path.name!r}, weights_only=False){part}, 'weights.pt')"
    )


def _cause(error: Exception) -> str:
    """Return torch's own cause, without its advice to load the file unsafely."""
    text = str(error)
    if "Weights only load failed" in text and (cause := re.search(r"WeightsUnpickler error: ([^\n]*)", text)):
        return cause[1].strip()[:200] or "its pickle cannot be read"
    return "its pickle cannot be read" if "Weights only load failed" in text else reason(error)
