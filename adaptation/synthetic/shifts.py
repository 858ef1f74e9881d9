"""What a camera does to pictures that a regressor was not trained for. RGB (B, 3, S, S) in [0, 1] to the same."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def low_resolution(images: Tensor, width: int) -> Tensor:
    """As seen by a camera on which the crop is ``width`` pixels wide: area-averaged down, bicubic up."""
    size = images.shape[-1]
    if width >= size:
        return images
    small = F.interpolate(images, size=(width, width), mode="area")
    return F.interpolate(small, size=(size, size), mode="bicubic", align_corners=False).clamp(0, 1)


def perturbed(images: Tensor, delta: Tensor) -> Tensor:
    """With a universal perturbation delta (3, S, S) added, in the images' own units."""
    return (images + delta).clamp(0, 1)


def night(images: Tensor, masks: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Thermal-like: grey, warm bodies bright and cold scenes dark, blurred, with noise in pixels and columns.

    Args:
        images: (B, 3, S, S).
        masks: (B, 1, S, S), 1 on people.
        generator: of the noise; it draws on the CPU.
    """
    count, _, size, _ = images.shape
    grey = (images * images.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    grey = 1 - grey  # dark cloth is warmer, and no colour tells skin from cloth
    warm = masks * (0.55 + 0.35 * grey) + (1 - masks) * (0.12 + 0.3 * grey)
    warm = F.avg_pool2d(F.pad(warm, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    noise = 0.03 * torch.randn(count, 1, size, size, generator=generator)
    noise = noise + 0.02 * torch.randn(count, 1, 1, size, generator=generator)
    return (warm + noise.to(images)).clamp(0, 1).expand(-1, 3, -1, -1).contiguous()
