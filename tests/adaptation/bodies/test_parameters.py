from __future__ import annotations

import roma
import torch

from adaptation.bodies.body import Body, mirror_pose
from adaptation.bodies.camera import WeakPerspective
from adaptation.bodies.parameters import Bodies
from adaptation.data.samples import Samples


def some(count: int = 4) -> Bodies:
    generator = torch.Generator().manual_seed(0)
    rotations = roma.rotvec_to_rotmat(torch.randn(count, 24, 3, generator=generator))
    camera = WeakPerspective(torch.rand(count, 3, generator=generator))
    return Bodies(rotations, torch.randn(count, 10, generator=generator), camera)


def test_mirrored_truth_is_the_mirrored_body(source: Samples, body: Body) -> None:
    mirrored = source.bodies(body).mirrored()
    joints = body.joints(mirrored.rotations, torch.zeros(24, 10))
    assert source.pose is not None
    expected = body.joints(mirror_pose(torch.from_numpy(source.pose)), torch.zeros(24, 10))
    torch.testing.assert_close(joints, expected, atol=1e-5, rtol=0)


def test_mirroring_twice_gives_the_bodies_back() -> None:
    bodies = some()
    again = bodies.mirrored().mirrored()
    torch.testing.assert_close(again.rotations, bodies.rotations)
    torch.testing.assert_close(again.camera.parameters, bodies.camera.parameters)
    assert torch.equal(bodies.mirrored().betas, bodies.betas)


def test_axis_angle_is_that_of_the_rotations() -> None:
    bodies = some()
    torch.testing.assert_close(roma.rotvec_to_rotmat(bodies.axis_angle()), bodies.rotations, atol=1e-5, rtol=0)


def test_bodies_of_either_batch_where_a_condition_says() -> None:
    first, second = some(), some().select(torch.tensor([3, 2, 1, 0]))
    mixed = first.where(torch.tensor([True, False, False, True]), second)
    for value, one, other in (
        (mixed.rotations, first.rotations, second.rotations),
        (mixed.betas, first.betas, second.betas),
        (mixed.camera.parameters, first.camera.parameters, second.camera.parameters),
    ):
        assert torch.equal(value, torch.stack([one[0], other[1], other[2], one[3]]))


def test_bodies_move_between_devices() -> None:
    moved = some().to("meta")
    assert isinstance(moved, Bodies) and isinstance(moved.camera, WeakPerspective)
    assert moved.rotations.is_meta and moved.betas.is_meta and moved.camera.parameters.is_meta
