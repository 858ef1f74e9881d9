"""Weights in files: found under any keys and prefixes, and written back in the form in which they came."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from adaptation.support.errors import UserError, reason
from adaptation.support.reading.file_kinds import kind_of, with_article
from adaptation.support.reading.findings import found
from adaptation.support.reading.torch_files import is_before_zip, read_torch

# Keys of weights in checkpoints, the likeliest first.
_KEYS = ("model", "state_dict", "model_state_dict", "network", "net", "params")
_USUAL_PLACES = ((), ("model",), ("state_dict",))
_USUAL_PREFIXES = ("", "module.")  # the second is of a network that torch.nn.DataParallel wraps
_AVERAGES = re.compile(r"(?<![a-z])ema(?![a-z])|avg|averag|teacher|shadow|swa", re.IGNORECASE)
_DEEPEST = 4  # levels of keys that are searched
OTHER_NETWORKS = "for another network, give --model package.module:function (docs/your_model.md)"
"""What to do with a network that is not SPIN's."""
_REMEDIES = {
    "TorchScript file": f"it is a program with its weights, which torch.jit.load reads; {OTHER_NETWORKS}",
    "program of torch.export": f"it cannot be trained as weights alone; {OTHER_NETWORKS}",
    "ONNX model": OTHER_NETWORKS,
    "HDF5 file": f"Keras's weights have other names and layouts than torch's; {OTHER_NETWORKS}",
    "Keras model": f"Keras's weights have other names and layouts than torch's; {OTHER_NETWORKS}",
    "npz file of NumPy": "save its arrays with torch.save({name: torch.from_numpy(array), ...}, 'weights.pt')",
    "Python pickle": "save its weights with torch.save",
    **{f"{kind} archive": "unpack it first" for kind in ("zip", "gzip", "7z", "RAR", "bzip2", "xz")},
}


@dataclass(frozen=True)
class Part:
    """A part of a network, whose names in a file may have a prefix of their own.

    Attributes:
        anchor: name of a weight by which the part is recognised.
        names: pattern of the names of its weights.
    """

    anchor: str
    names: re.Pattern[str]

    def prefixes(self, names: Sequence[str]) -> list[str]:
        """Return what stands before the anchor in names of a file, averaged weights last."""
        ends = [name for name in names if name == self.anchor or name.endswith(f".{self.anchor}")]
        return sorted((name.removesuffix(self.anchor) for name in ends), key=lambda p: (_is_average(p), len(p)))


@dataclass(frozen=True, eq=False)
class WeightFile:
    """The weights of a network in a file, and what surrounds them.

    Attributes:
        whole: contents of the file.
        place: keys that lead to the weights in it.
        names: name in the file of each weight, by its name in the network.
        metadata: metadata of a safetensors file; None for torch.save's files.
        before_zip: whether the file has the format of torch.save before version 1.6.
    """

    whole: Mapping[str, Any]
    place: tuple[str, ...]
    names: dict[str, str]
    metadata: dict[str, str] | None = None
    before_zip: bool = False
    _held: Mapping[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        held: Any = self.whole
        for key in self.place:
            held = held[key]
        object.__setattr__(self, "_held", held)

    @property
    def weights(self) -> dict[str, Tensor]:
        """The weights by their names in the network."""
        return {own: self._held[name] for own, name in self.names.items()}

    @property
    def others(self) -> list[str]:
        """Names of the tensors beside the weights that are not the network's."""
        used = set(self.names.values())
        return [name for name, value in self._held.items() if isinstance(value, Tensor) and name not in used]

    def prefix(self, part: Part) -> str:
        """Return what stands before the names of a part."""
        return self.names[part.anchor].removesuffix(part.anchor)

    def write(self, file: IO[bytes], weights: Mapping[str, Tensor]) -> None:
        """Write the file anew.

        Args:
            file: file to write to.
            weights: new weights by their names in the network. They get the names and shapes that they had; all else
                stays as it was.
        """
        changed: Any = copy.copy(self._held)  # keeps the class, and what else an OrderedDict has
        for own, name in self.names.items():
            shape = self._held[name].shape if name in self._held else weights[own].shape
            changed[name] = weights[own].reshape(shape)
        if self.metadata is not None:
            file.write(save(dict(changed), self.metadata or None))
        else:
            whole = _replaced(self.whole, self.place, changed)
            torch.save(whole, file, _use_new_zipfile_serialization=not self.before_zip)


def _replaced(whole: Any, place: Sequence[str], inner: Any) -> Any:
    """Return contents with another value at a place."""
    if not place:
        return inner
    changed = copy.copy(whole)
    changed[place[0]] = _replaced(whole[place[0]], place[1:], inner)
    return changed


def read_weights(path: Path, parts: Sequence[Part], expected: str) -> WeightFile:
    """Read the weights of a network.

    Args:
        path: safetensors file, or a file of torch.save; its first bytes count, not its name.
        parts: parts of the network, all of which have to be there.
        expected: what network is expected, for messages.

    Raises:
        UserError: the file is missing, damaged, or holds something else.
    """
    whole, metadata = _contents(path)
    if not isinstance(whole, Mapping):
        raise UserError(f"{path} holds a {type(whole).__name__}, expected the weights of {expected}")
    places = {}
    for place, held in _mappings(whole):
        if names := _names(held, parts):
            places[place] = names
    if not places:
        raise UserError(f"{path} holds {_looks_like(whole)}, expected the weights of {expected}; {OTHER_NETWORKS}")
    place = min(places, key=_preference)
    file = WeightFile(whole, place, places[place], metadata, metadata is None and is_before_zip(path))
    _say(path, file, parts, list(places))
    return file


def _contents(path: Path) -> tuple[Any, dict[str, str] | None]:
    """Return the contents of a file, and the metadata if it is a safetensors file."""
    kind = kind_of(path)
    if kind == "PyTorch checkpoint":
        return read_torch(path), None
    if kind != "safetensors file":
        remedy = _REMEDIES.get(kind)
        raise UserError(
            f"{path}: found {with_article(kind)}, expected weights of torch (.pt, .safetensors)"
            + (f"; {remedy}" if remedy else "")
        )
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}
    # A damaged header may also name types that torch lacks, or sizes that no memory has.
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise UserError(f"{path} is damaged or truncated: {reason(error)}") from None


