from __future__ import annotations

import math
from dataclasses import replace

import pytest
import roma
import torch
from leaves import tensors_of

from adaptation.bodies.body import Body
from adaptation.bodies.camera import WeakPerspective, mask_bounds
from adaptation.bodies.poses import facing, walking
from adaptation.bodies.renderer import make_renderer
from adaptation.fitting.settings import FitSettings, StartSettings
from adaptation.fitting.silhouette_fitter import SilhouetteFitter
from adaptation.fitting.starts import BestFit, aligned, fit_from_starts, starting_poses
from adaptation.fitting.variables import BodyVariables
from adaptation.priors.gaussian import GaussianPosePrior

SIZE = 64
FEW = StartSettings(yaws=(-70, -25, 25, 70), phases=(0.0, 0.25, 0.5), kept=3)


@pytest.fixture(scope="module")
def fitter(free_body: Body, prior: GaussianPosePrior) -> SilhouetteFitter:
    return SilhouetteFitter(free_body, prior, make_renderer(), FitSettings(steps=60))


@pytest.fixture(scope="module")
def masks(fitter: SilhouetteFitter) -> torch.Tensor:
    """People who walk in poses and directions that are not among the starts."""
    pose = walking(torch.tensor([0.1, 0.4, 0.9]), stride=26.0)
    pose[:, 0] = facing(torch.tensor([1.2, -0.3, 2.6]), pitch=0.25)
    betas = torch.zeros(3, 10)
    betas[:, 0] = torch.tensor([1.0, -1.0, 0.5])
    camera = WeakPerspective(torch.tensor([[0.8, 0.0, 0.3]]).repeat(3, 1))
    return fitter.posed(BodyVariables(pose, betas, camera), SIZE).silhouette


@pytest.fixture(scope="module")
def best(fitter: SilhouetteFitter, masks: torch.Tensor) -> BestFit:
    return fit_from_starts(fitter, masks, FEW)


def test_starting_poses_stand_upright_and_face_every_direction() -> None:
    settings = StartSettings(yaws=(-90, 0, 90), phases=(0.0, 0.5), pitch=20)
    poses = starting_poses(settings, torch.zeros(1, dtype=torch.float64))
    assert poses.shape == (9, 24, 3) and poses.dtype == torch.float64
    assert len(poses.flatten(1).unique(dim=0)) == 9
    rotations = roma.rotvec_to_rotmat(poses[:, 0])
    up, front = rotations[:, :, 1], rotations[:, :, 2]
    # y is down in the image, and a camera that looks down tilts heads towards it.
    torch.testing.assert_close(up[:, 1], torch.full((9,), -math.cos(math.radians(20))).double())
    assert (up[:, 2] < 0).all()
    torch.testing.assert_close(front[:, 0], torch.tensor([-1.0, 0, 1]).double().repeat_interleave(3), atol=1e-6, rtol=0)
    assert len(starting_poses(StartSettings(), torch.zeros(1))) == len(StartSettings().yaws) * (
        1 + len(StartSettings().phases)
    )


def test_aligned_bodies_fill_the_boxes_of_the_masks(fitter: SilhouetteFitter, masks: torch.Tensor) -> None:
    poses = starting_poses(FEW, masks)[1:4]
    bodies = aligned(fitter, poses, masks)
    drawn = mask_bounds(fitter.posed(bodies, SIZE).silhouette)
    wanted = mask_bounds(masks)
    middle = (drawn[:, :2] + drawn[:, 2:] - wanted[:, :2] - wanted[:, 2:]) / 2
    assert middle.abs().max() <= 1.5
    height = (drawn[:, 3] - drawn[:, 1]) / (wanted[:, 3] - wanted[:, 1])
    assert ((height > 0.85) & (height < 1.15)).all()
    assert not bodies.betas.any()


def test_people_who_walk_are_found(best: BestFit, masks: torch.Tensor) -> None:
    assert len(best.fitted) == len(best.start) == len(masks)
    assert best.after.iou.min() > 0.75
    assert (best.after.iou > best.before.iou).all()
    assert (best.after.loss < best.before.loss).all()
    for part in (best.fitted, best.after, best.before):
        for name, value in tensors_of(part).items():
            assert torch.isfinite(value).all(), name


def test_evaluations_are_those_of_the_bodies(fitter: SilhouetteFitter, masks: torch.Tensor, best: BestFit) -> None:
    target = fitter.target(masks)
    for bodies, found in ((best.start, best.before), (best.fitted, best.after)):
        again = fitter.evaluate(bodies, target)
        torch.testing.assert_close(again.loss, found.loss, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(again.iou, found.iou, rtol=0, atol=0.01)


def test_batches_do_not_change_the_result(fitter: SilhouetteFitter, masks: torch.Tensor) -> None:
    quick = SilhouetteFitter(fitter.body, fitter.prior, fitter.scene.renderer, replace(fitter.settings, steps=8))
    done: list[int] = []
    one = fit_from_starts(quick, masks, replace(FEW, batch=64))
    many = fit_from_starts(quick, masks, replace(FEW, batch=6), progress=done.append)
    assert done == [2, 1]
    torch.testing.assert_close(many.fitted.pose, one.fitted.pose, rtol=0, atol=2e-4)
    torch.testing.assert_close(many.fitted.camera.parameters, one.fitted.camera.parameters, rtol=0, atol=2e-4)
    torch.testing.assert_close(many.start.pose, one.start.pose)
    tiny = fit_from_starts(quick, masks[:1], replace(FEW, batch=1))  # less than one mask needs
    torch.testing.assert_close(tiny.fitted.pose, one.fitted.pose[:1], rtol=0, atol=2e-4)


def test_more_starts_are_never_worse(fitter: SilhouetteFitter, masks: torch.Tensor) -> None:
    quick = SilhouetteFitter(fitter.body, fitter.prior, fitter.scene.renderer, replace(fitter.settings, steps=8))
    settings = replace(FEW, kept=1, prior_weight=0.0)
    one = fit_from_starts(quick, masks, settings)
    three = fit_from_starts(quick, masks, replace(settings, kept=3))
    assert (three.after.loss <= one.after.loss + 1e-3).all()


def test_selection(best: BestFit) -> None:
    part = best.select(torch.tensor([2, 0]))
    assert torch.equal(part.fitted.pose, best.fitted.pose[[2, 0]])
    assert torch.equal(part.before.iou, best.before.iou[[2, 0]])
    assert len(best.select(slice(0, 1)).start) == 1
