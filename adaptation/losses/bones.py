"""L_B: the distance from the skeleton of a mask to the projected bones of a body.

L_T compares the skeletons of two silhouettes. Its gradient passes through a ridge, a distance map and an outline before
it reaches a joint, and a limb in front of the trunk has no ridge in the silhouette at all. The bones are the body's own
skeleton, so their gradient reaches the joints at their ends directly. Each pixel of the mask's skeleton pulls the
nearest bone. There is no term in the other direction: bones that the trunk hides have no counterpart in the mask's
skeleton.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def bone_distance(joints: Tensor, tree: Sequence[int], points: Tensor, *, farthest: float) -> Tensor:
    """Compute L_B: the mean distance from points to the nearest bone.

    Args:
        joints: (B, J, 2) projected joints, pixels.
        tree: parent of each joint, -1 for the root; a bone runs from each joint to its parent.
        points: (B, P, 2) points of the mask's skeleton, pixels, as `pixel_points` returns them.
        farthest: distance in pixels at which a point saturates and no longer pulls.

    Returns:
        (B,) pixels; 0 where the skeleton is empty.
    """
    # Points of an empty skeleton are nan. They become 0 here and get weight 0 in the mean.
    known, points = ~points[..., 0].isnan(), points.nan_to_num()
    # The root has no parent: J joints have J - 1 bones.
    bones = [(joint, parent) for joint, parent in enumerate(tree) if parent >= 0]
    # (B, bones, 2) each: the joint of a bone, and its parent.
    low, high = (joints[:, list(ends)] for ends in zip(*bones, strict=True))
    # The nearest place on the bones is found without a graph: (B, P, bones) is large, and the derivative of a minimum
    # does not depend on how its position moves.
    with torch.no_grad():
        along = high - low
        # (B, P, bones): position on each bone, from 0 to 1, of its nearest point to each pixel.
        squared = along.square().sum(2)[:, None].clamp(min=1e-6)  # a bone along the line of sight has length 0
        # The foot of the perpendicular, clamped to the bone: beyond an end, the end itself is nearest.
        place = ((points[:, :, None] - low[:, None]) * along[:, None]).sum(3).div(squared).clamp(0, 1)
        near = low[:, None] + place[..., None] * along[:, None]
        # The nearest bone minimises the square, too, which saves the root.
        bone = (points[:, :, None] - near).square().sum(3).argmin(2, keepdim=True)
        share = place.gather(2, bone)
    ends = [end.gather(1, bone.expand(-1, -1, 2)) for end in (low, high)]
    # The distance again, now with a graph: each end gets its share of the gradient.
    away = (torch.lerp(ends[0], ends[1], share) - points).square().sum(2)
    # The square root has an infinite slope at distance 0.
    distance = away.clamp(min=1e-6).sqrt().clamp(max=farthest)
    return (distance * known).mean(1)
