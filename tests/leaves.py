"""The tensors of a batch by name, nested ones by dotted names."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor


def tensors_of(batch: Any, name: str = "") -> dict[str, Tensor]:
    """Every tensor of a batch, however deep; parts that are None are left out."""
    if isinstance(batch, Tensor):
        return {name: batch}
    if batch is None:
        return {}
    assert is_dataclass(batch)
    parts = ((field.name, getattr(batch, field.name)) for field in fields(batch))
    return {key: value for part, each in parts for key, value in tensors_of(each, f"{name}.{part}".strip(".")).items()}
