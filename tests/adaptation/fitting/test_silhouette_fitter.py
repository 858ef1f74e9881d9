from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from leaves import tensors_of

from adaptation.bodies.body import Body
from adaptation.bodies.camera import WeakPerspective, fit_camera_to_bbox, mask_bounds
from adaptation.bodies.poses import facing, perturb, walking
from adaptation.bodies.renderer import exact_silhouette, make_renderer
from adaptation.fitting.settings import FitSettings
from adaptation.fitting.silhouette_fitter import Evaluation, SilhouetteFitter, point_set_data
from adaptation.fitting.variables import BodyVariables
from adaptation.losses.settings import LOSS_NAMES, LossName, LossSettings
from adaptation.losses.silhouettes import silhouette_loss
from adaptation.priors.gaussian import GaussianPosePrior

SIZE = 64


@pytest.fixture(scope="module")
def fitter(free_body: Body, prior: GaussianPosePrior) -> SilhouetteFitter:
    return SilhouetteFitter(free_body, prior, make_renderer(), FitSettings(steps=30))


@pytest.fixture(scope="module")
def truth(free_body: Body) -> BodyVariables:
    """Two people who walk to different sides."""
    pose = walking(torch.tensor([0.1, 0.6]))
    pose[:, 0] = facing(torch.tensor([1.0, -0.5]), pitch=0.17)
    betas = torch.zeros(2, 10)
    with torch.no_grad():
        vertices = free_body(pose, betas).vertices
    bounds = torch.tensor([[0.2, 0.12, 0.8, 0.88]]).repeat(2, 1) * SIZE
    return BodyVariables(pose, betas, fit_camera_to_bbox(vertices, bounds, SIZE))


@pytest.fixture(scope="module")
def masks(fitter: SilhouetteFitter, truth: BodyVariables) -> torch.Tensor:
    return fitter.posed(truth, SIZE).silhouette


@pytest.fixture(scope="module")
def start(fitter: SilhouetteFitter, truth: BodyVariables, masks: torch.Tensor) -> BodyVariables:
    """The truth with every large joint 20 to 40 degrees off."""
    pose = perturb(truth.pose, (20, 40), torch.Generator().manual_seed(0))
    betas = torch.zeros(len(pose), 10)
    with torch.no_grad():
        vertices = fitter.body(pose, betas).vertices
    return BodyVariables(pose, betas, fit_camera_to_bbox(vertices, mask_bounds(masks), SIZE))


def with_loss(fitter: SilhouetteFitter, name: LossName) -> SilhouetteFitter:
    settings = replace(fitter.settings, loss=LossSettings(name))
    return SilhouetteFitter(fitter.body, fitter.prior, fitter.scene.renderer, settings)


def assert_close(a: BodyVariables, b: BodyVariables, atol: float) -> None:
    expected = tensors_of(b)
    for name, value in tensors_of(a).items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=atol, msg=name)


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_gradients_reach_every_parameter_and_are_finite(
    fitter: SilhouetteFitter, masks: torch.Tensor, start: BodyVariables, name: LossName
) -> None:
    target = fitter.target(masks)
    leaves = [value.clone().requires_grad_() for value in tensors_of(start).values()]
    silhouette = fitter.posed(BodyVariables(*leaves[:2], WeakPerspective(leaves[2])), SIZE).silhouette
    assert set(silhouette.unique().tolist()) == {0.0, 1.0}
    loss = silhouette_loss(silhouette, target, LossSettings(name))
    assert loss.shape == (2,) and torch.isfinite(loss).all()
    (loss + fitter.prior.energy(leaves[0])).sum().backward()
    for leaf in leaves:
        assert leaf.grad is not None and torch.isfinite(leaf.grad).all()
        assert leaf.grad.flatten(1).any(1).all()


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_fit_lowers_the_loss_and_raises_the_overlap(
    fitter: SilhouetteFitter, masks: torch.Tensor, start: BodyVariables, name: LossName
) -> None:
    fitter = with_loss(fitter, name)
    target = fitter.target(masks)
    ticks: list[int] = []
    fitted = fitter.fit(target, start, progress=ticks.append)
    assert ticks == [1] * 30
    before, after = fitter.evaluate(start, target), fitter.evaluate(fitted, target)
    assert (after.loss < 0.7 * before.loss).all()
    assert (after.topology < before.topology).all()
    assert (after.iou > before.iou + 0.15).all()
    assert not fitted.pose.requires_grad and (fitted.camera.scale > 0).all()


def test_evaluation_of_the_truth_is_perfect(
    fitter: SilhouetteFitter, masks: torch.Tensor, truth: BodyVariables
) -> None:
    for name in LOSS_NAMES:
        found = with_loss(fitter, name).evaluate(truth, fitter.target(masks))
        assert not found.loss.any() and not found.topology.any()
        assert (found.iou == 1).all()
        torch.testing.assert_close(found.prior, fitter.prior.energy(truth.pose))


