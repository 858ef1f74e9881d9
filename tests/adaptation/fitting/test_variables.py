from __future__ import annotations

import pytest
import torch
from leaves import tensors_of

from adaptation.bodies.body import Body
from adaptation.bodies.camera import Camera, Perspective, WeakPerspective
from adaptation.bodies.poses import facing, walking
from adaptation.bodies.renderer import make_renderer
from adaptation.evaluation.metrics import silhouette_iou
from adaptation.fitting.posed import Scene
from adaptation.fitting.settings import FitSettings
from adaptation.fitting.silhouette_fitter import SilhouetteFitter
from adaptation.fitting.variables import BodyLeaves, BodyVariables
from adaptation.priors.gaussian import GaussianPosePrior

SIZE = 64


def camera_of(kind: str) -> Camera:
    if kind == "weak":
        return WeakPerspective(torch.tensor([[0.85, 0.02, 0.25]]))
    # A crop off the frame's centre, and a body four metres away.
    return Perspective(torch.tensor([[3.4, 3.4]]), torch.tensor([[0.3, -0.1]]), torch.tensor([[-0.35, 0.4, 4.0]]))


def walker(kind: str) -> BodyVariables:
    pose = walking(torch.tensor([0.1]))
    pose[:, 0] = facing(torch.tensor([1.0]), pitch=0.17)
    return BodyVariables(pose, torch.zeros(1, 10), camera_of(kind))


@pytest.fixture(scope="module")
def scene(free_body: Body) -> Scene:
    return Scene(free_body, make_renderer())


@pytest.mark.parametrize("kind", ["weak", "perspective"])
def test_leaves_stand_for_the_start(kind: str, scene: Scene) -> None:
    start = walker(kind)
    leaves = BodyLeaves(start, scene, SIZE)
    assert set(leaves.leaves) == {"pose", "betas", "scale", "offset"}
    assert all(leaf.is_leaf and leaf.requires_grad for leaf in leaves.leaves.values())
    for name, value in tensors_of(leaves.value()).items():
        torch.testing.assert_close(value, tensors_of(start)[name], msg=name)
    with torch.no_grad():
        leaves.leaves["pose"].add_(1)
    assert torch.equal(start.pose, walker(kind).pose)  # which stays as it was


@pytest.mark.parametrize("kind", ["weak", "perspective"])
def test_a_body_that_grows_keeps_its_place(kind: str, scene: Scene) -> None:
    start = walker(kind)
    leaves = BodyLeaves(start, scene, SIZE)
    with torch.no_grad():
        leaves.leaves["scale"].add_(0.2)
    camera = leaves.value().camera
    torch.testing.assert_close(camera.scale, start.camera.scale * torch.tensor(0.2).exp())
    torch.testing.assert_close(camera.offset, start.camera.offset)


def test_posed_bodies_are_those_of_the_leaves(scene: Scene) -> None:
    leaves = BodyLeaves(walker("weak"), scene, SIZE)
    posed = leaves.posed()
    assert posed.size == SIZE and posed.pose is leaves.leaves["pose"]
    posed.silhouette.sum().backward()
    assert all(leaf.grad is not None and torch.isfinite(leaf.grad).all() for leaf in leaves.leaves.values())


def test_variables_of_bodies_and_back(scene: Scene) -> None:
    start = walker("perspective")
    again = BodyVariables.of(start.bodies())
    # Axis-angle vectors of whole turns more are the same rotations.
    torch.testing.assert_close(again.bodies().rotations, start.bodies().rotations, atol=1e-5, rtol=0)
    torch.testing.assert_close(again.pose[:, 1:], start.pose[:, 1:], atol=1e-5, rtol=0)
    assert again.camera.translation.equal(start.camera.translation) and not again.pose.requires_grad


@pytest.mark.parametrize("kind", ["weak", "perspective"])
def test_a_fit_finds_the_scale_and_the_place_of_a_body(kind: str, free_body: Body, prior: GaussianPosePrior) -> None:
    truth = walker(kind)
    # The pose is known; what is off is how large and where the body is seen.
    settings = FitSettings(
        steps=100, pose_rate=0.0, shape_rate=0.0, prior_start=0.0, prior_end=0.0, scale_rate=0.02, shift_rate=0.01
    )
    fitter = SilhouetteFitter(free_body, prior, make_renderer(), settings)
    with torch.no_grad():
        mask = fitter.posed(truth, SIZE).silhouette
    off = truth.camera.moved(1.25 * truth.camera.scale, truth.camera.offset + torch.tensor([[0.12, -0.1]]))
    start = BodyVariables(truth.pose, truth.betas, off)
    fitted = fitter.fit(fitter.target(mask), start)
    assert type(fitted.camera) is type(truth.camera)
    ious = [silhouette_iou(fitter.posed(each, SIZE).silhouette, mask).item() for each in (start, fitted)]
    assert ious[0] < 0.7 and ious[1] > 0.9
    assert abs(fitted.camera.scale / truth.camera.scale - 1) < 0.04
    assert (fitted.camera.offset - truth.camera.offset).abs().max() < 2 / SIZE  # a pixel
    if isinstance(fitted.camera, Perspective):
        torch.testing.assert_close(fitted.camera.focal, truth.camera.focal)  # known, and not fitted
        assert (fitted.camera.translation - truth.camera.translation).abs().max() < 0.15
