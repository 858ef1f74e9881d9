"""L_T: chamfer of the topological skeletons of two silhouettes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from topokernels._registration import BackwardMode
from topokernels.chamfer import Reduction, reduce
from topokernels.mask_chamfer import mask_chamfer
from topokernels.s2d import s2d
from topokernels.skeleton import skeleton


class TargetTopology(NamedTuple):
    """The fixed side of the loss, computed once per target: all (..., H, W)."""

    skeleton: Tensor
    skeleton_distance: Tensor


def target_topology(target_mask: Tensor, *, iterations: int | None = None) -> TargetTopology:
    """Skeleton of a target mask and the distance map out of that skeleton, without gradients."""
    with torch.no_grad():
        ridges = skeleton(target_mask, iterations=iterations)
        return TargetTopology(ridges, s2d(1 - ridges, iterations=iterations))


def topology_loss(
    pred_mask: Tensor,
    target_mask: Tensor | TargetTopology,
    *,
    pull_weight: float = 1.0,
    reduction: Reduction = "mean",
    iterations: int | None = None,
    backward: BackwardMode = "subgradient",
) -> Tensor:
    """L_T, the distance-map chamfer of two topological skeletons.

    ``pull_weight * sum(D_out(T_pred) * T_target) + sum(D_out(T_target) * T_pred)`` per image, with
    ``T = skeleton(S)``.

    Args:
        pred_mask: (..., H, W) bool, uint8 or floating point in [0, 1].
        target_mask: the same, or :func:`target_topology` of it, which spares its skeleton and
            distance map at every step of an optimisation.
        pull_weight: weight of the first term.
        reduction: "mean" or "sum" over all images, or "none" for one value per image, (...).
        iterations: thinning steps of every distance map; must exceed the displacement that the
            loss is to correct, since saturated distances have no gradient. None: never saturates.
        backward: of both operators, see :func:`topokernels.s2d` and :func:`topokernels.d2t`.

    Returns:
        A scalar, or (...) with ``reduction="none"``: pixels of distance summed over skeletons.

    Raises:
        RuntimeError: wrong ranks, shapes, devices or dtypes.
        ValueError: unknown reduction.

    Source: Kundu et al., NeurIPS 2021, eq. 5.

    Example:
        >>> import torch
        >>> from topokernels import topology_loss
        >>> a = torch.zeros(1, 16, 16)
        >>> a[0, 4:9, 4:9] = 1
        >>> topology_loss(a, a.roll(3, dims=2))
        tensor(6.)
    """
    if isinstance(target_mask, TargetTopology):
        target, target_distance = target_mask
    else:
        target = skeleton(target_mask, iterations=iterations, backward=backward)
        target_distance = s2d(1 - target, iterations=iterations, backward=backward)
    pull, push = mask_chamfer(
        pred_mask, target, target_distance, iterations=iterations, skeletons=True, backward=backward
    )
    return reduce(pull_weight * pull + push, reduction)
