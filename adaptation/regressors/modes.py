"""Modes of running a network, by the names in settings and commands. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Precision = Literal["float32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
Norm = Literal["frozen", "target"]
"""Statistics of the batch norms: "frozen" ones of the source, or those of the target."""
NORMS: tuple[Norm, ...] = get_args(Norm)


@dataclass(frozen=True)
class CropRule:
    """How a network's own programs cut people out of frames. What is adapted must be what is deployed.

    Attributes:
        size: side of the crops, pixels.
        padding: side of the crop per longer side of the person's box; 1 leaves no space.
        aspect: width per height to which the person's box is widened or heightened before; None leaves it.
    """

    size: int
    padding: float = 1.0
    aspect: float | None = None
