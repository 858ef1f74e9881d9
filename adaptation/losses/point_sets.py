"""The point-set silhouette loss of earlier work, which baseline A2 adds to keypoints.

As in Huang et al. (3DV 2017), each pixel of the mask is matched to the nearest vertex of the projected body, and each
vertex to the nearest pixel of the mask. Nothing is rendered; the gradient moves the matched vertices. Time and memory
are O(pixels x vertices) per image.
"""

from __future__ import annotations

import torch
from torch import Tensor

from adaptation.losses.pixel_points import pixel_points
from adaptation.support.errors import UserError

# A fixed number: memory does not grow with the person, and masks of different areas form one batch.
MASK_POINTS = 512


def mask_points(mask: Tensor, count: int = MASK_POINTS) -> Tensor:
    """Return the `pixel_points` (B, count, 2) of masks (B, 1, H, W), none of which may be empty.

    Raises:
        UserError: a mask is empty.
    """
    points = pixel_points(mask, count)
    empty = points[:, 0, 0].isnan()
    if empty.any():
        number = int(empty.nonzero()[0])
        raise UserError(f"mask {number} of the batch is empty: it has no points to compare with")
    return points


def point_chamfer(points: Tensor, target: Tensor) -> Tensor:
    """Compute the mean distance from each point to the nearest point of the other set, summed over both directions.

    Args:
        points: (B, N, 2) projected vertices, pixels.
        target: (B, M, 2) points of the mask, pixels.

    Returns:
        (B,) in the unit of the points. The gradient of a distance moves its nearest point only.
    """
    # The nearest points are found without a graph: (B, N, M) distances would be kept for the backward pass.
    with torch.no_grad():
        distances = torch.cdist(points, target)
        # (B, N) nearest point of the mask for each vertex, (B, M) nearest vertex for each point of the mask.
        near_point, near_target = distances.argmin(2), distances.argmin(1)
    # Vertices outside the mask are pushed in; pixels of the mask that no vertex covers pull the nearest one.
    push = points - target.take_along_dim(near_point[..., None], 1)
    pull = points.take_along_dim(near_target[..., None], 1) - target
    return push.norm(dim=2).mean(1) + pull.norm(dim=2).mean(1)