def _mappings(whole: Mapping[Any, Any]) -> Iterator[tuple[tuple[str, ...], Mapping[Any, Any]]]:
    """Yield all mappings in nested contents and the keys that lead to them, outer ones first."""
    level: list[tuple[tuple[str, ...], Mapping[Any, Any]]] = [((), whole)]
    for _ in range(_DEEPEST):
        yield from level
        level = [
            ((*place, key), inner)
            for place, held in level
            for key, inner in held.items()
            if isinstance(key, str) and isinstance(inner, Mapping)
        ]


def _tensors(held: Mapping[Any, Any]) -> list[str]:
    # Checkpoints also hold optimisers, counters and names; only tensors are weights.
    return [name for name, value in held.items() if isinstance(name, str) and isinstance(value, Tensor)]


def _names(held: Mapping[Any, Any], parts: Sequence[Part]) -> dict[str, str]:
    """Return the names of the weights of a network in a mapping, by their own names; {} if a part is missing."""
    names, result = _tensors(held), {}
    for part in parts:
        prefixes = part.prefixes(names)
        if not prefixes:
            return {}
        prefix = prefixes[0]
        for name in names:
            if name.startswith(prefix) and part.names.match(own := name.removeprefix(prefix)):
                result[own] = name
    return result


def _is_average(name: str) -> bool:
    return _AVERAGES.search(name) is not None


def _preference(place: tuple[str, ...]) -> tuple[bool, int, int]:
    """Order of places in which weights were found: averages last, then by the usual keys."""
    last = place[-1] if place else ""
    return any(map(_is_average, place)), _KEYS.index(last) if last in _KEYS else len(_KEYS), len(place)


def _say(path: Path, file: WeightFile, parts: Sequence[Part], places: Sequence[tuple[str, ...]]) -> None:
    """State what is unusual about the weights that were found."""
    if len(places) > 1:
        listed = ", ".join(repr(".".join(place)) for place in places)
        found(f"{path}: weights that fit at {listed}; those at {'.'.join(file.place)!r} are used and replaced")
    elif file.place not in _USUAL_PLACES:
        found(f"{path}: the weights are at {'.'.join(file.place)!r}")
    names = _tensors(file._held)
    several = [part for part in parts if len(part.prefixes(names)) > 1]
    if several:
        listed = ", ".join(repr(prefix) for prefix in several[0].prefixes(names))
        found(f"{path}: weights that fit with the prefixes {listed}; those with the first are used and replaced")
    elif unusual := sorted({file.prefix(part) for part in parts} - set(_USUAL_PREFIXES)):
        found(f"{path}: the names of the weights begin with {' and '.join(map(repr, unusual))}")


# Names of weights by which other networks are recognised.
_ARCHITECTURES = (
    (r"(blocks|layers?|encoder)\.\d+\..*(attn|attention|qkv)", "a vision transformer"),
    (r"stage\d\.\d+\.(branches|fuse_layers)", "an HRNet"),
    (r"layer1\.0\.conv1", "a ResNet without SPIN's head"),
    (r"(features|stages|stem)\.\d+\.", "another convolutional network"),
)


def _looks_like(whole: Mapping[Any, Any]) -> str:
    """Describe the weights in a file by their names."""
    names = max((_tensors(held) for _, held in _mappings(whole)), key=len)
    if not names:
        if any(isinstance(value, np.ndarray) for _, held in _mappings(whole) for value in held.values()):
            return "NumPy's arrays in place of tensors"
        return f"no tensors ({', '.join(map(str, list(whole)[:5])) or 'nothing'})"[:200]
    for pattern, what in _ARCHITECTURES:
        if named := next((name for name in names if re.search(pattern, name)), None):
            return f"the weights of {what} ({named[:80]})"
    return f"{len(names)} weights of another network ({', '.join(name[:60] for name in names[:3])})"
