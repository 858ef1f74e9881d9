"""Cameras over a square crop: weak perspective, as in SPIN, and perspective.

Crop coordinates (u, v) run over [-1, 1] across the crop, x right and y down. A crop pixel is
``(u + 1) * size / 2``, so pixel centres lie at +0.5. A crop's box is x, y, w, h in frame pixels; it is
square and may extend beyond the frame.

Both cameras have a scale and an offset: how large one metre at the body's origin appears, and where the
origin appears. Fits optimise these two. The size of a body and its position in the image are then
independent, and one set of learning rates serves both cameras.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from adaptation.support.batches import Batch

_SMALLEST = 1e-6  # least extent (metres, squared) and scale of `fit_camera_to_bbox`: keeps its divisions finite
_NEAREST = 1e-3  # least depth in metres; points behind the camera have no image, and depth 0 would divide by 0

Kind = TypeVar("Kind")


class Camera(Protocol):
    """A batch of B cameras, each over one crop."""

    def __len__(self) -> int:
        """B, the number of cameras."""

    @property
    def scale(self) -> Tensor:
        """Scale (B, 1): half sides of the crop per metre at the body's origin."""

    @property
    def offset(self) -> Tensor:
        """Offset (B, 2): crop coordinates of the body's origin."""

    def moved(self, scale: Tensor, offset: Tensor) -> Camera:
        """Return these cameras with the bodies at another scale (B, 1) and offset (B, 2)."""

    def zoomed(self, zoom: Tensor, shift: Tensor) -> Camera:
        """Return the cameras of crops whose contents move by ``shift`` (B, 2) and then grow by ``zoom`` (B, 1)."""

    def project(self, points: Tensor, size: float) -> Tensor:
        """Project points (B, N, 2 or 3), metres in camera axes, to crop pixels (B, N, 2)."""

    def weak(self) -> WeakPerspective:
        """Return weak-perspective cameras with this scale and offset, for files and losses that use no other kind."""

    def mirrored(self) -> Camera:
        """Return the cameras of the mirrored crops, left and right exchanged."""

    def select(self, index: Tensor | slice) -> Camera:
        """Return the cameras of an index, mask or slice."""

    def to(self, device: str | torch.device) -> Camera:
        """Return the cameras on another device."""

    def detach(self) -> Camera:
        """Return the cameras detached from the graph."""

    def mean_with(self: Kind, other: Kind) -> Kind:
        """Return the means of two batches of cameras of one kind."""


@dataclass(frozen=True)
class WeakPerspective(Batch):
    """SPIN's camera (s, tx, ty): ``u = s * (X + tx)``, ``v = s * (Y + ty)``; depth has no effect.

    Attributes:
        parameters: (B, 3); s in half sides of the crop per metre, tx and ty in metres.
    """

    parameters: Tensor

    @property
    def scale(self) -> Tensor:
        """Scale (B, 1): s."""
        return self.parameters[:, :1]

    @property
    def offset(self) -> Tensor:
        """Offset (B, 2): s * (tx, ty)."""
        return self.scale * self.parameters[:, 1:]

    def moved(self, scale: Tensor, offset: Tensor) -> WeakPerspective:
        """Return cameras with this scale (B, 1) and offset (B, 2)."""
        return WeakPerspective(torch.cat([scale, offset / scale], dim=1))

    def zoomed(self, zoom: Tensor, shift: Tensor) -> WeakPerspective:
        """Return the cameras of moved and enlarged crops; arguments as for `Camera.zoomed`."""
        # The shift is in crop coordinates before the zoom: the old scale converts it to metres.
        return WeakPerspective(torch.cat([self.scale * zoom, self.parameters[:, 1:] + shift / self.scale], dim=1))

    def project(self, points: Tensor, size: float) -> Tensor:
        """Project points (B, N, 2 or 3), metres, to crop pixels (B, N, 2)."""
        scale, shift = self.parameters[:, None, :1], self.parameters[:, None, 1:]
        # From [-1, 1] across the crop to [0, size].
        return (scale * (points[..., :2] + shift) + 1) * (size / 2)

    def weak(self) -> WeakPerspective:
        """Return these cameras."""
        return self

    def mirrored(self) -> WeakPerspective:
        """Return the cameras of the mirrored crops."""
        # u becomes -u, and so do X and tx.
        return WeakPerspective(self.parameters * self.parameters.new_tensor([1.0, -1.0, 1.0]))


