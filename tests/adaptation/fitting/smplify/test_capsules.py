"""Capsules of a body, and the interpenetration of their spheres."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from adaptation.bodies.body import Body
from adaptation.bodies.joint_sets import SMPL
from adaptation.bodies.poses import sample_poses, standing, walking
from adaptation.fitting.smplify.capsules import PARTS, Capsules, Spheres, interpenetration


@pytest.fixture(scope="module")
def capsules(free_body: Body) -> Capsules:
    return Capsules(free_body)


def energy(capsules: Capsules, body: Body, pose: Tensor, betas: Tensor | None = None) -> Tensor:
    betas = body.mean_shape(len(pose)) if betas is None else betas
    return interpenetration(capsules(*body.frames(pose, betas), betas), capsules.pairs, 0.3)


def test_energy_by_hand() -> None:
    centres = torch.tensor([[[0.0, 0.0, 0.0], [0.03, 0.04, 0.0], [0.0, 0.0, 9.0]]])
    spheres = Spheres(centres, torch.tensor([[0.1, 0.2, 0.1]]))
    pairs = torch.tensor([[0, 0], [1, 2]])
    # Sigmas of 0.05 and 0.1 at a distance of 0.05; the third sphere is far away.
    expected = math.exp(-0.0025 / (0.0025 + 0.01))
    assert interpenetration(spheres, pairs, 0.5).item() == pytest.approx(expected, rel=1e-5)


def test_capsules_lie_in_their_parts(capsules: Capsules, free_body: Body) -> None:
    betas = 0.8 * torch.randn(4, 10, generator=torch.Generator().manual_seed(1))
    rest = torch.zeros(4, 24, 3)
    spheres = capsules(*free_body.frames(rest, betas), betas)
    vertices = free_body(rest, betas).vertices
    away = torch.cdist(spheres.centres, vertices).amin(2) / spheres.radii
    # The skin is about a radius away: spheres neither stick out nor are much too thin.
    assert 0.15 < away.min() and away.max() < 1.6 and 0.6 < away.mean() < 1.1
    thigh = list(PARTS).index("left_thigh")
    assert capsules.part.eq(thigh).sum() > 2
    # Between hip and knee.
    place = spheres.centres[:, capsules.part == thigh, 1]
    joints = free_body.joints(rest, betas)[..., 1]
    hip, knee = (joints[:, SMPL.joints.index(f"left_{name}"), None] for name in ("hip", "knee"))
    assert (place < hip + 0.1).all() and (place > knee - 0.1).all()


def test_length_and_radius_follow_the_shape(capsules: Capsules, free_body: Body) -> None:
    # Fitted anew to the bodies themselves: the regression must say the same.
    betas = torch.randn(50, 10, generator=torch.Generator().manual_seed(2)).clamp(-2, 2)
    shin = list(PARTS).index("right_shin")
    mine = free_body.skinning_weights.argmax(1) == SMPL.joints.index("right_knee")
    points = free_body.rest_vertices(betas)[:, mine]
    along = points @ capsules.axes[shin]
    across = points - along[..., None] * capsules.axes[shin]
    radius = (across - across.mean(1, keepdim=True)).norm(dim=2).mean(1)
    spheres = capsules(*free_body.frames(torch.zeros(50, 24, 3), betas), betas)
    torch.testing.assert_close(spheres.radii[:, capsules.part == shin][:, 0], radius, rtol=0.03, atol=0)
    long = spheres.centres[:, capsules.part == shin]
    length = (long[:, 0] - long[:, -1]).norm(dim=1)
    torch.testing.assert_close(length, along.amax(1) - along.amin(1) - 2 * radius, rtol=0.03, atol=0)


def test_usual_poses_do_not_collide(capsules: Capsules, free_body: Body) -> None:
    poses = torch.cat([torch.zeros(1, 24, 3), standing()[None], walking(torch.arange(0, 1, 0.1))])
    assert energy(capsules, free_body, poses).max() < 1e-3


def test_legs_in_each_other_collide(capsules: Capsules, free_body: Body) -> None:
    pose = standing()[None].repeat(2, 1, 1)
    # Both legs inwards, until the shins meet.
    pose[1, SMPL.joints.index("left_hip"), 2] -= 0.15
    pose[1, SMPL.joints.index("right_hip"), 2] += 0.15
    apart, inside = energy(capsules, free_body, pose)
    assert inside > 0.1 > 100 * apart
    pose.requires_grad_()
    (grad,) = torch.autograd.grad(energy(capsules, free_body, pose)[1], pose)
    # A small step against the gradient takes them apart.
    moved = pose.detach() - 0.1 * grad / grad.norm()
    assert energy(capsules, free_body, moved)[1] < 0.8 * inside


def test_a_turn_as_a_whole_changes_nothing(capsules: Capsules, free_body: Body) -> None:
    pose = sample_poses(30, torch.Generator().manual_seed(3))
    turned = pose.clone()
    turned[:, 0] = torch.tensor([0.4, 2.0, -0.3])
    torch.testing.assert_close(
        energy(capsules, free_body, turned), energy(capsules, free_body, pose), rtol=1e-3, atol=1e-5
    )


def test_gradients_against_finite_differences(free_body: Body) -> None:
    body = Body.free().double()
    capsules = Capsules(free_body).double()
    pose = sample_poses(1, torch.Generator().manual_seed(4), ["sitting"]).double()
    betas = 0.5 * torch.randn(1, 10, generator=torch.Generator().manual_seed(5)).double()

    def total(pose: Tensor, betas: Tensor) -> Tensor:
        # Wide, so that many pairs count.
        return interpenetration(capsules(*body.frames(pose, betas), betas), capsules.pairs, 1.0)

    pose.requires_grad_(), betas.requires_grad_()
    grads = torch.autograd.grad(total(pose, betas).sum(), [pose, betas])
    for variable, grad, places in (
        (pose, grads[0], [(0, 16, 2), (0, 18, 1), (0, 1, 0)]),
        (betas, grads[1], [(0, 0), (0, 3)]),
    ):
        for place in places:
            step = torch.zeros_like(variable)
            step[place] = 1e-5
            both = [total(*(v + s * step if v is variable else v for v in (pose, betas))).sum() for s in (1, -1)]
            assert grad[place].item() == pytest.approx(((both[0] - both[1]) / 2e-5).item(), rel=1e-4, abs=1e-7)
