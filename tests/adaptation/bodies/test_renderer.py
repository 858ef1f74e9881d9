from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from adaptation.bodies.body import Body
from adaptation.bodies.camera import WeakPerspective
from adaptation.bodies.poses import facing, walking
from adaptation.bodies.renderer import exact_silhouette, make_renderer
from adaptation.support.errors import UserError
from topokernels.reference import straight_through


def walker(body: Body) -> tuple[torch.Tensor, WeakPerspective]:
    """Vertices (1, V, 3) of a body that walks to the right, and its camera."""
    pose = walking(0.1)[None]
    pose[:, 0] = facing(1.0, pitch=0.2)
    with torch.no_grad():
        vertices = body(pose, torch.zeros(1, 10)).vertices
    return vertices, WeakPerspective(torch.tensor([[0.9, 0.05, 0.3]]))


def covered(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Which points (N, 2) lie in any of triangles (F, 3, 2), float64, either winding."""
    inside = np.zeros(len(points), bool)
    for a, b, c in triangles:
        sides = [
            (q[0] - p[0]) * (points[:, 1] - p[1]) - (q[1] - p[1]) * (points[:, 0] - p[0])
            for p, q in ((a, b), (b, c), (c, a))
        ]
        same = (np.min(sides, axis=0) >= 0) | (np.max(sides, axis=0) <= 0)
        inside |= same & (np.ptp(sides) > 0)
    return inside


def test_exact_silhouette_is_point_in_triangle(free_body: Body) -> None:
    size = 40
    vertices, camera = walker(free_body)
    drawn = exact_silhouette(vertices, free_body.faces, camera, size)
    assert drawn.shape == (1, 1, size, size) and drawn.dtype == torch.float32
    assert set(drawn.unique().tolist()) == {0.0, 1.0}

    scale, shift = camera.parameters[0, 0].double(), camera.parameters[0, 1:].double()
    pixels = ((scale * (vertices[0, :, :2].double() + shift) + 1) * size / 2).numpy()
    centres = np.stack(np.meshgrid(np.arange(size), np.arange(size)), -1).reshape(-1, 2) + 0.5
    wanted = covered(centres, pixels[free_body.faces.numpy()]).reshape(size, size)
    assert wanted.sum() > 100
    np.testing.assert_array_equal(drawn[0, 0].bool().numpy(), wanted)


def test_body_outside_of_the_crop_draws_nothing(free_body: Body) -> None:
    vertices, camera = walker(free_body)
    away = WeakPerspective(camera.parameters + torch.tensor([0.0, 50.0, 0.0]))
    assert not exact_silhouette(vertices, free_body.faces, away, 16).any()
    assert not make_renderer().coverage(vertices, free_body.faces, away, 16).any()


def test_soft_silhouette_hardens_to_the_exact_one(free_body: Body) -> None:
    vertices, camera = walker(free_body)
    exact = exact_silhouette(vertices, free_body.faces, camera, 64)
    wrong = []
    for sigma in (1.0, 1e-1, 1e-3):
        soft = make_renderer(sigma=sigma).coverage(vertices, free_body.faces, camera, 64)
        assert soft.shape == exact.shape and soft.min() >= 0 and soft.max() <= 1
        wrong.append((soft - exact).abs().mean().item())
    assert wrong[0] > wrong[1] > wrong[2]
    assert wrong[2] < 0.003


def test_straight_through_keeps_the_values() -> None:
    generator = torch.Generator().manual_seed(0)
    hard = (torch.rand(2, 1, 8, 8, generator=generator) > 0.5).float()
    soft = torch.rand(2, 1, 8, 8, generator=generator).requires_grad_()
    mixed = straight_through(hard, soft)
    assert torch.equal(mixed, hard)
    mixed.sum().backward()
    assert soft.grad is not None and torch.isfinite(soft.grad).all() and soft.grad.any()


@pytest.mark.parametrize("parameter", [0, 1], ids=["scale", "right"])
def test_straight_through_gradient_is_what_a_small_motion_does(free_body: Body, parameter: int) -> None:
    size, sigma, pixels = 96, 0.1, 2.0
    vertices, camera = walker(free_body)
    faces = free_body.faces
    # What is counted: all of the body, or what lies to the right of its middle. A shift would else
    # take away as much on one side as it adds on the other.
    _, columns = exact_silhouette(vertices, faces, camera, size)[0, 0].nonzero().float().T
    axis = torch.arange(size) + 0.5
    weight = (
        torch.ones(size, size),
        (axis > columns.mean()).float().expand(size, size),
    )[parameter]

    def seen(moved: torch.Tensor) -> torch.Tensor:
        exact = exact_silhouette(vertices, faces, WeakPerspective(moved.detach()), size)
        if not moved.requires_grad:
            return (weight * exact).sum()
        soft = make_renderer(sigma=sigma).coverage(vertices, faces, WeakPerspective(moved), size)
        return (weight * straight_through(exact, soft)).sum()

    step = torch.zeros(1, 3)
    step[0, parameter] = pixels * 2 / size
    given = camera.parameters
    difference = (seen(given + step) - seen(given - step)) / (2 * step.sum())
    (gradient,) = torch.autograd.grad(seen(variable := given.clone().requires_grad_()), variable)
    # The losses put a gain on it.
    assert 0.4 < gradient[0, parameter] / difference < 2.5


def test_pytorch3d_is_asked_for_and_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytorch3d", None)
    monkeypatch.delitem(sys.modules, "pytorch3d.renderer", raising=False)
    with pytest.raises(UserError, match=r"PyTorch3D cannot be imported .*INSTALL\.md") as error:
        make_renderer("pytorch3d")
    assert "\n" not in str(error.value)


def test_unknown_renderer_is_refused() -> None:
    with pytest.raises(UserError, match="topokernels, pytorch3d, got 'opengl'"):
        make_renderer("opengl")  # type: ignore[arg-type]


def test_exact_silhouette_has_no_cracks_and_is_where_rasterize_finds_a_face() -> None:
    # Pixel centres lie on the edges that faces share.
    corners = torch.cartesian_prod(torch.arange(5.0), torch.arange(5.0)).flip(1) + 0.5
    first = torch.tensor([5 * y + x for y in range(4) for x in range(4)])
    faces = torch.cat([first[:, None] + torch.tensor(corner) for corner in ([0, 1, 6], [0, 6, 5])])
    vertices = torch.cat([corners / 4 - 1, torch.ones(25, 1)], dim=1)[None]
    camera = WeakPerspective(torch.tensor([[1.0, 0.0, 0.0]]))
    drawn = exact_silhouette(vertices, faces, camera, 8)
    assert drawn[0, 0, :5, :5].all() and drawn.sum() == 25
    nearest, _, _ = make_renderer().rasterize(vertices, faces, camera, 8)
    assert torch.equal(drawn[:, 0] > 0, nearest >= 0)
