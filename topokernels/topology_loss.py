"""L_T: chamfer of the topological skeletons of two silhouettes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from topokernels._reduction import Reduction, weighted_loss
from topokernels._registration import BackwardMode
from topokernels.mask_chamfer import mask_chamfer
from topokernels.s2d import s2d
from topokernels.skeleton import skeleton


class TargetTopology(NamedTuple):
    """What :func:`topology_loss` needs of a fixed target, computed once by :func:`target_topology`.

    Attributes:
        skeleton: T of the target mask, (..., H, W).
        skeleton_distance: D_out(T), the distance to the nearest skeleton pixel, (..., H, W).
    """

    skeleton: Tensor
    skeleton_distance: Tensor


def target_topology(target_mask: Tensor, *, iterations: int | None = None) -> TargetTopology:
    """Skeleton of a target mask and the outward distance map of that skeleton, without gradients.

    Args:
        target_mask: (..., H, W) bool, uint8 or floating point in [0, 1].
        iterations: thinning steps of both distance maps, see :func:`topology_loss`.

    Returns:
        Both maps, each (..., H, W), for :func:`topology_loss`.

    Raises:
        RuntimeError: wrong rank or dtype, or mask values outside [0, 1] (CPU).
    """
    with torch.no_grad():
        ridges = skeleton(target_mask, iterations=iterations)
        # 1 - ridges rather than a complement: a skeleton is floating point for masks of any dtype.
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
        target_mask: the same, or its :func:`target_topology`, which saves computing the target's
            skeleton and distance map at every step of an optimisation.
        pull_weight: weight of the first term.
        reduction: as in :func:`topokernels.chamfer`.
        iterations: thinning steps of every distance map. They must exceed the displacement that the
            loss is to correct, since saturated distances have no gradient. With None the maps
            never saturate.
        backward: the backward mode of all steps, see :func:`topokernels.s2d` and
            :func:`topokernels.d2t`.

    Returns:
        The sum of distances over skeleton pixels, in pixels: a scalar, or (...) with
        ``reduction="none"``.

    Raises:
        RuntimeError, ValueError: as :func:`topokernels.chamfer`.

    Source: Rakesh et al., NeurIPS 2021, eq. 5.

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
        # Not target_topology, which has no gradient: the target may be a prediction, too.
        target = skeleton(target_mask, iterations=iterations, backward=backward)
        target_distance = s2d(1 - target, iterations=iterations, backward=backward)
    # One operator from mask to sums: neither the skeleton of pred nor its distance map is written to memory.
    pull, push = mask_chamfer(
        pred_mask, target, target_distance, iterations=iterations, skeletons=True, backward=backward
    )
    return weighted_loss(pull, push, pull_weight, reduction)
