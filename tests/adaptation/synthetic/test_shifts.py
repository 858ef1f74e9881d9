from __future__ import annotations

import torch

from adaptation.data.samples import Samples
from adaptation.synthetic.shifts import low_resolution, night, perturbed


def test_low_resolution_keeps_means_and_loses_detail(source: Samples) -> None:
    images = source.image_batch(slice(0, 4))
    low = low_resolution(images, 12)
    assert low.shape == images.shape and low.min() >= 0 and low.max() <= 1
    # 12 pixels hold 1 / 16 of 48^2: what lies between them is smooth.
    detail = (low[..., 1:] - low[..., :-1]).abs().mean() / (images[..., 1:] - images[..., :-1]).abs().mean()
    assert detail < 0.8
    torch.testing.assert_close(low.mean((2, 3)), images.mean((2, 3)), atol=0.02, rtol=0)
    assert low_resolution(images, 96) is images


def test_night_is_grey_and_bodies_are_warm(source: Samples) -> None:
    images, masks = source.image_batch(slice(0, 4)), source.mask_batch(slice(0, 4))
    dark = night(images, masks, torch.Generator().manual_seed(0))
    assert torch.equal(dark[:, 0], dark[:, 1]) and torch.equal(dark[:, 0], dark[:, 2])
    assert dark[masks.expand_as(dark) > 0].mean() > 2 * dark[masks.expand_as(dark) == 0].mean()


def test_perturbation_stays_in_bounds(source: Samples) -> None:
    images = source.image_batch(slice(0, 4))
    delta = (torch.rand(3, 48, 48, generator=torch.Generator().manual_seed(0)) - 0.5) / 8
    shifted = perturbed(images, delta)
    assert (shifted - images).abs().max() <= delta.abs().max() + 1e-6
    assert shifted.min() >= 0 and shifted.max() <= 1
