from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import roma
import torch
from numpy.typing import NDArray

from adaptation.bodies.body import Body
from adaptation.bodies.renderer import exact_silhouette
from adaptation.commands.training_programs import SHIFTS, shift_by_name, shift_domain
from adaptation.data.samples import MASK_KINDS, Domain
from adaptation.evaluation.metrics import silhouette_iou
from adaptation.support.errors import UserError
from adaptation.synthetic.domains import FAMILIES, make_domain
from adaptation.synthetic.looks import SOURCE, STYLE
from adaptation.synthetic.masks import degraded
from adaptation.synthetic.settings import DomainSettings, Split
from adaptation.synthetic.shifts import low_resolution, night, perturbed


def test_labels_fit_the_masks(source: Domain, body: Body) -> None:
    assert source.pose is not None and source.betas is not None and source.camera is not None
    vertices = body(torch.from_numpy(source.pose), torch.from_numpy(source.betas)).vertices
    drawn = exact_silhouette(vertices, body.faces, torch.from_numpy(source.camera), source.size)
    iou = [silhouette_iou(drawn, source.mask_batch(slice(None), kind)).mean().item() for kind in MASK_KINDS]
    assert iou[0] > 0.9  # drawn at another resolution, then resampled
    assert iou[0] > iou[1] > 0.6
    assert iou[0] > iou[2] > 0.5


def test_the_same_settings_give_the_same_pixels(source: Domain) -> None:
    again = make_domain(DomainSettings("source", "train", 24, 48), workers=2)
    assert np.array_equal(again.images, source.images)
    assert np.array_equal(again.masks, source.masks)


@pytest.mark.parametrize(
    "other",
    [
        DomainSettings("source", "test", 12, 48),
        DomainSettings("style", "train", 12, 48),
        DomainSettings("source", "train", 12, 48, seed=1),
    ],
)
def test_nobody_is_in_two_sets(source: Domain, other: DomainSettings) -> None:
    made = make_domain(other)
    assert made.betas is not None and source.betas is not None
    assert not (made.betas[:, None] == source.betas[None]).all(-1).any()
    assert made.pose is not None and source.pose is not None
    assert not (made.pose[:, None, 1:] == source.pose[None, :, 1:]).all((-1, -2)).any()


def test_families_share_no_look() -> None:
    assert set(FAMILIES) == {"source", "style", "site"}
    assert not set(SOURCE.patterns) & set(STYLE.patterns)
    assert SOURCE.background is not STYLE.background
    assert SOURCE.hues[1] <= STYLE.hues[0] and STYLE.hues[1] <= 1 + SOURCE.hues[0]


def test_a_site_is_one_camera_and_its_people_are_others_each_time() -> None:
    def film(split: Split, seed: int) -> tuple[Domain, NDArray[np.float64]]:
        made = make_domain(DomainSettings("site", split, 36, 48, seed))
        # Where the mask is not, a crop shows the scene; its colours tell one scene from another.
        return made, np.array(
            [image[mask == 0].mean(0) for image, mask in zip(made.images, made.masks[:, 0], strict=True)]
        )

    adapt, there = film("adapt", 0)
    test, same = film("test", 0)
    _, elsewhere = film("adapt", 1)
    assert np.abs(there.mean(0) - same.mean(0)).max() < 0.3 * np.abs(there.mean(0) - elsewhere.mean(0)).max()
    assert adapt.betas is not None and test.betas is not None and adapt.pose is not None
    people = np.concatenate([adapt.betas[::12], test.betas[::12]])
    assert len(np.unique(people, axis=0)) == 6
    up = roma.rotvec_to_rotmat(torch.from_numpy(adapt.pose[:, 0]))[:, :, 1]
    pitch = torch.atan2(up[:, 2], -up[:, 1])
    assert pitch.std() < 0.05 and pitch.abs().mean() > 0.1  # one camera looks down at one angle


