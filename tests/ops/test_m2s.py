from __future__ import annotations

import math

import pytest
import torch
from meshes import SIZES, grad_of, loose_faces, noise, soup, sphere
from torch import Tensor

from topokernels import m2s, reference


@pytest.mark.parametrize("spread", [0.6, 3.0, 30.0])
@pytest.mark.parametrize("size", SIZES)
def test_equals_brute_force(size: tuple[int, int], spread: float, device: torch.device) -> None:
    vertices, faces = soup(0, 3, 30, size, spread), loose_faces(30)
    for sigma, radius in [(0.3, None), (1.25, None), (4.0, 2.0), (1.0, 0.0), (0.5, math.inf)]:
        options = {"sigma": sigma, "blur_radius": radius, "binary": False}
        for dtype, tolerance in [(torch.float64, 2e-9), (torch.float32, 1e-5)]:
            given = vertices.to(dtype).to(device)
            expected = reference.m2s(given.cpu().double(), faces, size, **options)
            actual = m2s(given, faces.to(device), size, **options)
            assert actual.dtype == dtype
            # A pixel exactly at the blur radius may fall on either side of it; by default that changes A by 1e-4.
            error = (actual.cpu() - expected).abs().flatten()
            assert error.max() < (1.1e-4 if radius is None else tolerance)
            assert (error > tolerance).sum() <= 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("spread", [0.6, 3.0, 30.0])
def test_gradient_equals_autograd_of_brute_force(spread: float, dtype: torch.dtype, device: torch.device) -> None:
    size = (19, 37)
    vertices, faces = soup(1, 2, 25, size, spread).to(dtype), loose_faces(25)
    weights = noise(2, 2, 1, *size)
    for sigma in (0.4, 1.25):
        expected = grad_of(
            lambda v, s=sigma: reference.m2s(v, faces, size, sigma=s, binary=False),
            vertices.double(),
            weights,
        )
        actual = grad_of(
            lambda v, s=sigma: m2s(v, faces.to(device), size, sigma=s, binary=False),
            vertices.to(device),
            weights,
        )
        tolerance = 1e-7 if dtype == torch.float64 else 2e-4
        scale = expected.abs().max()
        assert (actual.cpu() - expected).abs().max() < tolerance * scale


def test_gradcheck(device: torch.device) -> None:
    # The blur radius covers every pixel for every face, so that the coverage is smooth.
    vertices = torch.tensor(
        [[[2.1, 1.4], [8.3, 2.2], [5.2, 7.6], [9.4, 8.7]]], dtype=torch.float64, device=device
    ).requires_grad_()
    faces = torch.tensor([[0, 1, 2], [1, 3, 2]], device=device)
    assert torch.autograd.gradcheck(
        lambda v: m2s(v, faces, (9, 11), sigma=3.0, blur_radius=1e9, binary=False), vertices
    )


def test_finite_differences_of_a_closed_mesh() -> None:
    unit, faces = sphere(6, 9)
    vertices = (unit @ torch.linalg.qr(noise(3, 3, 3))[0])[None] * 7 + 10
    direction, weights = noise(4, *vertices.shape), noise(5, 1, 1, 20, 21)

    def loss(v: Tensor) -> Tensor:
        return (m2s(v, faces, (20, 21), sigma=1.25, blur_radius=40.0, binary=False) * weights).sum()

    grad = torch.autograd.functional.jacobian(loss, vertices)
    step = 1e-6
    difference = (loss(vertices + step * direction) - loss(vertices - step * direction)) / 2 / step
    assert (grad * direction).sum().item() == pytest.approx(difference.item(), rel=1e-5)
    assert not grad[..., 2].any()


def test_moving_outward_covers_more() -> None:
    unit, faces = sphere(8, 12)
    centre = torch.tensor([12.0, 12.0, 0.0], dtype=torch.float64)
    vertices = (unit * 8 + centre)[None]
    grad = grad_of(lambda v: m2s(v, faces, 24, sigma=1.0), vertices, torch.ones(1, 1, 24, 24))
    out = (vertices - centre)[..., :2]
    outward = (grad[..., :2] * out).sum(-1) / out.norm(dim=-1).clamp(min=1)
    rim = out.norm(dim=-1) > 7.9
    assert rim.sum() == 12
    assert outward[rim].min() > 0.5
    assert outward.sum() > 20


