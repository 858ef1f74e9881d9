"""Both cameras: what they agree on, and what fits and augmentation ask of either."""

from __future__ import annotations

import pytest
import torch
from leaves import tensors_of
from torch import Tensor

from adaptation.bodies.camera import Camera, Perspective, WeakPerspective, frame_to_crop, project

KINDS = ["weak", "perspective"]


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def camera_of(kind: str, count: int = 3) -> Camera:
    if kind == "weak":
        return WeakPerspective(0.5 + random(count, 3))
    translation = torch.cat([random(count, 2) - 0.5, 3 + random(count, 1, seed=1)], dim=1)
    return Perspective(3 + random(count, 2, seed=2), random(count, 2, seed=3) - 0.5, translation)


def points_of(count: int = 3) -> Tensor:
    return random(count, 20, 3, seed=4) - 0.5


def test_perspective_by_hand() -> None:
    camera = Perspective(
        torch.tensor([[2.0, 4.0]]), torch.tensor([[0.5, -0.5]]), torch.tensor([[1.0, 0.0, 3.0]])
    )  # fmt: skip
    # u = 2 (1 + 1) / (3 + 1) + 0.5, v = 4 (-1 + 0) / (3 + 1) - 0.5; then pixels of a crop of 10.
    torch.testing.assert_close(
        project(torch.tensor([[[1.0, -1.0, 1.0]]]), camera, 10), torch.tensor([[[12.5, -2.5]]])
    )  # fmt: skip
    torch.testing.assert_close(camera.scale, torch.tensor([[1.0]]))  # 3 / 3
    torch.testing.assert_close(camera.offset, torch.tensor([[2 / 3 + 0.5, -0.5]]))


def test_far_away_perspective_is_weak() -> None:
    weak, points = camera_of("weak"), points_of()
    apart = []
    for focal in (10.0, 100.0, 10000.0):
        start = Perspective(torch.full((3, 2), focal).double(), torch.zeros(3, 2).double(), torch.ones(3, 3).double())
        near = start.moved(weak.scale, weak.offset)
        apart.append((near.project(points, 100) - weak.project(points, 100)).abs().max())
        torch.testing.assert_close(near.weak().parameters, weak.parameters)
    assert apart[0] > 1 and apart[0] > 5 * apart[1] > 100 * apart[2] and apart[2] < 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_scale_and_offset_say_where_the_origin_is_seen(kind: str) -> None:
    camera = camera_of(kind)
    origin = torch.zeros(3, 1, 3, dtype=torch.float64)
    torch.testing.assert_close(camera.project(origin, 2)[:, 0] - 1, camera.offset)
    step = 1e-6
    ahead = [camera.project(origin + step * torch.eye(3).double()[axis], 2)[:, 0, axis] for axis in (0, 1)]
    here = camera.project(origin, 2)[:, 0]
    per_metre = torch.stack([(moved - here[:, axis]) / step for axis, moved in enumerate(ahead)], dim=1).mean(1)
    torch.testing.assert_close(per_metre[:, None], camera.scale, rtol=1e-5, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_moving_a_body_is_undone_by_moving_it_back(kind: str) -> None:
    camera = camera_of(kind)
    scale, offset = 0.3 + random(3, 1, seed=7), random(3, 2, seed=8)
    moved = camera.moved(scale, offset)
    torch.testing.assert_close(moved.scale, scale)
    torch.testing.assert_close(moved.offset, offset)
    again = moved.moved(camera.scale, camera.offset)
    for name, value in tensors_of(again).items():
        torch.testing.assert_close(value, tensors_of(camera)[name], msg=name)


def test_weak_cameras_of_perspective_ones_see_the_origin_alike() -> None:
    camera = camera_of("perspective")
    torch.testing.assert_close(camera.weak().scale, camera.scale)
    torch.testing.assert_close(camera.weak().offset, camera.offset)
    weak = camera_of("weak")
    assert weak.weak() is weak


def test_the_camera_of_a_crop_is_that_of_the_frame() -> None:
    intrinsics = torch.tensor([[1200.0, 0, 650], [0, 1100, 340], [0, 0, 1]], dtype=torch.float64).repeat(3, 1, 1)
    box = torch.tensor([[600.0, 200, 300, 300], [-40, 100, 150, 150], [900, 500, 420, 420]], dtype=torch.float64)
    translation = torch.cat([random(3, 2) - 0.5, 4 + random(3, 1, seed=1)], dim=1)
    points = points_of()
    seen = (points + translation[:, None]) @ intrinsics.mT
    frame = seen[..., :2] / seen[..., 2:]
    camera = Perspective.of_crop(intrinsics, box, translation)
    torch.testing.assert_close(camera.project(points, 112), frame_to_crop(frame, box, 112))


@pytest.mark.parametrize("kind", KINDS)
def test_zooming_is_what_the_image_does(kind: str) -> None:
    camera, points, size = camera_of(kind), points_of(), 96
    zoom, shift = 0.8 + 0.4 * random(3, 1, seed=5), 0.2 * random(3, 2, seed=6)
    crop = camera.project(points, size) * (2 / size) - 1
    expected = ((crop + shift[:, None]) * zoom[:, None] + 1) * (size / 2)
    torch.testing.assert_close(camera.zoomed(zoom, shift).project(points, size), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_mirrored_cameras_see_mirrored_points_where_the_mirrored_image_has_them(kind: str) -> None:
    camera, points, size = camera_of(kind), points_of(), 96
    pixels = camera.project(points, size)
    expected = torch.stack([size - pixels[..., 0], pixels[..., 1]], dim=-1)
    mirrored = points * torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
    torch.testing.assert_close(camera.mirrored().project(mirrored, size), expected)
    assert not torch.allclose(camera.project(mirrored, size), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_finite_also_behind_the_camera(kind: str) -> None:
    camera = camera_of(kind)
    leaves = {name: value.clone().requires_grad_() for name, value in tensors_of(camera).items()}
    points = points_of()
    points[0, 0, 2] = -50.0  # behind it
    points[0, 1, 2] = -float(camera.translation[0, 2]) if isinstance(camera, Perspective) else 0.0  # in its centre
    points.requires_grad_()
    pixels = type(camera)(**leaves).project(points, 64)
    assert torch.isfinite(pixels).all()
    pixels[:, 2:].sum().backward(retain_graph=True)
    assert all(leaf.grad is not None and leaf.grad.any() for leaf in leaves.values())
    pixels.sum().backward()
    assert all(torch.isfinite(leaf.grad).all() for leaf in (*leaves.values(), points))


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_right(kind: str) -> None:
    camera, points = camera_of(kind), points_of().requires_grad_()
    leaves = [value.clone().requires_grad_() for value in tensors_of(camera).values()]
    assert torch.autograd.gradcheck(lambda p, *parts: type(camera)(*parts).project(p, 3.0), (points, *leaves))


@pytest.mark.parametrize("kind", KINDS)
def test_each_camera_is_for_its_own_points(kind: str) -> None:
    camera, points = camera_of(kind), points_of()
    assert len(camera) == 3
    for i in range(3):
        alone = camera.select(slice(i, i + 1)).project(points[i : i + 1], 64)
        torch.testing.assert_close(camera.project(points, 64)[i : i + 1], alone)
