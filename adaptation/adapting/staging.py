"""Source people before the target's camera: labelled crops that look as the target's do.

Labelled source crops that are replayed keep a network from forgetting, but they show other places, other clothes and
another camera. Silhouettes of both domains tell people from places, so that a person of the source, with its labels,
can stand where one of the target stood (as Dwibedi et al., "Cut, paste and learn", ICCV 2017, make training sets): the
target's person is erased; the source's takes its colours, by the linear map that carries one mean and covariance to the
other and changes least (Pitie and Kokaram, "The linear Monge-Kantorovitch linear colour mapping", CVMP 2007); and is as
sharp as the target's camera draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from adaptation.data.samples import MaskKind, Samples
from adaptation.support.errors import UserError

_AROUND = 3  # pixels around a mask that are erased with it
_MEASURED = 256  # crops that the camera's blur is found on


@dataclass(frozen=True, eq=False)
class Stage:
    """Places of a target, for people of a source.

    Attributes:
        source: where people come from.
        target: where they stand.
        masks: which of the target's.
        blur: (S, S) of the target's camera, as `camera_blur` gives it.
    """

    source: Samples
    target: Samples
    masks: MaskKind
    blur: Tensor

    @classmethod
    def of(cls, source: Samples, target: Samples, masks: MaskKind) -> Stage:
        """Measure the blur.

        Raises:
            UserError: the crops are not of one size.
        """
        if source.size != target.size:
            raise UserError(
                f"the source's crops are of {source.size} pixels, the target's of {target.size}; they must be equal "
                "(topo-adapt domain --size)"
            )
        blur = camera_blur(*(domain.image_batch(_spread(len(domain))) for domain in (source, target)))
        return cls(source, target, masks, blur)

    def show(self, people: Tensor, places: Tensor, device: str = "cpu") -> Tensor:
        """Crops of the source, by index (B,), in places of the target's, by index (B,); (B, 3, S, S) on a device.

        Args:
            people: crops of the source. One without a mask stays as it is.
            places: crops of the target, with masks.
            device: where to compute.
        """
        images = self.source.image_batch(people.numpy(), device)
        masks = self.source.mask_batch(people.numpy(), "truth", device)
        scenes = self.target.image_batch(places.numpy(), device)
        scene_masks = self.target.mask_batch(places.numpy(), self.masks, device)
        shown = stage(images, masks, scenes, scene_masks, self.blur.to(device))
        return torch.where(masks.any(-1).any(-1)[..., None, None], shown, images)


def _spread(count: int) -> np.ndarray:
    return np.linspace(0, count - 1, min(count, _MEASURED)).round().astype(np.int64)


def stage(people: Tensor, masks: Tensor, scenes: Tensor, scene_masks: Tensor, blur: Tensor) -> Tensor:
    """Put people into scenes, in place of those who were there.

    Args:
        people: (B, 3, S, S) source crops in [0, 1].
        masks: (B, 1, S, S) of 0 and 1, their people.
        scenes: (B, 3, S, S) target crops.
        scene_masks: (B, 1, S, S), their people.
        blur: (S, S) factors of spatial frequencies.

    Returns:
        (B, 3, S, S) in [0, 1].
    """
    people = recolour(people, masks, scenes, scene_masks).clamp(0, 1)
    soft = F.avg_pool2d(masks, 3, stride=1, padding=1, count_include_pad=False)
    pasted, soft = _filter(soft * people, blur), _filter(soft, blur).clamp(0, 1)
    return (pasted + (1 - soft) * erase(scenes, scene_masks)).clamp(0, 1)


def erase(images: Tensor, masks: Tensor) -> Tensor:
    """Images (B, 3, S, S) with what lies around filled in where masks (B, 1, S, S) are, coarse to fine (push-pull)."""
    known = 1 - F.max_pool2d(masks, 2 * _AROUND + 1, stride=1, padding=_AROUND)
    levels = [(images * known, known)]
    while min(images.shape[-2:]) >> len(levels) > 0:
        levels.append((F.avg_pool2d(levels[-1][0], 2), F.avg_pool2d(levels[-1][1], 2)))
    colour, share = levels.pop()
    filled = colour / share.clamp(min=1e-6)
    for colour, share in reversed(levels):
        filled = F.interpolate(filled, size=colour.shape[-2:], mode="bilinear", align_corners=False)
        filled = colour + (1 - share) * filled
    return filled


def recolour(images: Tensor, masks: Tensor, like: Tensor, like_masks: Tensor) -> Tensor:
    """Images whose pixels under masks get the mean colour and the covariance of others' under theirs, (B, 3, S, S)."""
    mean, covariance = _colours(images, masks)
    wanted_mean, wanted = _colours(like, like_masks)
    root, inverse = _power(covariance, 0.5), _power(covariance, -0.5)
    change = inverse @ _power(root @ wanted @ root, 0.5) @ inverse
    return (change @ (images.flatten(2) - mean) + wanted_mean).view_as(images)


def _colours(images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (B, 3, 1) and covariance (B, 3, 3) of colours under masks."""
    pixels, weights = images.flatten(2), masks.flatten(2)
    weights = weights / weights.sum(2, keepdim=True).clamp(min=1)
    mean = (pixels * weights).sum(2, keepdim=True)
    away = pixels - mean
    return mean, (away * weights) @ away.mT


def _power(matrices: Tensor, exponent: float) -> Tensor:
    """Powers of symmetric matrices (B, 3, 3), none negative. Colours of next to no spread are not blown up."""
    values, directions = torch.linalg.eigh(matrices)
    values = values.clamp(min=1e-4 if exponent < 0 else 0)
    return directions @ torch.diag_embed(values.pow(exponent)) @ directions.mT


def camera_blur(source: Tensor, target: Tensor) -> Tensor:
    """How much less of each spatial frequency the target's crops have than the source's: what its camera removes.

    Args:
        source: (N, 3, S, S), a few hundred crops.
        target: (M, 3, S, S).

    Returns:
        (S, S) factors in [0, 1] of `torch.fft.fft2`'s frequencies, equal in all directions.
    """
    size = source.shape[-1]
    along = torch.fft.fftfreq(size)
    ring = (size * torch.hypot(along[:, None], along)).round().long().clamp(max=size // 2)
    factors = (_spectrum(target, ring) / _spectrum(source, ring).clamp(min=1e-9)).sqrt().clamp(max=1)
    factors[:3] = 1  # contents, not sharpness
    return factors[ring]


def _spectrum(images: Tensor, ring: Tensor) -> Tensor:
    """Mean power per ring of frequencies."""
    grey = images.mean(1)
    grey = grey - grey.mean((1, 2), keepdim=True)
    window = torch.hann_window(grey.shape[-1])  # an image's edges are no edges in it
    power = torch.fft.fft2(grey * window[:, None] * window).abs().square().mean(0)
    return torch.bincount(ring.flatten(), power.flatten()) / torch.bincount(ring.flatten())


def _filter(images: Tensor, factors: Tensor) -> Tensor:
    return torch.fft.ifft2(torch.fft.fft2(images) * factors).real