@dataclass(frozen=True)
class Perspective(Batch):
    """A pinhole camera: ``u = fx * (X + tx) / (Z + tz) + cx``, and likewise v.

    Attributes:
        focal: (B, 2) focal lengths in half sides of the crop.
        centre: (B, 2) principal point in crop coordinates; it lies outside [-1, 1] for crops far from the frame's
            centre.
        translation: (B, 3) position of the body's origin in camera axes, metres; tz > 0.
    """

    focal: Tensor
    centre: Tensor
    translation: Tensor

    @classmethod
    def of_crop(cls, intrinsics: Tensor, box: Tensor, translation: Tensor) -> Perspective:
        """Return the cameras of crops that were cut from calibrated frames.

        Args:
            intrinsics: (B, 3, 3) camera matrices of the frames, pixels, without skew.
            box: (B, 4) x, y, w, h of the crops in frame pixels.
            translation: (B, 3) positions of the body's origin in camera axes, metres.
        """
        # Crop coordinates are half sides from the crop's centre, so frame pixels are divided by half a side, minus 1.
        half = box[:, 2:] / 2
        focal = torch.stack([intrinsics[:, 0, 0], intrinsics[:, 1, 1]], dim=1) / half
        return cls(focal, (intrinsics[:, :2, 2] - box[:, :2]) / half - 1, translation)

    @property
    def scale(self) -> Tensor:
        """Scale (B, 1): mean focal length divided by the depth of the body's origin."""
        return self.focal.mean(dim=1, keepdim=True) / self.translation[:, 2:]

    @property
    def offset(self) -> Tensor:
        """Offset (B, 2): crop coordinates of the body's origin."""
        return self.focal * self.translation[:, :2] / self.translation[:, 2:] + self.centre

    def moved(self, scale: Tensor, offset: Tensor) -> Perspective:
        """Return cameras that see the body's origin at this scale (B, 1) and offset (B, 2)."""
        # The intrinsics are known, so the body moves: the scale gives its depth.
        depth = self.focal.mean(dim=1, keepdim=True) / scale
        across = (offset - self.centre) / self.focal * depth  # the inverse of `offset`
        return Perspective(self.focal, self.centre, torch.cat([across, depth], dim=1))

    def zoomed(self, zoom: Tensor, shift: Tensor) -> Perspective:
        """Return the cameras of moved and enlarged crops; the body keeps its position in space."""
        # In the intrinsics: a body that came closer instead would be seen in another perspective.
        return Perspective(self.focal * zoom, (self.centre + shift) * zoom, self.translation)

    def project(self, points: Tensor, size: float) -> Tensor:
        """Project points (B, N, 3), metres, to crop pixels (B, N, 2)."""
        seen = points + self.translation[:, None]  # points are relative to the body's origin
        plane = self.focal[:, None] * seen[..., :2] / seen[..., 2:].clamp(min=_NEAREST) + self.centre[:, None]
        return (plane + 1) * (size / 2)

    def weak(self) -> WeakPerspective:
        """Return weak-perspective cameras with this scale and offset."""
        return WeakPerspective(torch.cat([self.scale, self.offset / self.scale], dim=1))

    def mirrored(self) -> Perspective:
        """Return the cameras of the mirrored crops."""
        # u becomes -u, and so do X and the principal point; focal lengths have no sign.
        sign = self.centre.new_tensor([-1.0, 1.0])
        translation = self.translation * self.translation.new_tensor([-1.0, 1.0, 1.0])
        return Perspective(self.focal, self.centre * sign, translation)


def project(points: Tensor, camera: Camera, size: float) -> Tensor:
    """Project points into crop pixels.

    Args:
        points: (B, N, 3) metres in camera axes, x right, y down, z forward; (B, N, 2) under weak perspective.
        camera: B cameras.
        size: side of the crop in pixels.

    Returns:
        (B, N, 2) crop pixels.
    """
    return camera.project(points, size)


def crop_to_frame(points: Tensor, box: Tensor, size: int) -> Tensor:
    """Convert crop pixels to frame pixels.

    Args:
        points: (B, N, 2) crop pixels.
        box: (B, 4) or (4,), x, y, w, h of the crops in frame pixels.
        size: side of the crop in pixels.

    Returns:
        (B, N, 2) frame pixels.
    """
    box = box.to(points).reshape(-1, 1, 4)
    return box[..., :2] + points * (box[..., 2:] / size)


def frame_to_crop(points: Tensor, box: Tensor, size: int) -> Tensor:
    """Convert frame pixels to crop pixels: the inverse of `crop_to_frame`, with the same shapes."""
    box = box.to(points).reshape(-1, 1, 4)
    return (points - box[..., :2]) * (size / box[..., 2:])


