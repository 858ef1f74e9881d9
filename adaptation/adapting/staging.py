"""Staging: labelled source people pasted into the target's scenes, so that source crops look like the target's.

Replayed source crops keep a network from forgetting, but they show other places, other clothes and another camera.
Silhouettes separate people from background in both domains, so a source person, with its labels, can take the place of
a target person (training sets are made like this by Dwibedi et al., "Cut, paste and learn", ICCV 2017):

- the target person is erased from the scene;
- the source person is recoloured by the linear map that carries its mean colour and covariance to the target person's
  and changes colours least (Pitie and Kokaram, "The linear Monge-Kantorovitch linear colour mapping", CVMP 2007);
- the source person is blurred to the sharpness of the target's camera.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from adaptation.data.samples import MaskKind, Samples
from adaptation.support.errors import UserError

_AROUND = 3  # pixels around a mask that are erased with it: masks cut off a person's blurred outline
_MEASURED = 256  # crops that the camera's blur is measured on


@dataclass(frozen=True, eq=False)
class Stage:
    """Target scenes that source people are pasted into.

    Attributes:
        source: source crops, which the people come from.
        target: target crops, which the scenes come from.
        masks: kind of the target's masks.
        blur: (S, S) blur of the target's camera, as `camera_blur` returns it.
    """

    source: Samples
    target: Samples
    masks: MaskKind
    blur: Tensor

    @classmethod
    def of(cls, source: Samples, target: Samples, masks: MaskKind) -> Stage:
        """Return the stage of a source and a target, with the blur measured on their crops.

        Raises:
            UserError: the crops of the two differ in size.
        """
        if source.size != target.size:
            raise UserError(
                f"the source's crops are of {source.size} pixels, the target's of {target.size}; they must be equal "
                "(topo-adapt domain --size)"
            )
        blur = camera_blur(*(domain.image_batch(_spread(len(domain))) for domain in (source, target)))
        return cls(source, target, masks, blur)

    def show(self, people: Tensor, places: Tensor, device: str = "cpu") -> Tensor:
        """Paste people from source crops into target crops.

        Args:
            people: (B,) indices of source crops. A crop without a mask is returned unchanged.
            places: (B,) indices of target crops with masks.
            device: device to compute on.

        Returns:
            (B, 3, S, S) RGB in [0, 1].
        """
        images = self.source.image_batch(people.numpy(), device)
        masks = self.source.mask_batch(people.numpy(), "truth", device)
        scenes = self.target.image_batch(places.numpy(), device)
        scene_masks = self.target.mask_batch(places.numpy(), self.masks, device)
        shown = stage(images, masks, scenes, scene_masks, self.blur.to(device))
        # A source crop with an empty mask has no person to paste; unchanged, it still fits its labels.
        return torch.where(masks.any(-1).any(-1)[..., None, None], shown, images)


def _spread(count: int) -> np.ndarray:
    # Evenly over the set: neighbouring frames are nearly equal.
    return np.linspace(0, count - 1, min(count, _MEASURED)).round().astype(np.int64)


def stage(people: Tensor, masks: Tensor, scenes: Tensor, scene_masks: Tensor, blur: Tensor) -> Tensor:
    """Paste people into scenes, in place of the people there.

    Args:
        people: (B, 3, S, S) source crops in [0, 1].
        masks: (B, 1, S, S) of 0 and 1, masks of the source people.
        scenes: (B, 3, S, S) target crops in [0, 1].
        scene_masks: (B, 1, S, S) of 0 and 1, masks of the target people.
        blur: (S, S) factors on spatial frequencies.

    Returns:
        (B, 3, S, S) in [0, 1].
    """
    people = recolour(people, masks, scenes, scene_masks).clamp(0, 1)
    # Colour and mask are blurred alike, with the colour premultiplied, so that the source's background does not bleed
    # into the outline.
    # At the border, the mean is over the pixels inside: a person cut off by the crop stays opaque there.
    soft = F.avg_pool2d(masks, 3, stride=1, padding=1, count_include_pad=False)
    pasted, soft = _filter(soft * people, blur), _filter(soft, blur).clamp(0, 1)
    return (pasted + (1 - soft) * erase(scenes, scene_masks)).clamp(0, 1)


def erase(images: Tensor, masks: Tensor) -> Tensor:
    """Fill the masked parts of images from their surroundings, coarse to fine (push-pull).

    Args:
        images: (B, 3, S, S).
        masks: (B, 1, S, S) of 0 and 1.

    Returns:
        (B, 3, S, S).
    """
    # Each level holds colour times known share: the average of the next level then counts known pixels alone.
    known = 1 - F.max_pool2d(masks, 2 * _AROUND + 1, stride=1, padding=_AROUND)
    levels = [(images * known, known)]
    # Down to one pixel: no hole is too large to be filled.
    while min(images.shape[-2:]) >> len(levels) > 0:
        levels.append((F.avg_pool2d(levels[-1][0], 2), F.avg_pool2d(levels[-1][1], 2)))
    colour, share = levels.pop()
    filled = colour / share.clamp(min=1e-6)  # the share is 0 where a mask covers the whole image
    for colour, share in reversed(levels):
        filled = F.interpolate(filled, size=colour.shape[-2:], mode="bilinear", align_corners=False)
        # `colour` holds colour times known share, so only the unknown share is filled.
        filled = colour + (1 - share) * filled
    return filled


def recolour(images: Tensor, masks: Tensor, like: Tensor, like_masks: Tensor) -> Tensor:
    """Recolour images so that the masked pixels have the mean and covariance of another image's masked pixels.

    Args:
        images: (B, 3, S, S).
        masks: (B, 1, S, S) of 0 and 1.
        like: (B, 3, S, S) images with the target colours.
        like_masks: (B, 1, S, S) of 0 and 1.

    Returns:
        (B, 3, S, S); all pixels are mapped, the masked ones and the others.
    """
    mean, covariance = _colours(images, masks)
    like_mean, like_covariance = _colours(like, like_masks)
    # The optimal transport between two Gaussians: C^-1/2 (C^1/2 D C^1/2)^1/2 C^-1/2 for covariances C and D.
    root, inverse = _power(covariance, 0.5), _power(covariance, -0.5)
    change = inverse @ _power(root @ like_covariance @ root, 0.5) @ inverse
    return (change @ (images.flatten(2) - mean) + like_mean).view_as(images)


def _colours(images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (B, 3, 1) and covariance (B, 3, 3) of the colours under masks."""
    pixels, weights = images.flatten(2), masks.flatten(2)
    # The clamp is for empty masks, whose sum is 0.
    weights = weights / weights.sum(2, keepdim=True).clamp(min=1)
    mean = (pixels * weights).sum(2, keepdim=True)
    away = pixels - mean
    return mean, (away * weights) @ away.mT


