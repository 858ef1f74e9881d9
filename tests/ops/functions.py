"""The public functions as functions of one tensor, for tests that run over all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from samples import blobs, random
from torch import Tensor

from topokernels import (
    chamfer,
    d2t,
    edt,
    fill_holes,
    largest,
    m2s,
    rasterize,
    remove_small,
    s2d,
    skeleton,
    thin,
    topology_loss,
)

Function = Callable[[Tensor], Any]

# Differentiable functions of a mask (..., H, W).
FUNCTIONS: dict[str, Function] = {
    "s2d": s2d,
    "s2d literal": lambda m: s2d(m, backward="literal"),
    "edt": lambda m: edt(m, signed=True, squared=True),  # squares are exact in every dtype
    "fill_holes": fill_holes,
    "remove_small": lambda m: remove_small(m, 12, hole_area=6),
    "largest": lambda m: largest(m, connectivity=4),
    "thin": lambda m: thin(m, straight_through=True),
    "d2t": lambda m: d2t(s2d(m), m),
    "skeleton": skeleton,
    "skeleton literal": lambda m: skeleton(m, iterations=5, backward="literal"),
    "chamfer": lambda m: chamfer(m, m.roll(2, -1), reduction="none", pull_weight=2.0),
    "topology_loss": lambda m: topology_loss(m, m.roll(2, -1), reduction="none"),
    "topology_loss literal": lambda m: topology_loss(
        m, m.roll(2, -1), iterations=5, reduction="none", backward="literal"
    ),
}


def _faces(vertices: Tensor) -> Tensor:
    return torch.arange(vertices.shape[-2], device=vertices.device).reshape(-1, 3)


# Functions of vertices (B, V, 3).
RENDERERS: dict[str, Function] = {
    "m2s": lambda v: m2s(v, _faces(v), (20, 22), sigma=1.0),
    "rasterize": lambda v: rasterize(v, _faces(v), (20, 22)),
}


def example(name: str, seed: int) -> Tensor:
    """A float32 input of a function or renderer."""
    if name in FUNCTIONS:
        return blobs(seed, 3, 20, 22, dtype=torch.float32)
    return random(seed, 2, 12, 3, dtype=torch.float32) * 6 + 10


def tensors(result: Any) -> tuple[Tensor, ...]:
    return result if isinstance(result, tuple) else (result,)


def gradient(function: Function, leaf: Tensor) -> Tensor:
    """The gradient of a weighted sum of a function's result."""
    leaf = leaf.detach().requires_grad_()
    out = function(leaf)
    weight = random(99, *out.shape, dtype=out.dtype).to(out.device)
    return torch.autograd.grad((out * weight).sum(), leaf)[0]


def everything(name: str, given: Tensor) -> tuple[Tensor, ...]:
    """The outputs of a function or renderer, and its gradient if it has one."""
    function = (FUNCTIONS | RENDERERS)[name]
    outputs = tensors(function(given))
    return outputs if name == "rasterize" else (*outputs, gradient(function, given))


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


STRAIGHT_THROUGH = ("edt", "thin")
"""Functions that threshold soft masks, so that finite differences are 0."""

PER_IMAGE = ("chamfer", "topology_loss", "topology_loss literal")
"""Functions that give one number per image instead of an image."""

KEEPS_DTYPE = ("fill_holes", "remove_small", "largest", "thin")
"""Functions from masks to masks, of every dtype."""
