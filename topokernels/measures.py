"""Measures of how well the outlines of two masks agree, in plain torch on top of the operators."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from topokernels.edt import edt
from topokernels.morphology import boundary_band

Sampling = Sequence[float]


def hausdorff(pred: Tensor, target: Tensor, *, percentile: float = 100, sampling: Sampling | None = None) -> Tensor:
    """Hausdorff distance of the outlines of masks, or a percentile of it.

    The outline consists of the foreground pixels that have a background pixel, or the outside of the
    image, next to them edge to edge. Each pixel of an outline has a distance to the nearest pixel of
    the other one; the result is the larger one of the percentiles in both directions.

    Args:
        pred: (..., H, W), as for :func:`topokernels.edt`.
        target: (..., H, W), the shape of ``pred``.
        percentile: 100 is the maximum; 95, HD95, leaves out outliers. Interpolated as by
            :func:`numpy.percentile`.
        sampling: (sy, sx), the spacing of rows and columns; the unit of the result.

    Returns:
        (...), float32. 0 if both masks are empty, infinite if one is. No gradient.

    Raises:
        RuntimeError: wrong shape, dtype or option, or mask values outside [0, 1] (CPU).

    Equal to ``compute_hausdorff_distance`` of MONAI where no mask is empty.

    Example:
        >>> import torch
        >>> from topokernels import hausdorff
        >>> hausdorff(torch.tensor([[1, 0, 0, 0]], dtype=torch.bool), torch.tensor([[1, 0, 0, 1]], dtype=torch.bool))
        tensor(3.)
    """
    if not 0 <= percentile <= 100:
        raise RuntimeError(f"hausdorff: percentile must be between 0 and 100, got {percentile:g}")
    there, back, present = _distances("hausdorff", pred, target, sampling)

    def value(distance: Tensor, edge: Tensor) -> Tensor:
        if percentile == 100:
            return distance.where(edge, 0).amax(-1)
        count = edge.sum(-1, keepdim=True)
        ordered = distance.where(edge, torch.inf).sort(-1).values
        position = (count - 1).clamp(min=0) * (percentile / 100)
        low = position.floor().long()
        high = torch.minimum(low + 1, (count - 1).clamp(min=0))
        a, b = ordered.gather(-1, low), ordered.gather(-1, high)
        return (a + (b - a) * (position - low)).squeeze(-1)

    return _with_empty(torch.maximum(value(*there), value(*back)), present, 0.0, math.inf)


def hd95(pred: Tensor, target: Tensor, *, sampling: Sampling | None = None) -> Tensor:
    """:func:`hausdorff` with the 95th percentile.

    Args:
        pred: (..., H, W), as for :func:`topokernels.edt`.
        target: (..., H, W), the shape of ``pred``.
        sampling: (sy, sx), the spacing of rows and columns; the unit of the result.

    Returns:
        (...), float32.

    Raises:
        RuntimeError: as :func:`hausdorff`.
    """
    return hausdorff(pred, target, percentile=95, sampling=sampling)


def assd(pred: Tensor, target: Tensor, *, sampling: Sampling | None = None) -> Tensor:
    """Average symmetric surface distance: the mean distance of all outline pixels to the other outline.

    Args:
        pred: (..., H, W), as for :func:`topokernels.edt`.
        target: (..., H, W), the shape of ``pred``.
        sampling: (sy, sx), the spacing of rows and columns; the unit of the result.

    Returns:
        (...), float32. 0 if both masks are empty, infinite if one is. No gradient.

    Raises:
        RuntimeError: wrong shape, dtype or option, or mask values outside [0, 1] (CPU).

    Outlines are those of :func:`hausdorff`. Equal to ``compute_average_surface_distance`` of MONAI with
    ``symmetric=True`` where no mask is empty.
    """
    (there, edge), (back, other), present = _distances("assd", pred, target, sampling)
    total = (there * edge).double().sum(-1) + (back * other).double().sum(-1)
    mean = total / (edge.sum(-1) + other.sum(-1)).clamp(min=1)
    return _with_empty(mean.float(), present, 0.0, math.inf)


def nsd(pred: Tensor, target: Tensor, tolerance: float, *, sampling: Sampling | None = None) -> Tensor:
    """Normalised surface distance, or surface Dice: the share of outline pixels near the other outline.

    Args:
        pred: (..., H, W), as for :func:`topokernels.edt`.
        target: (..., H, W), the shape of ``pred``.
        tolerance: the distance up to which a pixel counts as near, in the unit of ``sampling``.
        sampling: (sy, sx), the spacing of rows and columns.

    Returns:
        (...), float32 in [0, 1]. 1 if both masks are empty, 0 if one is. No gradient.

    Raises:
        RuntimeError: wrong shape, dtype or option, or mask values outside [0, 1] (CPU).

    Outlines are those of :func:`hausdorff`, counted in pixels. Equal to ``compute_surface_dice`` of
    MONAI where no mask is empty. The library surface-distance weighs elements of a surface by their
    size and gives slightly different numbers.
    """
    if not tolerance >= 0:
        raise RuntimeError(f"nsd: tolerance must be at least 0, got {tolerance:g}")
    (there, edge), (back, other), present = _distances("nsd", pred, target, sampling)
    near = (edge & (there <= tolerance)).sum(-1) + (other & (back <= tolerance)).sum(-1)
    share = near / (edge.sum(-1) + other.sum(-1)).clamp(min=1)
    return _with_empty(share, present, 1.0, 0.0)


def boundary_iou(pred: Tensor, target: Tensor, *, ratio: float = 0.02, width: int | None = None) -> Tensor:
    """Boundary IoU: intersection over union of the inner bands along the outlines of masks.

    Args:
        pred: (..., H, W), as for :func:`topokernels.edt`.
        target: (..., H, W), the shape of ``pred``.
        ratio: width of the bands as a share of the diagonal of the image, rounded to pixels, at least 1.
        width: the width in pixels instead.

    Returns:
        (...), float32 in [0, 1]. 1 if both masks are empty. No gradient.

    Raises:
        RuntimeError: wrong shape, dtype or option, or mask values outside [0, 1] (CPU).

    Source: Cheng et al., "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation", CVPR
    2021, and its reference code: bands by squares, and the outside of the image is background.
    """
    _check_shapes("boundary_iou", pred, target)
    if width is None:
        width = max(1, round(ratio * math.hypot(*pred.shape[-2:])))
    bands = [
        boundary_band(mask, width, side="inside", shape="square", black_border=True).bool().flatten(-2)
        for mask in (pred, target)
    ]
    union = (bands[0] | bands[1]).sum(-1)
    return torch.where(union > 0, (bands[0] & bands[1]).sum(-1) / union.clamp(min=1), 1.0)


Directed = tuple[Tensor, Tensor]  # distances (..., H W) to the other outline, and where they count


def _distances(
    op: str, pred: Tensor, target: Tensor, sampling: Sampling | None
) -> tuple[Directed, Directed, tuple[Tensor, Tensor]]:
    """Distances in both directions, and which masks have an outline (...)."""
    _check_shapes(op, pred, target)
    edges = [boundary_band(mask, 1, side="inside", black_border=True).bool() for mask in (pred, target)]
    maps = [edt(~edge, sampling=sampling).flatten(-2) for edge in edges]
    flat = [edge.flatten(-2) for edge in edges]
    return (maps[1], flat[0]), (maps[0], flat[1]), (flat[0].any(-1), flat[1].any(-1))


def _with_empty(value: Tensor, present: tuple[Tensor, Tensor], both_empty: float, one_empty: float) -> Tensor:
    first, second = present
    return torch.where(first & second, value, torch.where(first | second, one_empty, both_empty)).to(value.dtype)


def _check_shapes(op: str, pred: Tensor, target: Tensor) -> None:
    if pred.dim() < 2 or pred.shape != target.shape or 0 in pred.shape[-2:]:
        raise RuntimeError(
            f"{op}: pred and target must have one shape (..., H, W) with pixels, got {tuple(pred.shape)} and "
            f"{tuple(target.shape)}"
        )
