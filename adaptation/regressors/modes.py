"""Ways to run a network, by the names that settings and commands use. Nothing here imports torch."""

from __future__ import annotations

from typing import Literal, get_args

Precision = Literal["float32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
Norm = Literal["frozen", "target"]
"""Statistics of batch norms: the source's, or the target's."""
NORMS: tuple[Norm, ...] = get_args(Norm)