def test_fits_do_not_depend_on_each_other(fitter: SilhouetteFitter, masks: torch.Tensor, start: BodyVariables) -> None:
    target = fitter.target(masks)
    together = fitter.fit(target, start, steps=15)
    alone = [
        fitter.fit(target.select(index), start.select(index), steps=15)
        for index in (torch.tensor([0]), torch.tensor([1]))
    ]
    assert_close(BodyVariables.cat(alone), together, atol=2e-4)


def test_fits_are_repeatable_and_leave_the_start_alone(
    fitter: SilhouetteFitter, masks: torch.Tensor, start: BodyVariables
) -> None:
    kept = start.repeat_interleave(1)
    assert kept.pose.data_ptr() != start.pose.data_ptr()
    target = fitter.target(masks)
    first = fitter.fit(target, start, steps=10)
    assert_close(fitter.fit(target, start, steps=10), first, atol=0)
    assert_close(start, kept, atol=0)
    assert not torch.equal(first.pose, start.pose)


def test_no_steps_give_the_start(fitter: SilhouetteFitter, masks: torch.Tensor, start: BodyVariables) -> None:
    assert_close(fitter.fit(fitter.target(masks), start, steps=0), start, atol=1e-6)


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_hard_masks_stay_finite(fitter: SilhouetteFitter, start: BodyVariables, name: LossName) -> None:
    fitter = with_loss(fitter, name)
    masks = torch.zeros(4, 1, SIZE, SIZE)
    masks[0, 0, 30, 31] = 1  # one pixel
    masks[1] = 1  # everything
    masks[2, 0, 0] = 1  # one row, at the border
    masks[3, 0, ::2, ::2] = 1  # crumbs
    target = fitter.target(masks)
    starts = start.select(torch.tensor([0, 1, 0, 1]))
    starts.camera.parameters[2, 1:] += 20  # out of the picture
    fitted = fitter.fit(target, starts, steps=10)
    for name, value in tensors_of(fitted).items():
        assert torch.isfinite(value).all(), name
    for name, value in tensors_of(fitter.evaluate(fitted, target)).items():
        assert torch.isfinite(value).all(), name


def test_a_loss_that_is_not_finite_is_an_error(
    fitter: SilhouetteFitter, masks: torch.Tensor, start: BodyVariables
) -> None:
    broken = GaussianPosePrior(torch.full((69,), torch.nan), torch.eye(69))
    with pytest.raises(FloatingPointError, match="at step 0"):
        SilhouetteFitter(fitter.body, broken, fitter.scene.renderer).fit(fitter.target(masks), start, steps=2)


def test_selection_and_joining() -> None:
    parameters = BodyVariables(torch.randn(3, 24, 3), torch.randn(3, 10), WeakPerspective(torch.randn(3, 3)))
    assert len(parameters) == 3
    assert len(parameters.select(torch.tensor([True, False, True]))) == 2
    assert_close(
        BodyVariables.cat([parameters.select(slice(0, 1)), parameters.select(slice(1, 3))]),
        parameters,
        atol=0,
    )
    found = Evaluation(*torch.randn(4, 3))
    joined = Evaluation.cat([found.select(torch.tensor([2])), found.select(slice(0, 2))])
    for name, value in tensors_of(found).items():
        assert torch.equal(tensors_of(joined)[name], value[[2, 0, 1]])


def test_fits_to_point_sets_move_a_body_onto_its_mask(body: Body) -> None:
    prior = GaussianPosePrior.default()
    pose = prior.mean_pose()[None].clone()
    pose[:, 0, 0] = torch.pi  # upright: y points down in images
    camera = WeakPerspective(torch.tensor([[0.9, 0.0, 0.2]]))
    truth = BodyVariables(pose, torch.zeros(1, 10), camera)
    mask = exact_silhouette(body(truth.pose, truth.betas).vertices, body.faces, camera, 64)
    fitter = SilhouetteFitter(body, prior, make_renderer(), FitSettings(steps=60), point_set_data)
    goal = fitter.target(mask)
    off = WeakPerspective(camera.parameters + torch.tensor([[0.0, 0.15, -0.1]]))
    start = BodyVariables(pose, torch.zeros(1, 10), off)
    before, after = (fitter.evaluate(each, goal) for each in (start, fitter.fit(goal, start)))
    assert after.loss < 0.5 * before.loss and after.iou > before.iou + 0.2
    assert SilhouetteFitter(body, prior, make_renderer()).evaluate(start, goal).loss != before.loss
