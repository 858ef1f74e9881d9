"""SMPLify as a whole, on bodies whose poses are known."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from adaptation.bodies.body import Body
from adaptation.bodies.camera import Camera, Perspective, WeakPerspective
from adaptation.bodies.joint_sets import OPENPOSE_JOINTS, SMPL
from adaptation.bodies.poses import facing, standing, walking
from adaptation.bodies.renderer import exact_silhouette, make_renderer
from adaptation.bodies.rotations import angle_between, rotvec_to_matrix
from adaptation.evaluation.metrics import pa_mpjpe, silhouette_iou
from adaptation.fitting.posed import Scene
from adaptation.fitting.smplify.fits import Evidence, Smplify
from adaptation.fitting.smplify.settings import PRESETS, SmplifySettings, StageWeights, with_steps
from adaptation.fitting.smplify.terms import TORSO, KeypointTerm, TorsoTerm
from adaptation.fitting.variables import BodyVariables
from adaptation.priors.mixture import MixturePosePrior

SIZE = 112


@pytest.fixture(scope="module")
def scene(free_body: Body) -> Scene:
    return Scene(free_body, make_renderer("topokernels", sigma=0.1))


def weak(count: int) -> WeakPerspective:
    return WeakPerspective(torch.tensor([[0.85, 0.02, 0.25]]).repeat(count, 1))


def walkers(*yaws: float) -> Tensor:
    pose = walking(0.25 + 0.3 * torch.arange(len(yaws)))
    pose[:, 0] = facing(torch.tensor(yaws), pitch=0.2)
    return pose


def keypoints_of(body: Body, pose: Tensor, camera: Camera) -> Tensor:
    joints = body.joints(pose, body.mean_shape(len(pose)))
    places = camera.project(joints, SIZE)
    confidence = torch.zeros(*places.shape[:2], 1)
    confidence[:, list(OPENPOSE_JOINTS)] = 1
    return torch.cat([places, confidence], 2) * confidence


def around(pose: Tensor, degrees: float) -> MixturePosePrior:
    """A prior that knows some poses well."""
    mean = pose[:, 1:].flatten(1)
    wide = math.radians(degrees) ** 2 * torch.eye(69)
    return MixturePosePrior(mean, wide.repeat(len(mean), 1, 1), torch.full((len(mean),), 1 / len(mean)))


def test_terms_by_hand(scene: Scene, free_body: Body) -> None:
    pose, camera = walkers(0.3), weak(1)
    keypoints = keypoints_of(free_body, pose, camera)
    posed = scene.posed(BodyVariables(pose, free_body.mean_shape(1), camera).bodies(), SIZE, pose)
    assert KeypointTerm(keypoints, 100.0)(posed, 3.0).item() == pytest.approx(0, abs=1e-4)
    moved = keypoints.clone()
    moved[:, TORSO[0], 0] += 3  # 6 pixels of a crop of 224
    moved[:, SMPL.joints.index("left_wrist"), 1] -= 1000
    moved[:, SMPL.joints.index("left_wrist"), 2] = 0.5
    error = 36 * 1e4 / (1e4 + 36) + 0.5 * 4e6 * 1e4 / (1e4 + 4e6)
    assert KeypointTerm(moved, 100.0)(posed, 3.0).item() == pytest.approx(3 * error, rel=1e-4)
    assert TorsoTerm(moved)(posed, 2.0).item() == pytest.approx(2 * 36, rel=1e-4)


def test_a_pose_is_recovered_from_exact_keypoints(scene: Scene, free_body: Body) -> None:
    usual = walkers(0.4)
    pose = usual.repeat(3, 1, 1)
    pose[:, 0] = facing(torch.tensor([0.4, -0.5, 2.8]), pitch=0.2)
    # Unlike the usual pose, by 10 degrees in each component.
    pose[:, 1:] += math.radians(10) * torch.randn(3, 23, 3, generator=torch.Generator().manual_seed(0))
    fits = Smplify(scene, around(usual, 10), with_steps(SmplifySettings(), 120))
    fit = fits.fit(Evidence(keypoints_of(free_body, pose, weak(3))), SIZE)
    true = free_body.joints(pose, free_body.mean_shape(3))
    start = pa_mpjpe(free_body.joints(fit.start.pose, fit.start.betas), true)
    fitted = pa_mpjpe(free_body.joints(fit.fitted.pose, fit.fitted.betas), true)
    # Depth, which keypoints do not show, remains.
    assert start.mean() > 60 and fitted.mean() < 0.6 * start.mean()
    # Less than three pixels in a crop of 224 for each of 13 keypoints.
    assert fit.error.max() < 13 * 9


def test_a_profile_is_fitted_from_both_sides(scene: Scene, free_body: Body) -> None:
    pose = walkers(1.5, -1.5)
    keypoints = keypoints_of(free_body, pose, weak(2))
    truth = rotvec_to_matrix(pose[:, 0])

    def turn(both_below: float) -> tuple[Tensor, Tensor]:
        settings = replace(with_steps(SmplifySettings(), 60), both_below=both_below)
        fit = Smplify(scene, around(pose, 20), settings).fit(Evidence(keypoints), SIZE)
        return angle_between(rotvec_to_matrix(fit.fitted.pose[:, 0]), truth), fit.turned

    right, turned = turn(25.0)
    assert right.max() < math.radians(40)
    # One of the two starts faces the wrong way, and was turned.
    wrong, never = turn(0.0)
    assert wrong.max() > math.radians(90) and turned.any() and not never.any()


def test_people_of_a_batch_do_not_know_each_other(scene: Scene, free_body: Body) -> None:
    pose = walkers(0.4, 1.5, 2.8)
    keypoints = keypoints_of(free_body, pose, weak(3))
    fits = Smplify(scene, MixturePosePrior.default(), PRESETS["tiny"])
    together = fits.fit(Evidence(keypoints), SIZE)
    for number in range(3):
        alone = fits.fit(Evidence(keypoints[number : number + 1]), SIZE)
        torch.testing.assert_close(alone.fitted.pose[0], together.fitted.pose[number], atol=2e-3, rtol=0)
        assert alone.turned[0] == together.turned[number]


def test_a_focal_length_gives_the_distance(scene: Scene, free_body: Body) -> None:
    pose = walkers(0.3)
    focal = torch.tensor([6.0])
    camera = Perspective(focal[:, None].repeat(1, 2), torch.zeros(1, 2), torch.tensor([[0.1, 0.3, 7.0]]))
    fits = Smplify(scene, around(pose, 10), PRESETS["small"])
    fit = fits.fit(Evidence(keypoints_of(free_body, pose, camera), focal=focal), SIZE)
    assert isinstance(fit.fitted.camera, Perspective)
    torch.testing.assert_close(fit.fitted.camera.translation, camera.translation, rtol=0.05, atol=0.05)


def test_silhouettes_beside_keypoints(scene: Scene, free_body: Body) -> None:
    pose = walkers(0.4)
    betas = free_body.mean_shape(1)
    betas[:, :3] = torch.tensor([-2.0, 2.0, 2.0])  # keypoints hardly show how stout somebody is
    masks = exact_silhouette(free_body(pose, betas).vertices, free_body.faces, weak(1), SIZE)
    keypoints = torch.cat([weak(1).project(free_body.joints(pose, betas), SIZE), torch.ones(1, 24, 1)], 2)
    fits = Smplify(scene, around(pose, 10), PRESETS["small"])
    ious = []
    for each in (Evidence(keypoints), Evidence(keypoints, masks)):
        fitted = fits.fit(each, SIZE).fitted
        with torch.no_grad():
            ious.append(silhouette_iou(fits.posed(fitted, SIZE).silhouette, masks).item())
    # Of what keypoints alone miss, silhouettes find a tenth or more.
    assert 1 - ious[1] < 0.9 * (1 - ious[0])


def test_terms_can_be_left_out(scene: Scene, free_body: Body) -> None:
    start = BodyVariables(standing()[None], free_body.mean_shape(1), weak(1))
    evidence = Evidence(keypoints_of(free_body, standing()[None], weak(1)))
    whole = Smplify(scene, MixturePosePrior.default()).fitter(start, evidence, SIZE)
    assert [set(stage.weights) for stage in whole.stages[::3]] == [
        {"keypoints", "prior", "bending", "shape"},
        {"keypoints", "prior", "bending", "shape", "interpenetration"},
    ]
    settings = SmplifySettings(without=("prior", "interpenetration"))
    part = Smplify(scene, MixturePosePrior.default(), settings).fitter(start, evidence, SIZE)
    assert set(part.stages[-1].weights) == {"keypoints", "bending", "shape"}


def test_weights_fall_as_in_the_public_code() -> None:
    stages = PRESETS["paper"].stages
    assert [round(stage.pose**0.5, 2) for stage in stages] == [404, 404, 57.4, 4.78]
    assert [stage.shape**0.5 for stage in stages] == [100, 50, 10, 5]
    assert isinstance(stages[0], StageWeights) and PRESETS["tiny"].stages[0].steps < stages[0].steps
