"""Modes of running a network, by the names in settings and commands. Nothing here imports torch."""

from __future__ import annotations

from typing import Literal, get_args

Precision = Literal["float32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
Norm = Literal["frozen", "target"]
"""Statistics of the batch norms: "frozen" ones of the source, or those of the target."""
NORMS: tuple[Norm, ...] = get_args(Norm)
