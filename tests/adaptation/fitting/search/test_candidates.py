from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tracked_bodies import SIZE, Walk, walk

from adaptation.bodies.body import Body
from adaptation.bodies.renderer import make_renderer
from adaptation.fitting.search.candidates import Candidates, fit_candidates, shrunk, small_fitter
from adaptation.fitting.search.starts import library_for, starts_for
from adaptation.fitting.settings import FitSettings, SearchSettings, TrackFitSettings
from adaptation.fitting.silhouette_fitter import SilhouetteFitter
from adaptation.fitting.starts import aligned
from adaptation.priors.gaussian import GaussianPosePrior

SEARCH = SearchSettings(entries=600, nearest=80, kept=4)


@pytest.fixture(scope="module")
def fitter(free_body: Body, prior: GaussianPosePrior) -> SilhouetteFitter:
    return SilhouetteFitter(free_body, prior, make_renderer(), FitSettings(prior_end=0.01))


@pytest.fixture(scope="module")
def walking_man(free_body: Body) -> Walk:
    return walk(free_body, 3)


def test_starts_are_distinct_and_near_the_mask(free_body: Body, walking_man: Walk) -> None:
    poses = starts_for(free_body, walking_man.masks, torch.zeros(3, 1), SEARCH)
    assert poses.shape == (3, 4, 24, 3)
    joints = free_body.joints(poses.flatten(0, 1), torch.zeros(12, 10)).view(3, 4, 24, 3)
    joints = joints - joints[:, :, :1]
    between = (joints[:, :, None] - joints[:, None]).norm(dim=-1).mean(-1)
    assert between[:, ~torch.eye(4, dtype=torch.bool)].min() >= SEARCH.apart
    # Of bodies at random few are as near as the best one.
    library = library_for(free_body, SEARCH)
    truth = free_body.joints(walking_man.bodies.pose, torch.zeros(3, 10))
    truth = truth - truth[:, :1]
    found = (joints[:, :, :, :2] - truth[:, None, :, :2]).norm(dim=-1).mean(-1)
    at_random = (library.joints[None, :, :, :2] - truth[:, None, :, :2]).norm(dim=-1).mean(-1)
    assert (found.amin(1) < at_random.quantile(0.1, dim=1)).all()


def test_a_library_is_drawn_once(free_body: Body) -> None:
    assert library_for(free_body, SEARCH) is library_for(free_body, replace(SEARCH))


@pytest.fixture(scope="module")
def candidates(fitter: SilhouetteFitter, walking_man: Walk) -> Candidates:
    masks = shrunk(walking_man.masks, 48)
    small = small_fitter(fitter, SIZE, 48, rate=2.0)
    poses = starts_for(fitter.body, walking_man.masks, torch.zeros(3, 1), replace(SEARCH, kept=2))
    starts = aligned(small, poses.flatten(0, 1), masks.repeat_interleave(2, dim=0))
    before = fit_candidates(small, masks, starts, walking_man.sequence, 1, TrackFitSettings(balance=0.0))
    after = fit_candidates(small, masks, starts, walking_man.sequence, 15, TrackFitSettings(balance=0.5))
    assert (after.loss < before.loss).float().mean() > 0.8 and after.loss.mean() < 0.7 * before.loss.mean()
    return after


def test_candidates_of_a_mask_are_neighbours(
    fitter: SilhouetteFitter, candidates: Candidates, walking_man: Walk
) -> None:
    assert candidates.loss.shape == candidates.prior.shape == (3, 2)
    target = small_fitter(fitter, SIZE, 48).target(shrunk(walking_man.masks, 48))
    again = small_fitter(fitter, SIZE, 48).evaluate(candidates.bodies, target.repeat_interleave(2))
    torch.testing.assert_close(again.loss.view(3, 2), candidates.loss)
    torch.testing.assert_close(again.prior.view(3, 2), candidates.prior)


def test_candidates_are_chosen_by_number(candidates: Candidates) -> None:
    index = torch.tensor([[1, 0], [0, 0], [1, 1]])
    chosen = candidates.chosen(index)
    torch.testing.assert_close(chosen.loss, candidates.loss.gather(1, index))
    torch.testing.assert_close(chosen.bodies.pose, candidates.bodies.pose[[1, 0, 2, 2, 5, 5]])
    both = Candidates.cat([candidates, chosen])
    assert both.loss.shape == (6, 2) and torch.equal(both.bodies.pose[6:], chosen.bodies.pose)


def test_others_follow_those_of_the_same_mask(candidates: Candidates) -> None:
    fewer = candidates.chosen(torch.tensor([[1], [0], [1]]))
    three = candidates.beside(fewer)
    assert three.options == 3
    torch.testing.assert_close(three.loss, torch.cat([candidates.loss, fewer.loss], dim=1))
    torch.testing.assert_close(three.bodies.pose, candidates.bodies.pose[[0, 1, 1, 2, 3, 2, 4, 5, 5]])


def test_reflections_follow_and_look_the_same(fitter: SilhouetteFitter, candidates: Candidates) -> None:
    twice = candidates.with_reflections()
    assert twice.loss.shape == (3, 4)
    pose = twice.bodies.pose.view(3, 4, 24, 3)
    torch.testing.assert_close(pose[:, :2].flatten(0, 1), candidates.bodies.pose)
    seen = fitter.posed(twice.bodies, SIZE).silhouette.view(3, 4, SIZE, SIZE)
    iou = (seen[:, :2] * seen[:, 2:]).sum((2, 3)) / torch.maximum(seen[:, :2], seen[:, 2:]).sum((2, 3))
    assert iou.min() > 0.93
    assert ((pose[:, :2] - pose[:, 2:]).abs().amax((2, 3)) > 0.1).all()


def test_small_fitters_change_settings_alone(fitter: SilhouetteFitter) -> None:
    small = small_fitter(fitter, 96, 48, rate=2.0)
    assert small.settings.pose_rate == 2 * fitter.settings.pose_rate
    assert small.settings.prior_end == fitter.settings.prior_end
    assert small.body is fitter.body and small.prior is fitter.prior
