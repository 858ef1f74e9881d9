from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tracked_bodies import SIZE, Walk, walk

from adaptation.bodies.body import Body
from adaptation.bodies.camera import project
from adaptation.bodies.reflection import reflect_in_depth
from adaptation.bodies.renderer import make_renderer
from adaptation.evaluation.metrics import mpjpe, pa_mpjpe
from adaptation.fitting.settings import FitSettings, SearchSettings, TrackFitSettings
from adaptation.fitting.silhouette_fitter import SilhouetteFitter
from adaptation.fitting.starts import BestFit
from adaptation.fitting.tracks.sequence import Sequence
from adaptation.fitting.tracks.track_fits import TrackFitter, against_travel
from adaptation.fitting.tracks.variables import TrackLeaves
from adaptation.fitting.variables import BodyVariables
from adaptation.priors.gaussian import GaussianPosePrior

SEARCH = SearchSettings(entries=1000, nearest=100, kept=3, size=48, steps=15, refined=3, refining_steps=20)
SETTINGS = TrackFitSettings(search=SEARCH, paths=2, path_steps=10, finalists=1, steps=20)
ROLLS = torch.zeros(5, 1)


@pytest.fixture(scope="module")
def fitter(free_body: Body, prior: GaussianPosePrior) -> SilhouetteFitter:
    return SilhouetteFitter(free_body, prior, make_renderer(), FitSettings(prior_start=0.1))


@pytest.fixture(scope="module")
def walking_man(free_body: Body) -> Walk:
    return walk(free_body, 5)


@pytest.fixture(scope="module")
def found(fitter: SilhouetteFitter, walking_man: Walk) -> BestFit:
    return TrackFitter(fitter, SETTINGS).fit(walking_man.masks, walking_man.sequence, ROLLS)


def test_a_walk_is_found(free_body: Body, found: BestFit, walking_man: Walk) -> None:
    truth = free_body.joints(walking_man.bodies.pose, walking_man.bodies.betas)
    joints = free_body.joints(found.fitted.pose, found.fitted.betas)
    # A mean pose that faces the right way has about 150 mm and 90 mm.
    assert mpjpe(joints, truth).mean() < 100 and pa_mpjpe(joints, truth).mean() < 60
    assert found.after.iou.min() > 0.8
    assert found.after.loss.mean() < found.before.loss.mean()


def test_joints_that_were_seen_decide_what_silhouettes_leave_open(
    free_body: Body, fitter: SilhouetteFitter, walking_man: Walk
) -> None:
    # The walker and the walker's reflection in depth have one silhouette; their sides are exchanged.
    truth = walking_man.bodies
    versions = [truth, replace(truth, pose=reflect_in_depth(truth.pose))]
    joints = [free_body.joints(bodies.pose, bodies.betas) for bodies in versions]
    for bodies, own, other in zip(versions, joints, joints[::-1], strict=True):
        seen = torch.cat([project(own, truth.camera, 2) - 1, torch.ones(5, 24, 1)], dim=2)
        sequence = replace(walking_man.sequence, joints=seen, bodies=bodies)
        fitted = TrackFitter(fitter, SETTINGS).fit(walking_man.masks, sequence, ROLLS).fitted
        found = free_body.joints(fitted.pose, fitted.betas)
        assert pa_mpjpe(found, own).mean() < 60 and mpjpe(found, own).mean() < 0.75 * mpjpe(found, other).mean()


def test_a_person_has_one_shape(found: BestFit) -> None:
    assert torch.equal(found.fitted.betas, found.fitted.betas[:1].expand(5, -1))
    assert found.fitted.betas.abs().max() > 0


def test_people_are_fitted_by_themselves(fitter: SilhouetteFitter, walking_man: Walk) -> None:
    index = torch.tensor([0, 1, 0])
    known = walking_man.sequence.select(index)
    known.person[2] = 7
    done: list[int] = []
    both = TrackFitter(fitter, SETTINGS).fit(walking_man.masks[index], known, ROLLS[:3], done.append)
    assert done == [2, 1] and len(both.fitted.pose) == 3
    alone = TrackFitter(fitter, SETTINGS).fit(walking_man.masks[:1], known.select(slice(0, 1)), ROLLS[:1])
    torch.testing.assert_close(both.fitted.pose[2:], alone.fitted.pose, atol=1e-4, rtol=1e-3)


def test_bodies_that_are_near_in_time_weigh_the_prior_less(fitter: SilhouetteFitter, walking_man: Walk) -> None:
    # Without terms over time, time changes the weight of the prior alone.
    alone = replace(SETTINGS, motion=0.0, choice_motion=0.0, movement=0.0, prior_start=0.3, prior_end=0.3)
    energies = []
    for apart in (0.02, 2.0):
        sequence = replace(walking_man.sequence, time=apart * torch.arange(5.0))
        energies.append(TrackFitter(fitter, alone).fit(walking_man.masks, sequence, ROLLS).after.prior.mean())
    assert energies[0] > 1.2 * energies[1]


def test_one_leaf_of_shape_serves_a_person(fitter: SilhouetteFitter, walking_man: Walk) -> None:
    start = walking_man.bodies
    betas = torch.arange(5.0)[:, None].repeat(1, 10)
    sequence = walking_man.sequence
    sequence = Sequence(torch.tensor([0, 0, 0, 2, 2]), *[getattr(sequence, name) for name in _OTHERS])
    leaves = TrackLeaves(BodyVariables(start.pose, betas, start.camera), sequence, fitter.scene, SIZE)
    assert leaves.leaves["betas"].shape == (2, 10)
    assert leaves.value().betas[:, 0].tolist() == [1, 1, 1, 3.5, 3.5]
    leaves.value().betas.sum().backward()
    assert leaves.leaves["betas"].grad[:, 0].tolist() == [3, 2]


_OTHERS = ("time", "box", "up", "spread", "travel")


def test_facing_against_the_direction_of_travel() -> None:
    orientation = torch.tensor([[0.0, 0.0, 0.0], [0.0, torch.pi, 0.0], [0.0, torch.pi / 2, 0.0], [0.0, 0.0, 0.0]])
    travel = torch.tensor([[0.0, 1.0], [0.0, 1.0], [0.0, 0.5], [0.0, 0.0]])
    torch.testing.assert_close(
        against_travel(orientation, travel), torch.tensor([0.0, 1.0, 0.25, 0.0]), atol=1e-6, rtol=0.0
    )