def from_crop_to_crop(box: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Return the zoom (B, 1) and the shift (B, 2) that lead from crops to other crops of the same frames.

    They are the arguments of `Camera.zoomed`: a point p of a crop, in [-1, 1], lies at ``zoom * (p + shift)`` in the
    other one.

    Args:
        box: (B, 4) x, y, w, h of square crops in frame pixels.
        other: (B, 4), likewise, of the other crops.
    """
    half, other_half = box[:, 2:] / 2, other[:, 2:] / 2
    return (half / other_half)[:, :1], (box[:, :2] + half - other[:, :2] - other_half) / half


def mask_bounds(mask: Tensor) -> Tensor:
    """Compute the bounding boxes of masks.

    Args:
        mask: (B, 1, H, W) or (B, H, W); values above 0.5 are foreground.

    Returns:
        (B, 4) left, top, right, bottom in pixels: the outer edges of the outermost foreground
        pixels, so that one pixel at the origin has 0, 0, 1, 1. An empty mask has the whole image.
    """
    height, width = mask.shape[-2:]
    on = mask.reshape(-1, height, width) > 0.5

    def span(line: Tensor, length: int) -> tuple[Tensor, Tensor]:
        # argmax does not take bool.
        line = line.to(torch.uint8)
        # argmax returns the first of equal values, so an empty line spans from 0 to its full length.
        return line.argmax(dim=1), length - line.flip(1).argmax(dim=1)

    # Over the rows for left and right, over the columns for top and bottom.
    left, right = span(on.any(dim=1), width)
    top, bottom = span(on.any(dim=2), height)
    dtype = mask.dtype if mask.is_floating_point() else torch.get_default_dtype()  # masks may be bool or uint8
    return torch.stack([left, top, right, bottom], dim=1).to(dtype)


def fit_camera_to_bbox(points: Tensor, bounds: Tensor, size: int) -> WeakPerspective:
    """Return the weak-perspective camera that maps a body's extent onto a bounding box, as a start for fitting.

    The scale is the least-squares fit of width and height together, so the longer side dominates;
    the centres coincide.

    Args:
        points: (B, N, 2 or 3) posed points in camera axes, metres.
        bounds: (B, 4) left, top, right, bottom in crop pixels, as `mask_bounds` returns them.
        size: side of the crop in pixels.

    Returns:
        B cameras.
    """
    low, high = points[..., :2].amin(dim=1), points[..., :2].amax(dim=1)
    box = bounds.to(points) * (2 / size) - 1
    extent, target = high - low, box[:, 2:] - box[:, :2]
    square = extent.square().sum(dim=1, keepdim=True).clamp(min=_SMALLEST)
    # The s that minimises |s * extent - target|^2.
    scale = ((extent * target).sum(dim=1, keepdim=True) / square).clamp(min=_SMALLEST)
    # The camera shifts in metres, before the scale.
    shift = (box[:, 2:] + box[:, :2]) / 2 / scale - (high + low) / 2
    return WeakPerspective(torch.cat([scale, shift], dim=1))


def fit_camera_to_keypoints(points: Tensor, keypoints: Tensor, size: int) -> tuple[WeakPerspective, Tensor]:
    """Return the weak-perspective cameras that project points closest to keypoints, by least squares.

    Args:
        points: (B, N, 3) points in camera axes, metres.
        keypoints: (B, N, 3) x and y in crop pixels, and confidence, by which squared distances are weighted.
        size: side of the crop in pixels.

    Returns:
        B cameras, and which of them are determined, (B,) bool: four keypoints or more, and a positive scale. The
        others have a scale of 1 and no shift.
    """
    weight = keypoints[..., 2:]
    target = keypoints[..., :2] * (2 / size) - 1
    total = weight.sum(dim=1, keepdim=True).clamp(min=_SMALLEST)
    centre, goal = (weight * points[..., :2]).sum(1, True) / total, (weight * target).sum(1, True) / total
    away, wanted = points[..., :2] - centre, target - goal
    square = (weight * away.square()).sum(dim=(1, 2))
    scale = (weight * away * wanted).sum(dim=(1, 2)) / square.clamp(min=_SMALLEST)
    known = ((weight[..., 0] > 0).sum(dim=1) >= 4) & (square > _SMALLEST) & (scale > _SMALLEST)
    scale = torch.where(known, scale, 1.0)[:, None]
    shift = torch.where(known[:, None], goal[:, 0] / scale - centre[:, 0], 0.0)
    return WeakPerspective(torch.cat([scale, shift], dim=1)), known
