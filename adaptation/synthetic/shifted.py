"""Apply the domain shifts of the paper's experiments to crop sets, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from adaptation.data.samples import Samples
from adaptation.support.errors import UserError
from adaptation.synthetic.settings import SHIFTS
from adaptation.synthetic.shifts import low_resolution, night, perturbed
from adaptation.training.uap import load_perturbation

Shift = Callable[[Tensor, Tensor, torch.Generator], Tensor]
"""Function that returns shifted images (B, 3, S, S) for images in [0, 1], their masks (B, 1, S, S) and a generator."""


def shift_by_name(name: str, size: int, delta: Path | None) -> Shift:
    """Return the domain shift of a name.

    Args:
        name: name in `SHIFTS`.
        size: side of the crops, pixels.
        delta: file of a universal perturbation, for uap-4, uap-8 and uap-16; None for the others.

    Raises:
        UserError: the name is unknown, or the perturbation is missing, not needed, or of another size.
    """
    kind, _, number = name.partition("-")
    if name not in SHIFTS:
        raise UserError(f"--shift must be one of {', '.join(SHIFTS)}, got {name!r}")
    if delta is not None and kind != "uap":
        raise UserError(f"--delta is for uap-4, uap-8 and uap-16, not for {name}")
    if kind == "lr":
        # The paper gives widths for crops of 224 pixels.
        width = max(1, round(int(number) * size / 224))
        return lambda images, _masks, _generator: low_resolution(images, width)
    if kind == "uap":
        if delta is None:
            raise UserError(f"{name} needs --delta, a perturbation made by `topo-adapt uap`")
        # One file serves all three strengths: it is rescaled to the number in the name.
        scaled = load_perturbation(delta, size, float(number))
        return lambda images, _masks, _generator: perturbed(images, scaled)
    return lambda images, masks, generator: night(images, masks, generator)


def shift_samples(samples: Samples, change: Shift) -> Samples:
    """Apply a domain shift to all images of a crop set.

    Args:
        samples: crops with masks.
        change: the shift.

    Returns:
        The set with shifted images. Masks and labels are unchanged; keypoints are dropped, since a detector found them
        in the original images.

    Raises:
        UserError: the set has no masks.
    """
    generator = torch.Generator().manual_seed(0)  # so that equal sets stay equal
    images = np.empty_like(samples.images)
    # The size of the parts belongs to the result: noise is drawn part by part.
    for index in torch.arange(len(samples)).split(256):
        part = index.numpy()
        shifted = change(samples.image_batch(part), samples.mask_batch(part), generator)
        images[part] = (255 * shifted).round().byte().permute(0, 2, 3, 1).numpy()
    return replace(samples, images=images, keypoints=None)
