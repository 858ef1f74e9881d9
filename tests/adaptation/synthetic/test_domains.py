from __future__ import annotations

import numpy as np
import pytest
import roma
import torch
from numpy.typing import NDArray

from adaptation.bodies.body import Body
from adaptation.bodies.camera import WeakPerspective
from adaptation.bodies.renderer import exact_silhouette
from adaptation.data.samples import MASK_KINDS, Samples
from adaptation.evaluation.metrics import silhouette_iou
from adaptation.support.errors import UserError
from adaptation.synthetic.domains import FAMILIES, make_domain
from adaptation.synthetic.looks import SOURCE, STYLE
from adaptation.synthetic.settings import DomainSettings, Split


def test_labels_fit_the_masks(source: Samples, body: Body) -> None:
    assert source.pose is not None and source.betas is not None and source.camera is not None
    vertices = body(torch.from_numpy(source.pose), torch.from_numpy(source.betas)).vertices
    drawn = exact_silhouette(vertices, body.faces, WeakPerspective(torch.from_numpy(source.camera)), source.size)
    iou = [silhouette_iou(drawn, source.mask_batch(slice(None), kind)).mean().item() for kind in MASK_KINDS]
    assert iou[0] > 0.9  # drawn at another resolution, then resampled
    assert iou[0] > iou[1] > 0.6
    assert iou[0] > iou[2] > 0.5


def test_the_same_settings_give_the_same_pixels(source: Samples) -> None:
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
def test_nobody_is_in_two_sets(source: Samples, other: DomainSettings) -> None:
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
    def film(split: Split, seed: int) -> tuple[Samples, NDArray[np.float64]]:
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


@pytest.mark.parametrize("settings", [DomainSettings("nowhere"), DomainSettings(count=0), DomainSettings(size=8)])
def test_sets_that_cannot_be_made(settings: DomainSettings) -> None:
    with pytest.raises(UserError):
        make_domain(settings)
