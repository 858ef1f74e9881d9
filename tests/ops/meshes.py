"""Random meshes, and the gradient of a renderer."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

# Sizes (H, W) of images: single rows and columns, and sides that are no multiple of a tile.
SIZES = [(1, 1), (1, 37), (23, 1), (17, 40), (33, 16)]


def soup(seed: int, batch: int, count: int, size: tuple[int, int], spread: float) -> Tensor:
    """Vertices (batch, 3 * count, 2) of triangles ``spread`` pixels large, some off-screen."""
    generator = torch.Generator().manual_seed(seed)
    height, width = size
    centre = torch.rand(batch, count, 1, 2, generator=generator, dtype=torch.float64) * 1.4 - 0.2
    corner = torch.randn(batch, count, 3, 2, generator=generator, dtype=torch.float64) * spread
    return (centre * torch.tensor([width, height]) + corner).flatten(1, 2)


def loose_faces(count: int) -> Tensor:
    return torch.arange(3 * count).reshape(count, 3)


def sphere(rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """A closed mesh of radius 1: vertices (V, 3) float64, faces (F, 3)."""
    theta = torch.linspace(0, math.pi, rows + 1, dtype=torch.float64)[:, None]
    phi = torch.arange(columns, dtype=torch.float64) * 2 * math.pi / columns
    grid = theta.sin() * phi.cos(), theta.sin() * phi.sin(), theta.cos().expand(-1, columns)
    at = torch.arange((rows + 1) * columns).reshape(rows + 1, columns)
    at[0], at[-1] = 0, rows * columns  # one vertex per pole
    a, b = at[:-1], at[1:]
    c, d = b.roll(-1, 1), a.roll(-1, 1)
    faces = torch.cat([torch.stack([a, b, c], -1)[:-1], torch.stack([a, c, d], -1)[1:]])
    return torch.stack(grid, -1).reshape(-1, 3), faces.reshape(-1, 3)


def noise(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def grad_of(render: Callable[[Tensor], Tensor], vertices: Tensor, weights: Tensor) -> Tensor:
    leaf = vertices.detach().clone().requires_grad_()
    (grad,) = torch.autograd.grad(render(leaf), leaf, weights.to(leaf))
    return grad
