"""Base class of batches: dataclasses whose fields share a leading dimension."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

Self = TypeVar("Self", bound="Batch")

SHARED = {"shared": True}
"""Metadata of fields that all entries of a batch have in common, such as the faces of a mesh: they are kept whole."""


class Batch:
    """Mixin for frozen dataclasses that hold N entries.

    Each field is a tensor (N, ...), another batch of N entries, a named tuple of such values, or None where the
    batch does not have it. A field with the metadata `SHARED` is anything that all entries have in common.
    """

    def __len__(self) -> int:
        """Return N, the number of entries."""
        own = (getattr(self, field.name) for field in fields(self) if not field.metadata)  # type: ignore[arg-type]
        return len(next(value for value in own if value is not None))

    def select(self: Self, index: Tensor | slice) -> Self:
        """Return the entries chosen by indices (M,), a boolean mask (N,) or a slice."""
        return _map(lambda value: value[index], self)

    def repeat_interleave(self: Self, times: int) -> Self:
        """Return a batch with each entry repeated ``times`` times in a row, as `torch.repeat_interleave` does."""
        return _map(lambda value: value.repeat_interleave(times, dim=0), self)

    def to(self: Self, device: str | torch.device) -> Self:
        """Return the batch on a device."""
        moved = _map(lambda value: value.to(device), self)
        return _map_shared(lambda value: value.to(device) if isinstance(value, Tensor) else value, moved)

    def detach(self: Self) -> Self:
        """Return the batch detached from the autograd graph."""
        return _map(Tensor.detach, self)

    def mean_with(self: Self, other: Self) -> Self:
        """Return the element-wise mean of two batches of the same shapes."""
        return _map(lambda first, second: (first + second) / 2, self, other)

    def finite(self) -> bool:
        """Return whether all values are finite."""
        return all(bool(torch.isfinite(value).all()) for value in _tensors(self))

    @classmethod
    def cat(cls: type[Self], parts: Sequence[Self]) -> Self:
        """Concatenate batches in their order."""
        return _map(lambda *values: torch.cat(values), *parts)


def _map(function: Callable[..., Tensor], first: Any, *others: Any) -> Any:
    """Apply a function to the corresponding tensors of values with the same structure."""
    if isinstance(first, Tensor):
        return function(first, *others)
    if first is None:
        return None
    if isinstance(first, tuple):  # a named tuple, whose constructor takes its fields one by one
        return type(first)(*(_map(function, *values) for values in zip(first, *others, strict=True)))
    if not is_dataclass(first):
        raise TypeError(f"a batch holds tensors and batches, got {type(first).__name__}")
    kind: Any = type(first)
    parts = {
        field.name: getattr(first, field.name)
        if field.metadata
        else _map(function, *(getattr(v, field.name) for v in (first, *others)))
        for field in fields(first)
    }
    return kind(**parts)


def _map_shared(function: Callable[[Any], Any], value: Any) -> Any:
    """Apply a function to the shared fields of a batch and of the batches in it."""
    if not is_dataclass(value) or isinstance(value, type):
        return value
    names = fields(value)
    parts = {
        f.name: (function if f.metadata else partial(_map_shared, function))(getattr(value, f.name)) for f in names
    }
    return replace(value, **parts)


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if value is None:
        return []
    parts = value if isinstance(value, tuple) else [getattr(value, f.name) for f in fields(value) if not f.metadata]
    return [tensor for part in parts for tensor in _tensors(part)]