def test_save_and_load(source: Domain, tmp_path: Path) -> None:
    source.save(tmp_path / "set", {"name": "x"})
    loaded = Domain.load(tmp_path / "set")
    for name in ("images", "masks", "clip", "pose", "betas", "camera"):
        assert np.array_equal(getattr(loaded, name), getattr(source, name))
    replace(source, pose=None, betas=None, camera=None).save(tmp_path / "unlabelled", {})
    assert Domain.load(tmp_path / "unlabelled").pose is None


def test_broken_sets_are_refused(source: Domain, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a set of crops"):
        Domain.load(tmp_path)
    replace(source, masks=source.masks[:3]).save(tmp_path / "short", {})
    with pytest.raises(UserError, match=r"masks must have shape \(24, 3, 48, 48\)"):
        Domain.load(tmp_path / "short")
    source.save(tmp_path / "cut", {})
    (tmp_path / "cut" / "images.npy").write_bytes((tmp_path / "cut" / "images.npy").read_bytes()[:1000])
    with pytest.raises(UserError, match="not a set of crops"):
        Domain.load(tmp_path / "cut")
    for settings in (DomainSettings("nowhere"), DomainSettings(count=0), DomainSettings(size=8)):
        with pytest.raises(UserError):
            make_domain(settings)


def test_low_resolution_keeps_means_and_loses_detail(source: Domain) -> None:
    images = source.image_batch(slice(0, 4))
    low = low_resolution(images, 12)
    assert low.shape == images.shape and low.min() >= 0 and low.max() <= 1
    # 12 pixels hold 1 / 16 of 48^2: what lies between them is smooth.
    detail = (low[..., 1:] - low[..., :-1]).abs().mean() / (images[..., 1:] - images[..., :-1]).abs().mean()
    assert detail < 0.8
    torch.testing.assert_close(low.mean((2, 3)), images.mean((2, 3)), atol=0.02, rtol=0)
    assert low_resolution(images, 96) is images


def test_night_is_grey_and_bodies_are_warm(source: Domain) -> None:
    images, masks = source.image_batch(slice(0, 4)), source.mask_batch(slice(0, 4))
    dark = night(images, masks, torch.Generator().manual_seed(0))
    assert torch.equal(dark[:, 0], dark[:, 1]) and torch.equal(dark[:, 0], dark[:, 2])
    assert dark[masks.expand_as(dark) > 0].mean() > 2 * dark[masks.expand_as(dark) == 0].mean()


def test_perturbation_stays_in_bounds(source: Domain) -> None:
    images = source.image_batch(slice(0, 4))
    delta = (torch.rand(3, 48, 48, generator=torch.Generator().manual_seed(0)) - 0.5) / 8
    shifted = perturbed(images, delta)
    assert (shifted - images).abs().max() <= delta.abs().max() + 1e-6
    assert shifted.min() >= 0 and shifted.max() <= 1


def test_degraded_masks() -> None:
    mask = np.zeros((96, 96), bool)
    mask[20:80, 35:60] = True
    ious = []
    for seed in range(50):
        worse = degraded(mask, np.random.default_rng(seed))
        assert worse.shape == mask.shape and worse.any()
        ious.append((worse & mask).sum() / (worse | mask).sum())
    assert 0.6 < np.mean(ious) < 0.98
    dot = np.zeros((96, 96), bool)
    dot[50, 50] = True
    assert all(degraded(dot, np.random.default_rng(seed)).any() for seed in range(50))


def test_shifts_by_name(source: Domain, tmp_path: Path) -> None:
    for name in SHIFTS:
        if name.startswith("uap"):
            with pytest.raises(UserError, match="needs --delta"):
                shift_by_name(name, 48, None)
            delta = tmp_path / "delta.npy"
            np.save(delta, np.full((3, 48, 48), 0.5, np.float32))
            change = shift_by_name(name, 48, delta)
        else:
            change = shift_by_name(name, 48, None)
        shifted = shift_domain(source, change)
        assert shifted.images.shape == source.images.shape
        assert np.array_equal(shifted.masks, source.masks)
        difference = np.abs(shifted.images.astype(int) - source.images)
        if name.startswith("uap"):
            assert difference.max() <= int(name.split("-")[1]) + 1
    with pytest.raises(UserError, match="must be one of"):
        shift_by_name("fog", 48, None)
