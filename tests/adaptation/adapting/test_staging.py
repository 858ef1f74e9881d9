from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from adaptation.adapting.staging import Stage, camera_blur, erase, recolour, stage
from adaptation.data.samples import Samples
from adaptation.support.errors import UserError
from adaptation.synthetic.shifts import low_resolution, night


def crops(domain: Samples) -> tuple[Tensor, Tensor]:
    every = slice(0, len(domain))
    return domain.image_batch(every), domain.mask_batch(every)


def moments(images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (B, 3) and covariance (B, 3, 3) of the pixels under masks, one image after the other."""
    pixels = [image[:, mask[0] > 0] for image, mask in zip(images.double(), masks, strict=True)]
    return torch.stack([p.mean(1) for p in pixels]), torch.stack([p.cov(correction=0) for p in pixels])


def test_what_is_erased_is_filled_from_around() -> None:
    ramp = torch.linspace(0, 1, 64).expand(1, 3, 64, 64).clone()
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 20:44, 28:36] = 1
    image = torch.where(mask > 0, 0, ramp)
    filled = erase(image, mask)
    around = torch.nn.functional.max_pool2d(mask, 7, 1, 3)
    torch.testing.assert_close(filled * (1 - around), ramp * (1 - around), atol=1e-6, rtol=0)
    assert (filled - ramp).abs().max() < 0.15 < (image - ramp).abs().max()
    whole = erase(image, torch.ones_like(mask))
    assert torch.isfinite(whole).all()


def test_colours_become_those_of_the_other(source: Samples, target: Samples) -> None:
    people, masks = crops(source)
    scenes, scene_masks = crops(target)
    before, _ = moments(people, masks)
    mean, covariance = moments(recolour(people, masks, scenes, scene_masks), masks)
    wanted_mean, wanted = moments(scenes, scene_masks)
    torch.testing.assert_close(mean, wanted_mean, atol=1e-3, rtol=0)
    torch.testing.assert_close(covariance, wanted, atol=3e-3, rtol=0)
    assert (before - wanted_mean).abs().max() > 0.1


def test_colours_stay_where_they_are_the_same_already(source: Samples) -> None:
    people, masks = crops(source)
    same = recolour(people, masks, people, masks)
    torch.testing.assert_close(same * masks, people * masks, atol=2e-2, rtol=0)


def test_people_of_a_grey_camera_are_grey(source: Samples, target: Samples) -> None:
    people, masks = crops(source)
    scenes, scene_masks = crops(target)
    generator = torch.Generator().manual_seed(0)
    thermal = night(scenes, scene_masks, generator)
    grey = recolour(people, masks, thermal, scene_masks)
    spread = (grey.amax(1) - grey.amin(1)) * masks[:, 0]
    assert spread.max() < 0.05


def test_blur_is_that_of_the_camera(source: Samples) -> None:
    images, _ = crops(source)
    sharp = camera_blur(images, images)
    torch.testing.assert_close(sharp, torch.ones_like(sharp))
    blurred = camera_blur(images, low_resolution(images, 12))
    # At a quarter of the resolution nothing is left of the upper half of the frequencies along an axis.
    assert blurred[0, 0] == 1 and blurred[0, 13:24].max() < 0.2 < blurred[0, 3]


def test_a_person_stands_in_the_place_of_another(source: Samples, target: Samples) -> None:
    people, masks = crops(source)
    scenes, scene_masks = crops(target)
    staged = stage(people, masks, scenes, scene_masks, torch.ones(48, 48))
    assert staged.shape == people.shape and staged.min() >= 0 and staged.max() <= 1
    empty = ((1 - torch.nn.functional.max_pool2d(masks, 3, 1, 1)) > 0) & (
        torch.nn.functional.max_pool2d(scene_masks, 7, 1, 3) == 0
    )
    torch.testing.assert_close(staged * empty, scenes * empty, atol=1e-4, rtol=0)
    inner = masks > 0
    mean, _ = moments(staged, inner.float())
    wanted, _ = moments(scenes, scene_masks)
    assert (mean - wanted).abs().mean() < 0.05


def test_people_without_a_mask_stay_where_they_are(source: Samples, target: Samples) -> None:
    masks = source.masks.copy()
    masks[3] = 0
    stage_ = Stage.of(replace(source, masks=masks), target, "subtracted")
    shown = stage_.show(torch.tensor([2, 3]), torch.tensor([0, 0]))
    images = source.image_batch(slice(2, 4))
    assert torch.equal(shown[1], images[1]) and (shown[0] - images[0]).abs().max() > 0.2


def test_crops_of_another_size_are_refused(source: Samples, target: Samples) -> None:
    small = replace(target, images=target.images[:, ::2, ::2], masks=target.masks[:, :, ::2, ::2])
    with pytest.raises(UserError, match="of 48 pixels, the target's of 24"):
        Stage.of(source, small, "subtracted")