def _power(matrices: Tensor, exponent: float) -> Tensor:
    """Powers of positive semidefinite matrices (B, 3, 3)."""
    values, directions = torch.linalg.eigh(matrices)
    # A negative power would amplify the noise of colours that hardly vary, so small eigenvalues are raised.
    values = values.clamp(min=1e-4 if exponent < 0 else 0)
    return directions @ torch.diag_embed(values.pow(exponent)) @ directions.mT


def camera_blur(source: Tensor, target: Tensor) -> Tensor:
    """Measure the blur of the target's camera: how much weaker each spatial frequency is than in the source's crops.

    Args:
        source: (N, 3, S, S), a few hundred crops.
        target: (M, 3, S, S), likewise.

    Returns:
        (S, S) factors in [0, 1] on the frequencies of `torch.fft.fft2`, equal in all directions.
    """
    size = source.shape[-1]
    along = torch.fft.fftfreq(size)
    # Radial frequency in cycles per crop. The corners beyond the highest axial frequency share the last ring.
    ring = (size * torch.hypot(along[:, None], along)).round().long().clamp(max=size // 2)
    # The root, because spectra are powers. At most 1: a target that is sharper than the source is not imitated.
    factors = (_spectrum(target, ring) / _spectrum(source, ring).clamp(min=1e-9)).sqrt().clamp(max=1)
    factors[:3] = 1  # the lowest frequencies depend on the contents of the crops, not on sharpness
    return factors[ring]


def _spectrum(images: Tensor, ring: Tensor) -> Tensor:
    """Mean power of the images (N, 3, S, S) in each ring of frequencies."""
    grey = images.mean(1)
    grey = grey - grey.mean((1, 2), keepdim=True)  # brightness would leak into the other rings
    # The transform is periodic: without a window, the step between opposite borders would add high frequencies.
    window = torch.hann_window(grey.shape[-1])
    power = torch.fft.fft2(grey * window[:, None] * window).abs().square().mean(0)
    return torch.bincount(ring.flatten(), power.flatten()) / torch.bincount(ring.flatten())


def _filter(images: Tensor, factors: Tensor) -> Tensor:
    # The factors are symmetric, so the imaginary part is rounding.
    return torch.fft.ifft2(torch.fft.fft2(images) * factors).real
