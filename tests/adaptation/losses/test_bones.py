from dataclasses import replace

import pytest
import torch

from adaptation.bodies.body import PARENTS, Body
from adaptation.bodies.camera import WeakPerspective
from adaptation.bodies.poses import facing
from adaptation.bodies.renderer import make_renderer
from adaptation.fitting.settings import FitSettings
from adaptation.fitting.silhouette_fitter import SilhouetteFitter
from adaptation.fitting.variables import BodyVariables
from adaptation.losses.bones import bone_distance
from adaptation.losses.pixel_points import pixel_points
from adaptation.losses.settings import LossSettings
from adaptation.losses.silhouettes import SilhouetteTarget, silhouette_loss, silhouette_terms
from adaptation.priors.gaussian import GaussianPosePrior


def random_joints(count: int, generator: torch.Generator) -> torch.Tensor:
    return 40 * torch.rand(count, 24, 2, generator=generator, dtype=torch.float64)


def test_equal_to_the_nearest_of_many_points_on_the_bones() -> None:
    generator = torch.Generator().manual_seed(0)
    joints = random_joints(3, generator)
    points = 40 * torch.rand(3, 50, 2, generator=generator, dtype=torch.float64)
    share = torch.linspace(0, 1, 4001, dtype=torch.float64)[:, None]
    for one, pixels, value in zip(joints, points, bone_distance(joints, PARENTS, points, farthest=99), strict=True):
        bones = torch.cat([torch.lerp(one[PARENTS[k]], one[k], share) for k in range(1, 24)])
        assert value.item() == pytest.approx(torch.cdist(pixels, bones).amin(1).mean().item(), abs=1e-3)


def test_gradient() -> None:
    generator = torch.Generator().manual_seed(1)
    joints = random_joints(2, generator).requires_grad_()
    points = 60 * torch.rand(2, 30, 2, generator=generator, dtype=torch.float64) - 10
    assert torch.autograd.gradcheck(lambda j: bone_distance(j, PARENTS, points, farthest=12), (joints,))


def test_far_pixels_pull_no_more() -> None:
    joints = torch.zeros(1, 24, 2, requires_grad=True)
    points = torch.tensor([[[30.0, 40.0], [3.0, 4.0]]])
    distance = bone_distance(joints, PARENTS, points, farthest=12)
    assert distance.item() == pytest.approx((12 + 5) / 2)
    distance.sum().backward()
    torch.testing.assert_close(joints.grad.sum(1), torch.tensor([[-0.3, -0.4]]))  # half of the unit vector to the near


def test_on_a_bone_and_without_a_skeleton_all_is_finite_and_zero() -> None:
    joints = torch.zeros(2, 24, 2, requires_grad=True)
    points = torch.zeros(2, 5, 2)
    points[1] = torch.nan
    distance = bone_distance(joints, PARENTS, points, farthest=12)
    distance.sum().backward()
    assert distance.abs().max() < 0.01 and distance[1] == 0
    assert torch.equal(joints.grad, torch.zeros_like(joints))


def test_an_empty_skeleton_has_no_points() -> None:
    image = torch.zeros(2, 1, 5, 7)
    image[0, 0, 1, 2] = 1
    points = pixel_points(image, 4)
    assert (points[0] == torch.tensor([2.5, 1.5])).all() and points[1].isnan().all()


def test_the_term_is_a_mean_distance_beside_the_topology(free_body: Body) -> None:
    fitter = SilhouetteFitter(free_body, GaussianPosePrior.default(), make_renderer())
    pose = torch.zeros(2, 24, 3)
    pose[:, 0] = facing(torch.tensor([0.0, 1.0]))
    camera = WeakPerspective(torch.tensor([[0.9, 0.0, 0.2], [0.9, 0.1, 0.2]]))
    with torch.no_grad():
        seen = fitter.posed(BodyVariables(pose, torch.zeros(2, 10), camera), 64)
        silhouette, bones = seen.silhouette, seen.bones
    target = SilhouetteTarget.of(silhouette.roll(5, dims=3))
    plain, with_bones = (LossSettings(topology_weight=0.5, bone_weight=weight) for weight in (0.0, 3.0))
    more = silhouette_terms(silhouette, target, with_bones, bones).topology
    distance = bone_distance(bones.joints, PARENTS, target.ridge, farthest=65)
    torch.testing.assert_close(more - silhouette_terms(silhouette, target, plain).topology, 0.5 * 3 * distance)
    sums = silhouette_terms(silhouette, target, replace(with_bones, normalise=False), bones).topology
    torch.testing.assert_close(sums / target.length, more)
    with pytest.raises(ValueError, match="needs the joints"):
        silhouette_loss(silhouette, target, with_bones)


def test_bones_alone_bring_an_arm_to_the_mask(free_body: Body) -> None:
    """A raised arm: what the silhouettes' losses are told by the outline, bones are told by the ridge."""
    settings = FitSettings(
        loss=LossSettings(distance_weight=0.0, bone_weight=10.0), steps=60, prior_start=0.0, prior_end=0.0
    )
    fitter = SilhouetteFitter(free_body, GaussianPosePrior.default(), make_renderer(), settings)
    true = torch.zeros(1, 24, 3)
    true[:, 0] = facing(0.0)
    true[:, 16, 2] = 1.0
    camera, betas = WeakPerspective(torch.tensor([[0.9, 0.0, 0.2]])), torch.zeros(1, 10)
    start = true.clone()
    start[:, 16, 2] = 0.3
    with torch.no_grad():
        seen = fitter.posed(BodyVariables(true, betas, camera), 96)
        mask, joints = seen.silhouette, seen.bones.joints
        before = fitter.posed(BodyVariables(start, betas, camera), 96).bones.joints
    fitted = fitter.fit(fitter.target(mask), BodyVariables(start, betas, camera))
    after = fitter.posed(fitted, 96).bones.joints
    wrist = 20
    assert (after - joints)[0, wrist].norm() < 0.4 * (before - joints)[0, wrist].norm()
