"""Weak-perspective camera, as in SPIN, over a square crop.

A camera is (s, tx, ty): ``u = s * (X + tx)`` and ``v = s * (Y + ty)`` run over [-1, 1] across the
crop, x right and y down. A crop pixel is ``(u + 1) * size / 2``, so pixel centres lie at +0.5. A
crop's box is x, y, w, h in frame pixels, square, and may stick out of the frame.
"""

from __future__ import annotations

import torch
from torch import Tensor

_SMALLEST = 1e-6


def project(points: Tensor, camera: Tensor, size: int) -> Tensor:
    """Project points into crop pixels.

    Args:
        points: (B, N, 2 or 3) metres in camera axes, x right, y down; z is ignored.
        camera: (B, 3) of s, tx, ty; s in 1/metres, tx and ty in metres.
        size: side of the crop in pixels.

    Returns:
        (B, N, 2) crop pixels.
    """
    scale, shift = camera[:, None, :1], camera[:, None, 1:]
    return (scale * (points[..., :2] + shift) + 1) * (size / 2)


def crop_to_frame(points: Tensor, box: Tensor, size: int) -> Tensor:
    """Crop pixels to frame pixels.

    Args:
        points: (B, N, 2) crop pixels.
        box: (B, 4) or (4,), x, y, w, h in frame pixels.
        size: side of the crop in pixels.

    Returns:
        (B, N, 2) frame pixels.
    """
    box = box.to(points).reshape(-1, 1, 4)
    return box[..., :2] + points * (box[..., 2:] / size)


def frame_to_crop(points: Tensor, box: Tensor, size: int) -> Tensor:
    """Frame pixels to crop pixels, the inverse of `crop_to_frame`, with the same shapes."""
    box = box.to(points).reshape(-1, 1, 4)
    return (points - box[..., :2]) * (size / box[..., 2:])


def mask_bounds(mask: Tensor) -> Tensor:
    """Bounding boxes of masks.

    Args:
        mask: (B, 1, H, W) or (B, H, W); above 0.5 is foreground.

    Returns:
        (B, 4) of left, top, right, bottom in pixels: the outer edges of the outermost foreground
        pixels, so one pixel at the origin has 0, 0, 1, 1. All of the image where a mask is empty.
    """
    height, width = mask.shape[-2:]
    on = mask.reshape(-1, height, width) > 0.5

    def span(line: Tensor, length: int) -> tuple[Tensor, Tensor]:
        line = line.to(torch.uint8)
        # argmax gives the first of equal values, which is 0 and then the full length for an empty
        # line.
        return line.argmax(dim=1), length - line.flip(1).argmax(dim=1)

    left, right = span(on.any(dim=1), width)
    top, bottom = span(on.any(dim=2), height)
    dtype = mask.dtype if mask.is_floating_point() else torch.get_default_dtype()
    return torch.stack([left, top, right, bottom], dim=1).to(dtype)


def fit_camera_to_bbox(points: Tensor, bounds: Tensor, size: int) -> Tensor:
    """The camera that puts a body's extent onto a bounding box, as a start for fitting.

    The scale is the least-squares fit of width and height together, hence led by the longer side;
    the centres coincide.

    Args:
        points: (B, N, 2 or 3) posed points in camera axes, metres.
        bounds: (B, 4) of left, top, right, bottom in crop pixels, as `mask_bounds` gives them.
        size: side of the crop in pixels.

    Returns:
        (B, 3) of s, tx, ty.
    """
    low, high = points[..., :2].amin(dim=1), points[..., :2].amax(dim=1)
    box = bounds.to(points) * (2 / size) - 1
    extent, wanted = high - low, box[:, 2:] - box[:, :2]
    square = extent.square().sum(dim=1, keepdim=True).clamp(min=_SMALLEST)
    scale = ((extent * wanted).sum(dim=1, keepdim=True) / square).clamp(min=_SMALLEST)
    shift = (box[:, 2:] + box[:, :2]) / 2 / scale - (high + low) / 2
    return torch.cat([scale, shift], dim=1)
