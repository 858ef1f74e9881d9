"""What the operator modules share in registering themselves with torch."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

BackwardMode = Literal["subgradient", "literal"]


def fold_batch(info: Any, in_dims: tuple[int | None, ...], *tensors: Tensor) -> tuple[Tensor, ...]:
    """Tensors of a vmap rule with the mapped dimension first, expanded where a tensor has none."""
    return tuple(
        tensor.expand(info.batch_size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
        for tensor, dim in zip(tensors, in_dims, strict=True)
    )
