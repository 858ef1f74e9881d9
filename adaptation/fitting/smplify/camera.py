"""SMPLify's first guess of the camera, and of where a body faces (Bogo et al., ECCV 2016, section 3.3).

The torso is taken to be parallel to the image, so that the ratio of its lengths in the image and in metres gives the
scale, and with a focal length the distance. Where shoulders and hips lie gives the place and the direction that the
body faces, front or back.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from adaptation.bodies.camera import Camera, Perspective, WeakPerspective, fit_camera_to_keypoints
from adaptation.bodies.poses import facing
from adaptation.fitting.smplify.terms import TORSO

FEWEST = 4
"""Keypoints that a person must have."""
_SHORTEST = 1e-3  # of a torso in half sides of the crop: keeps divisions finite


def torso_camera(joints: Tensor, keypoints: Tensor, size: int, focal: Tensor | None = None) -> Camera:
    """Return the cameras that show torsos as long as they are in the image, and where they are.

    Args:
        joints: (B, J, 3) joints in camera axes, metres, of bodies that stand upright and face the camera or not.
        keypoints: (B, J, 3) x and y in crop pixels, and confidence, 0 for joints without a keypoint.
        size: side of the crop in pixels.
        focal: (B,) focal lengths in half sides of the crop; None for weak perspective.

    Returns:
        B cameras. Where no side of the torso has both keypoints, the camera is fitted to all of them by least squares.
    """
    weight = keypoints[:, TORSO, 2].view(-1, 2, 2).amin(2)  # (B, sides): shoulder and hip of a side are both needed
    seen = (weight > 0).to(joints)
    flat = keypoints[..., :2] * (2 / size) - 1
    long2d = (seen * _side_lengths(flat)).sum(1)
    long3d = (seen * _side_lengths(joints)).sum(1)
    usual, _ = fit_camera_to_keypoints(joints, keypoints, size)
    known = seen.any(1) & (long2d > _SHORTEST)
    scale = torch.where(known, long2d / long3d.clamp(min=_SHORTEST), usual.scale[:, 0])[:, None]
    share = (keypoints[..., 2:] > 0).to(joints)
    # Torso joints where there are any: limbs are not yet where they belong.
    mask = torch.zeros_like(share)
    mask[:, TORSO] = 1
    share = torch.where((share * mask).sum(1, keepdim=True) > 0, share * mask, share)
    count = share.sum(1).clamp(min=1)
    offset = ((flat - scale[:, None] * joints[..., :2]) * share).sum(1) / count
    if focal is None:
        return WeakPerspective(torch.cat([scale, offset / scale], dim=1))
    both = focal[:, None].expand(-1, 2)
    depth = focal[:, None] / scale
    # The crop's own ray is the optical axis: results are in the axes of their crops.
    return Perspective(both, torch.zeros_like(both), torch.cat([offset * depth / focal[:, None], depth], dim=1))


def first_orientation(joints: Tensor, keypoints: Tensor) -> Tensor:
    """Return an upright orientation (B, 3), axis-angle: facing the camera, or away from it where sides say so.

    Args:
        joints: (B, J, 3) joints of bodies that face the camera, metres.
        keypoints: (B, J, 3) x, y and confidence.
    """
    votes = joints.new_zeros(len(joints))
    for left, right in ((TORSO[0], TORSO[2]), (TORSO[1], TORSO[3])):
        seen = torch.minimum(keypoints[:, left, 2], keypoints[:, right, 2])
        width = keypoints[:, left, 0] - keypoints[:, right, 0]
        # Shoulders are further apart than hips, and count as much more.
        votes = votes + torch.where(seen > 0, width, 0.0) * (joints[:, left, 0] - joints[:, right, 0])
    front, back = (facing(yaw).to(joints) for yaw in (0.0, math.pi))
    return torch.where((votes < 0)[:, None], back, front)


def shoulder_distance(keypoints: Tensor) -> Tensor:
    """Return the distances of the shoulders (B,) in the unit of keypoints (B, J, 3); 0 where one was not found."""
    left, right = keypoints[:, TORSO[0]], keypoints[:, TORSO[2]]
    seen = (left[:, 2] > 0) & (right[:, 2] > 0)
    return torch.where(seen, (left[:, :2] - right[:, :2]).norm(dim=1), 0.0)


def _side_lengths(points: Tensor) -> Tensor:
    """Return the lengths (B, 2) from shoulder to hip of points (B, J, D), left and right."""
    torso = points[:, TORSO].unflatten(1, (2, 2))
    return (torso[:, :, 0] - torso[:, :, 1]).norm(dim=2)