def test_orientation_of_the_image() -> None:
    triangle = torch.tensor([[[0.0, 0.0], [6.3, 0.0], [0.0, 2.0]]])  # a wide triangle along the top
    silhouette = m2s(triangle, loose_faces(1), (3, 7), sigma=0.01)[0, 0]
    assert silhouette.tolist() == [
        [1, 1, 1, 1, 1, 0, 0],
        [1, 1, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0],
    ]


def test_binary_is_the_threshold_with_the_gradient_of_the_coverage(device: torch.device) -> None:
    size = (20, 24)
    vertices, faces = soup(6, 2, 12, size, 4.0).float().to(device), loose_faces(12).to(device)
    soft = m2s(vertices, faces, size, sigma=1.0, binary=False)
    hard = m2s(vertices, faces, size, sigma=1.0)
    assert torch.equal(hard, (soft > 0.5).float())
    weights = noise(7, *soft.shape).to(device)
    grads = [grad_of(lambda v, b=b: m2s(v, faces, size, sigma=1.0, binary=b), vertices, weights) for b in (True, False)]
    assert torch.equal(*grads)
    assert grads[0].any()


@pytest.mark.parametrize(("window", "gain"), [(None, 2.0), (1.0, 1.0), (3.0, 0.5), (0.0, 1.0), (math.inf, -1.0)])
def test_options_of_the_straight_through_gradient(window: float | None, gain: float, device: torch.device) -> None:
    size = (20, 24)
    vertices, faces = soup(6, 2, 12, size, 4.0), loose_faces(12)
    weights = noise(7, 2, 1, *size)
    options = {"sigma": 1.0, "blur_radius": 1e9, "window": window, "gain": gain}
    silhouette = m2s(vertices.to(device), faces.to(device), size, **options)
    assert torch.equal(silhouette.cpu(), (reference.m2s(vertices, faces, size, **options)))
    actual = grad_of(lambda v: m2s(v, faces.to(device), size, **options), vertices.to(device), weights)
    expected = grad_of(lambda v: reference.m2s(v, faces, size, **options), vertices, weights)
    torch.testing.assert_close(actual.cpu(), expected, rtol=1e-6, atol=1e-9)
    assert actual.any() == (window != 0)


def test_window_is_a_band_around_the_outline() -> None:
    triangle = torch.tensor([[[8.0, -90.0], [8.0, 90.0], [99.0, 0.0]]], dtype=torch.float64)  # an edge at x = 8
    reached = []
    for k in range(16):
        weights = torch.zeros(1, 1, 5, 16)
        weights[..., k] = 1
        grad = grad_of(lambda v: m2s(v, loose_faces(1), (5, 16), sigma=0.5, window=2**2 / 0.5), triangle, weights)
        reached.append(bool(grad.any()))
    assert [k for k in range(16) if reached[k]] == [6, 7, 8, 9]  # centres less than 2 pixels from it


def test_faces_within_the_blur_radius_only() -> None:
    triangle = torch.tensor([[[2.0, 0.0], [8.0, 0.0], [2.0, 8.0]]], dtype=torch.float64)
    row = m2s(triangle, loose_faces(1), (3, 4), sigma=1.0, blur_radius=0.3, binary=False)[0, 0, 1]
    assert row[0] == 0  # 1.5 pixels away
    assert row[1].item() == pytest.approx(1 / (1 + math.exp(0.25)))
    assert row[2].item() == pytest.approx(1 / (1 + math.exp(-0.25)))


def test_faces_of_their_own_per_image(device: torch.device) -> None:
    size = (15, 18)
    vertices = soup(8, 3, 6, size, 4.0).to(device)
    faces = torch.stack([loose_faces(6).roll(k, 0)[:4] for k in range(3)]).to(device)
    weights = noise(9, 3, 1, *size).to(device)

    def render(v: Tensor) -> Tensor:
        return m2s(v, faces, size, sigma=1.0, binary=False)

    one_by_one = [m2s(v[None], f, size, sigma=1.0, binary=False) for v, f in zip(vertices, faces, strict=True)]
    assert torch.equal(render(vertices), torch.cat(one_by_one))
    grads = [
        grad_of(lambda v, f=f: m2s(v, f, size, sigma=1.0, binary=False), v[None], w[None])
        for v, f, w in zip(vertices, faces, weights, strict=True)
    ]
    assert torch.equal(grad_of(render, vertices, weights), torch.cat(grads))
