"""Where crops lie in their frames, and what of them a network sees.

A regressor that is conditioned on the camera gets a `View` with its crops. Frame pixels have their centres at +0.5, x
right and y down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import roma
import torch
from torch import Tensor

from adaptation.bodies.camera import Camera, Perspective
from adaptation.support.batches import Batch

_SMALLEST = 1e-3  # least scale that a depth is computed from: a person of a thousandth of the crop


@dataclass(frozen=True)
class View(Batch):
    """The boxes of B crops, and the frames that they were cut from.

    Attributes:
        box: (B, 4) x, y, w, h of the square crops in frame pixels; they may extend beyond the frame.
        frame_size: (B, 2) width and height of the frames, pixels.
        intrinsics: (B, 3, 3) camera matrices of the frames, pixels, without skew.
    """

    box: Tensor
    frame_size: Tensor
    intrinsics: Tensor

    @classmethod
    def of(cls, box: Tensor, frame_size: Tensor, intrinsics: Tensor | None = None) -> View:
        """Return the view of crops; without intrinsics, with those of `guessed_intrinsics`."""
        return cls(box, frame_size, guessed_intrinsics(frame_size) if intrinsics is None else intrinsics)

    @classmethod
    def whole(cls, count: int, size: int, device: str | torch.device = "cpu") -> View:
        """Return the view of crops of ``size`` pixels whose place is unknown: each is taken for a whole frame."""
        side = torch.full((count, 2), float(size), device=device)
        return cls.of(torch.cat([torch.zeros_like(side), side], dim=1), side)

    @property
    def centre(self) -> Tensor:
        """Centres of the boxes (B, 2), frame pixels."""
        return self.box[:, :2] + self.box[:, 2:] / 2

    @property
    def side(self) -> Tensor:
        """Sides of the boxes (B,), frame pixels."""
        return self.box[:, 2]

    @property
    def focal(self) -> Tensor:
        """Focal lengths (B, 2), frame pixels."""
        return torch.stack([self.intrinsics[:, 0, 0], self.intrinsics[:, 1, 1]], dim=1)

    def in_crop(self, size: int) -> Tensor:
        """Return the camera matrices (B, 3, 3) of the crops, resampled to ``size`` pixels, as pictures of their own."""
        matrix = self.intrinsics.clone()
        matrix[:, :2, 2] = matrix[:, :2, 2] - self.box[:, :2]
        matrix[:, :2] = matrix[:, :2] * (size / self.box[:, 2:])[:, :, None]
        return matrix

    def centred(self) -> View:
        """Return the same view with principal points in the middle of the frames, and the focal length of x for both.

        CLIFF and CameraHMR assume both.
        """
        focal = self.intrinsics[:, 0, 0]
        return View(self.box, self.frame_size, _camera_matrix(focal, self.frame_size / 2))

    def mirrored(self) -> View:
        """Return the view of the mirrored crops, in mirrored frames."""
        x, y, w, h = self.box.unbind(1)
        width = self.frame_size[:, 0]
        intrinsics = self.intrinsics.clone()
        intrinsics[:, 0, 2] = width - self.intrinsics[:, 0, 2]
        return View(torch.stack([width - x - w, y, w, h], dim=1), self.frame_size, intrinsics)


def guessed_intrinsics(frame_size: Tensor) -> Tensor:
    """Return camera matrices (B, 3, 3) of frames (B, 2) of which only width and height are known, pixels.

    The focal length is the frame's diagonal, a diagonal field of view of 53 degrees, and the principal point is the
    middle, as CLIFF (Li et al., ECCV 2022) and later networks assume.
    """
    return _camera_matrix(frame_size.norm(dim=1), frame_size / 2)


def intrinsics_of_field(frame_size: Tensor, degrees: float) -> Tensor:
    """Return camera matrices (B, 3, 3) of frames (B, 2) with a vertical field of view in degrees, in (0, 180)."""
    return _camera_matrix(frame_size[:, 1] / (2 * math.tan(math.radians(degrees) / 2)), frame_size / 2)


def _camera_matrix(focal: Tensor, centre: Tensor) -> Tensor:
    matrix = torch.zeros(len(focal), 3, 3, dtype=focal.dtype, device=focal.device)
    matrix[:, 0, 0] = matrix[:, 1, 1] = focal
    matrix[:, :2, 2] = centre
    matrix[:, 2, 2] = 1
    return matrix


def in_frame(camera: Camera, view: View) -> Perspective:
    """Return the perspective cameras of frames that see each body's origin where cameras over the crops see it.

    This is CLIFF's conversion of (s, tx, ty). With a crop of side b around (x, y), and a focal length f and a principal
    point (cx, cy) of the frame, the body's origin lies at

        tz = 2 f / (b s),  tx' = tx + 2 (x - cx) / (b s),  ty' = ty + 2 (y - cy) / (b s)

    metres in camera axes. `Perspective.weak` is the way back: it has the same scale and offset.

    Args:
        camera: B cameras over the crops.
        view: the B crops in their frames.
    """
    origin = torch.zeros_like(view.intrinsics[:, 0])
    return Perspective.of_crop(view.intrinsics, view.box, origin).moved(camera.scale, camera.offset)


def ray_rotations(places: Tensor) -> Tensor:
    """Return the smallest rotations (N, 3, 3) from the optical axis to the rays through points of the image.

    Args:
        places: (N, 2) x and y from the principal point, in focal lengths.
    """
    x, y = places.unbind(1)
    across = torch.hypot(x, y)
    # About an axis in the image plane, at right angles to the way from the centre; any axis at the centre itself.
    angle = torch.atan2(across, torch.ones_like(across)) / across.clamp(min=1e-12)
    return roma.rotvec_to_rotmat(torch.stack([-y * angle, x * angle, torch.zeros_like(x)], dim=1))


@dataclass(frozen=True)
class Placement(Batch):
    """Where B bodies are before the cameras of their frames: a point X of a body appears at K (R X + t).

    Attributes:
        intrinsics: (B, 3, 3) K, frame pixels.
        rotation: (B, 3, 3) R; the identity for bodies that were predicted in perspective.
        translation: (B, 3) t, metres in camera axes.
    """

    intrinsics: Tensor
    rotation: Tensor
    translation: Tensor

    @classmethod
    def of(cls, camera: Camera, view: View) -> Placement:
        """Place bodies in frames.

        Under weak perspective a crop is seen along the ray through its centre, so that the body is turned from the
        optical axis to that ray, and its size gives its depth (`in_frame`). A perspective camera says all by itself.

        Args:
            camera: B cameras over the crops.
            view: the B crops in their frames.
        """
        if isinstance(camera, Perspective):
            half = view.box[:, 2:] / 2
            matrix = _camera_matrix(camera.focal[:, 0], (camera.centre + 1) * half + view.box[:, :2])
            matrix[:, 0, 0], matrix[:, 1, 1] = (camera.focal * half).unbind(1)
            straight = torch.eye(3, dtype=half.dtype, device=half.device).expand_as(matrix)
            return cls(matrix, straight, camera.translation)
        # A scale of 0 or below has no depth.
        seen = in_frame(camera.moved(camera.scale.clamp(min=_SMALLEST), camera.offset), view)
        rays = (view.centre - view.intrinsics[:, :2, 2]) / view.focal
        return cls(view.intrinsics, ray_rotations(rays), seen.translation)

    def project(self, points: Tensor) -> Tensor:
        """Project points of the bodies (B, N, 3), metres, to frame pixels (B, N, 2)."""
        seen = (points @ self.rotation.mT + self.translation[:, None]) @ self.intrinsics.mT
        return seen[..., :2] / seen[..., 2:]


class Margins(NamedTuple):
    """The parts of a crop that a network never sees, as shares of the crop's side.

    Losses leave them out, or a network would be pushed for people's parts that it was not shown.
    """

    left: float = 0.0
    top: float = 0.0
    right: float = 0.0
    bottom: float = 0.0

    def window(self, size: int, device: str | torch.device = "cpu") -> Tensor:
        """Return 1 where a crop of ``size`` pixels is seen and 0 elsewhere, (size, size)."""
        # A pixel counts if its centre is seen.
        places = (torch.arange(size, device=device) + 0.5) / size
        across = (places > self.left) & (places < 1 - self.right)
        down = (places > self.top) & (places < 1 - self.bottom)
        return (down[:, None] & across).float()
