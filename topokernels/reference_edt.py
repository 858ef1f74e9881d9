"""The Euclidean distance map in plain torch, which tries every pair of rows and every pair of columns."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def edt(
    mask: Tensor,
    *,
    signed: bool = False,
    squared: bool = False,
    sampling: Sequence[float] | None = None,
    black_border: bool = False,
) -> Tensor:
    """Distance map (..., H, W) of a floating mask, in float64 throughout; autograd gives the subgradient.

    O(H W (H + W)) memory per image.
    """
    soft = mask.double().reshape(-1, *mask.shape[-2:])
    foreground = soft > 0.5
    spacing = (1.0, 1.0) if sampling is None else (float(sampling[0]), float(sampling[1]))
    inner, moved = _distance(soft, ~foreground, spacing, ring=black_border)
    result, change = torch.where(foreground, inner, 0), torch.where(foreground, moved, 0)
    if signed:
        # Its sign is minus, but the mask that grows decreases it: the change keeps its sign.
        outer, moved = _distance(soft, foreground, spacing, ring=False)
        result, change = torch.where(foreground, result, -outer), torch.where(foreground, change, moved)
    if squared:
        result, change = result * result.abs(), 2 * result.abs() * change
    return (result + change).reshape(mask.shape)


def edt_indices(
    mask: Tensor, *, signed: bool = False, sampling: Sequence[float] | None = None, black_border: bool = False
) -> Tensor:
    """Flat indices (..., H, W) of the nearest pixels, -1 where there is none in the image."""
    foreground = mask.reshape(-1, *mask.shape[-2:]) > 0.5
    spacing = (1.0, 1.0) if sampling is None else (float(sampling[0]), float(sampling[1]))
    _, height, width = foreground.shape

    def flat(target: Tensor, ring: bool) -> Tensor:
        row, column, found = _nearest(target, spacing, ring)
        inside = found & (row >= 0) & (row < height) & (column >= 0) & (column < width)
        return torch.where(inside, row * width + column, -1)

    result = flat(~foreground, black_border)
    if signed:
        result = torch.where(foreground, result, flat(foreground, False))
    return result.reshape(mask.shape)


def _nearest(target: Tensor, spacing: tuple[float, float], ring: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Row and column of the nearest target of every pixel, -1 and H or W in the ring, and whether there is one."""
    border = int(ring)
    padded = F.pad(target, [border] * 4, value=True)
    _, height, width = padded.shape
    y, x = (torch.arange(size, dtype=torch.float64, device=target.device) for size in (height, width))
    # (N, H, H, W): from every row to every row. argmin takes the first of equals.
    along = torch.where(padded[:, None], (y[:, None] - y).abs()[None, :, :, None], torch.inf)
    row = along.argmin(2)  # of the target in the same column
    squares = (spacing[0] * along.amin(2)).square()
    # (N, H, W, W): from every column to every column.
    cost = squares[:, :, None] + (spacing[1] * (x[:, None] - x)).square()
    column = cost.argmin(3)
    inside = (slice(None), slice(border, height - border), slice(border, width - border))
    found = cost.amin(3).isfinite()
    return row.gather(2, column)[inside] - border, column[inside] - border, found[inside]


def _distance(mask: Tensor, target: Tensor, spacing: tuple[float, float], ring: bool) -> tuple[Tensor, Tensor]:
    """Distances to the nearest targets, and a term that is 0 and has their gradient."""
    count, height, width = mask.shape
    row, column, found = _nearest(target, spacing, ring)
    y = torch.arange(height, device=mask.device)[:, None]
    x = torch.arange(width, device=mask.device)
    dy, dx = y - row, x - column
    distance = torch.hypot(spacing[0] * dy.double(), spacing[1] * dx.double())
    pixels = torch.hypot(dy.double(), dx.double())
    diagonal = torch.tensor([spacing[0] * height, spacing[1] * width], dtype=torch.float64).norm()
    # The neighbour of the target that the line from the pixel passes last.
    step_y = torch.where(2 * dy.abs() > dx.abs(), dy.sign(), 0)
    step_x = torch.where(2 * dx.abs() > dy.abs(), dx.sign(), 0)
    padded = F.pad(mask, [1] * 4).flatten(1)  # a ring, for targets outside of the image

    def value(row: Tensor, column: Tensor) -> Tensor:
        picked = torch.where(found, (row + 1) * (width + 2) + column + 1, 0).flatten(1)
        taken = padded.gather(1, picked).reshape(count, height, width)
        return taken - taken.detach()

    carries = found & (pixels > 0)
    slope = torch.where(carries, distance / pixels.clamp(min=1), 0)
    change = slope * (value(row, column) + value(row + step_y, column + step_x)) / 2
    return torch.where(found, distance, diagonal.to(distance)), change
