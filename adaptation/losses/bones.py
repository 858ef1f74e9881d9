"""L_B: how far the skeleton of a mask is from the bones of a body, as they are seen.

L_T compares two skeletons of silhouettes, so that its gradient has to find its way through a ridge, a distance map and
an outline to a joint; and where a limb lies before the trunk, its silhouette has no ridge to compare. Bones are the
skeleton that a body has by itself: their gradient goes straight to the joints at their ends. Each pixel of the mask's
skeleton pulls at the nearest bone. Bones do not look for the mask's skeleton in turn: those that the trunk hides have
none to find.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def bone_distance(joints: Tensor, tree: Sequence[int], points: Tensor, *, farthest: float) -> Tensor:
    """L_B: mean distance from points to the nearest bone.

    Args:
        joints: (B, J, 2) projected, in pixels.
        tree: parent of each joint, -1 for the root; a bone runs from each joint to its parent.
        points: (B, P, 2) of the mask's skeleton, as `pixel_points` gives them.
        farthest: pixels at which a distance saturates and pulls no more.

    Returns:
        (B,) pixels; 0 without a skeleton.
    """
    known, points = ~points[..., 0].isnan(), points.nan_to_num()
    bones = [(joint, parent) for joint, parent in enumerate(tree) if parent >= 0]
    low, high = (joints[:, list(ends)] for ends in zip(*bones, strict=True))
    with torch.no_grad():
        along = high - low
        # (B, P, bones): where on each bone, from 0 to 1, its nearest point to each pixel is.
        squared = along.square().sum(2)[:, None].clamp(min=1e-6)
        place = ((points[:, :, None] - low[:, None]) * along[:, None]).sum(3).div(squared).clamp(0, 1)
        near = low[:, None] + place[..., None] * along[:, None]
        bone = (points[:, :, None] - near).square().sum(3).argmin(2, keepdim=True)
        share = place.gather(2, bone)
    ends = [end.gather(1, bone.expand(-1, -1, 2)) for end in (low, high)]
    away = (torch.lerp(ends[0], ends[1], share) - points).square().sum(2)
    # At distance 0 the root has no slope.
    distance = away.clamp(min=1e-6).sqrt().clamp(max=farthest)
    return (distance * known).mean(1)
