"""A library of silhouettes, and the bodies that cast them.

The masks of a library and their distance maps are matrices, so the two-way chamfer distance of a mask to all of them is
two matrix products. A camera that hangs at an angle turns the picture of a body, so masks are turned, and not bodies:
one library serves every roll.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import roma
import torch
import torch.nn.functional as F
from torch import Tensor

from adaptation.bodies.body import Body
from adaptation.bodies.camera import fit_camera_to_bbox
from adaptation.bodies.poses import facing
from adaptation.bodies.renderer import exact_silhouette
from adaptation.bodies.rotations import rotvec_to_matrix
from topokernels import s2d

SIDE = 40
"""Side of the silhouettes of a library, pixels."""
_MARGIN = 2  # pixels between the longer side of a silhouette and the border
_FARTHEST = 8  # pixels: distances are capped, so that one lost limb does not decide
_FINE = 3  # samples per pixel and axis when masks are resampled
_BATCH = 512


@dataclass(frozen=True)
class Matches:
    """The nearest library entries of B masks, M each, the nearest first.

    Attributes:
        index: (B, M) entries.
        roll: (B, M) turn of the entry about the optical axis, radians.
        distance: (B, M) two-way chamfer distance, pixels of `SIDE` across the mask.
    """

    index: Tensor
    roll: Tensor
    distance: Tensor


class SilhouetteLibrary:
    """N silhouettes of bodies seen by upright cameras.

    Args:
        body: the body model, on the device of the computation.
        pose: (N, J, 3) axis-angle, radians; joint 0 is the global orientation in camera axes.

    Attributes:
        pose: the poses.
        joints: (N, J, 3) joints relative to the root, metres in camera axes.
    """

    def __init__(self, body: Body, pose: Tensor) -> None:
        self.pose = pose
        masks, joints = zip(*(_seen(body, part) for part in pose.split(_BATCH)), strict=True)
        self.joints = torch.cat(joints)
        flat, self._distances = _maps(torch.cat(masks))
        self._shares = flat / flat.sum(1, keepdim=True)

    def __len__(self) -> int:
        return len(self.pose)

    def match(self, masks: Tensor, rolls: Tensor, count: int) -> Matches:
        """Find the entries whose silhouettes are nearest to masks.

        Args:
            masks: (B, 1, S, S) of 0 and 1, none empty.
            rolls: (B, R) turns of the camera about its optical axis to try, radians.
            count: M, entries per mask.
        """
        turned = upright(masks.repeat_interleave(rolls.shape[1], dim=0), rolls.flatten())
        flat, away = _maps(turned)
        # Mean distance from each entry's pixels to the mask, and from the mask's pixels to each entry.
        there = away @ self._shares.T
        back = (flat / flat.sum(1, keepdim=True)) @ self._distances.T
        distance = (there + back).view(len(masks), -1)  # (B, R N)
        best = distance.topk(min(count, distance.shape[1]), dim=1, largest=False)
        return Matches(best.indices % len(self), rolls.gather(1, best.indices // len(self)), best.values)

    def poses(self, matches: Matches) -> Tensor:
        """Return the poses (B, M, J, 3) of matches, turned with the camera; joint 0 is in camera axes."""
        pose = self.pose[matches.index].clone()
        axis = torch.zeros_like(pose[:, :, 0])
        axis[..., 2] = matches.roll
        pose[:, :, 0] = roma.rotvec_composition((axis, pose[:, :, 0]))
        return pose


def views_of(poses: Tensor, generator: torch.Generator, pitches: tuple[float, float]) -> Tensor:
    """Turn each pose to a random azimuth under a random pitch of the camera.

    Args:
        poses: (N, J, 3) axis-angle, radians, in axes with y up; joint 0 is the tilt of the body.
        generator: source of randomness.
        pitches: least and greatest pitch of the camera, degrees; positive looks down on people.

    Returns:
        (N, J, 3) poses with the global orientation in camera axes.
    """
    low, high = (math.radians(pitch) for pitch in pitches)
    azimuth = 2 * math.pi * torch.rand(len(poses), generator=generator)
    pitch = low + (high - low) * torch.rand(len(poses), generator=generator)
    view = rotvec_to_matrix(facing(azimuth, pitch=pitch))
    turned = poses.clone()
    turned[:, 0] = roma.rotmat_to_rotvec(view @ rotvec_to_matrix(poses[:, 0]))
    return turned


def upright(masks: Tensor, rolls: Tensor) -> Tensor:
    """Undo a camera's roll, and scale each mask into the square of a library's silhouettes.

    Args:
        masks: (B, 1, S, S) of 0 and 1, none empty.
        rolls: (B,) turns of the camera about its optical axis, radians.

    Returns:
        (B, 1, SIDE, SIDE) of 0 and 1.
    """
    size = masks.shape[-1]
    cosine, sine = rolls.cos()[:, None, None], rolls.sin()[:, None, None]
    # Pixel centres in [-1, 1], turned back by the roll.
    v, u = _centres(size, masks)
    x, y = cosine * u + sine * v, cosine * v - sine * u
    on = masks[:, 0] > 0.5
    far = masks.new_tensor(torch.inf)

    def span(values: Tensor) -> tuple[Tensor, Tensor]:
        low, high = torch.where(on, values, far).amin((1, 2)), torch.where(on, values, -far).amax((1, 2))
        return low[:, None, None], high[:, None, None]

    (left, right), (top, bottom) = span(x), span(y)
    half = torch.maximum(right - left, bottom - top) / 2 + 1 / size  # the outermost pixels reach beyond their centres
    reach = half * (SIDE / (SIDE - 2 * _MARGIN))
    row, column = _centres(_FINE * SIDE, masks)
    x, y = (left + right) / 2 + reach * column, (top + bottom) / 2 + reach * row
    grid = torch.stack([cosine * x - sine * y, sine * x + cosine * y], dim=-1)
    sampled = F.grid_sample(masks, grid, mode="bilinear", align_corners=False)
    return (F.avg_pool2d(sampled, _FINE) >= 0.5).to(masks)


def _centres(size: int, like: Tensor) -> tuple[Tensor, ...]:
    """Return y and x (size, size) of the centres of size x size pixels that cover [-1, 1]."""
    line = (torch.arange(size).to(like) + 0.5) * (2 / size) - 1
    return torch.meshgrid(line, line, indexing="ij")


@torch.no_grad()
def _seen(body: Body, pose: Tensor) -> tuple[Tensor, Tensor]:
    """Return the silhouettes (N, 1, SIDE, SIDE) and the joints of bodies in poses (N, J, 3), relative to the root."""
    output = body(pose, body.mean_shape(len(pose)))
    low, high = output.vertices[..., :2].amin(1), output.vertices[..., :2].amax(1)
    # The longer side fills the square, as in `upright`.
    share = (high - low) / (high - low).amax(1, keepdim=True) / 2
    centre = SIDE / 2
    inner = (SIDE - 2 * _MARGIN) * share
    bounds = torch.cat([centre - inner, centre + inner], dim=1)
    camera = fit_camera_to_bbox(output.vertices, bounds, SIDE)
    return exact_silhouette(output.vertices, body.faces, camera, SIDE), output.joints - output.joints[:, :1]


def _maps(masks: Tensor) -> tuple[Tensor, Tensor]:
    """Return masks (N, 1, SIDE, SIDE) and the distances of all pixels to them, (N, SIDE * SIDE) each."""
    return masks.flatten(1), s2d(1 - masks, iterations=_FARTHEST).flatten(1)
