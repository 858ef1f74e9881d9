"""Domain shifts of images: low resolution, adversarial perturbation, night. RGB (B, 3, S, S) in [0, 1] to the same."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def low_resolution(images: Tensor, width: int) -> Tensor:
    """Return images as if the crop had been ``width`` pixels wide in the camera: area-averaged down, bicubic up.

    Args:
        images: (B, 3, S, S) in [0, 1].
        width: Width in pixels; images are unchanged if it is at least S.

    Returns:
        (B, 3, S, S) in [0, 1].
    """
    size = images.shape[-1]
    if width >= size:
        return images
    # Averaging areas is what larger pixels of a sensor do; skipping pixels would alias.
    small = F.interpolate(images, size=(width, width), mode="area")
    # Bicubic interpolation overshoots at edges.
    return F.interpolate(small, size=(size, size), mode="bicubic", align_corners=False).clamp(0, 1)


def perturbed(images: Tensor, delta: Tensor) -> Tensor:
    """Add a universal perturbation.

    Args:
        images: (B, 3, S, S) in [0, 1].
        delta: (3, S, S) in the same units.

    Returns:
        (B, 3, S, S) in [0, 1].
    """
    return (images + delta).clamp(0, 1)


def night(images: Tensor, masks: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return images like those of a thermal camera: grey, blurred and noisy, with bright people in a dark scene.

    Args:
        images: (B, 3, S, S) in [0, 1].
        masks: (B, 1, S, S), 1 on people and 0 elsewhere.
        generator: Source of the noise, a CPU generator; torch's global one if None.

    Returns:
        (B, 3, S, S) in [0, 1], three equal channels.
    """
    count, _, size, _ = images.shape
    # Luma weights of Rec. 601.
    grey = (images * images.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    grey = 1 - grey  # dark cloth is warmer; without colour, skin and cloth look alike
    # The lowest value on people lies above the highest around them: bodies are warmer than a night scene.
    warm = masks * (0.55 + 0.35 * grey) + (1 - masks) * (0.12 + 0.3 * grey)
    # Replicated at the border, where zeros would draw a dark frame.
    warm = F.avg_pool2d(F.pad(warm, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    # The noise is drawn on the CPU, so that results do not depend on the device.
    noise = 0.03 * torch.randn(count, 1, size, size, generator=generator)
    # Uncooled sensors show stripes: one offset per column.
    noise = noise + 0.02 * torch.randn(count, 1, 1, size, generator=generator)
    return (warm + noise.to(images)).clamp(0, 1).expand(-1, 3, -1, -1).contiguous()
