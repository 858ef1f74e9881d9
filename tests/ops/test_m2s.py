from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from topokernels import m2s, reference


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def soup(seed: int, batch: int, count: int, size: tuple[int, int], spread: float) -> Tensor:
    """Vertices (batch, 3 * count, 2) of triangles ``spread`` pixels large, some off-screen."""
    generator = torch.Generator().manual_seed(seed)
    height, width = size
    centre = torch.rand(batch, count, 1, 2, generator=generator, dtype=torch.float64) * 1.4 - 0.2
    corner = torch.randn(batch, count, 3, 2, generator=generator, dtype=torch.float64) * spread
    return (centre * torch.tensor([width, height]) + corner).flatten(1, 2)


def loose_faces(count: int) -> Tensor:
    return torch.arange(3 * count).reshape(count, 3)


def sphere(rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """A closed mesh of radius 1: vertices (V, 3) float64, faces (F, 3)."""
    theta = torch.linspace(0, math.pi, rows + 1, dtype=torch.float64)[:, None]
    phi = torch.arange(columns, dtype=torch.float64) * 2 * math.pi / columns
    grid = theta.sin() * phi.cos(), theta.sin() * phi.sin(), theta.cos().expand(-1, columns)
    at = torch.arange((rows + 1) * columns).reshape(rows + 1, columns)
    at[0], at[-1] = 0, rows * columns  # one vertex per pole
    a, b = at[:-1], at[1:]
    c, d = b.roll(-1, 1), a.roll(-1, 1)
    faces = torch.cat([torch.stack([a, b, c], -1)[:-1], torch.stack([a, c, d], -1)[1:]])
    return torch.stack(grid, -1).reshape(-1, 3), faces.reshape(-1, 3)


def grad_of(render: Callable[[Tensor], Tensor], vertices: Tensor, weights: Tensor) -> Tensor:
    leaf = vertices.detach().clone().requires_grad_()
    (grad,) = torch.autograd.grad(render(leaf), leaf, weights.to(leaf))
    return grad


def noise(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


SIZES = [(1, 1), (1, 37), (23, 1), (17, 40), (33, 16)]


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
            # A pixel right at the cut-off may fall on either side of it: 1e-4 with the default.
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
    # Every pixel counts for every face, so that nothing jumps.
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
    triangle = torch.tensor([[[0.0, 0.0], [6.3, 0.0], [0.0, 2.0]]])  # wide along the top
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


@pytest.mark.parametrize("spread", [0.6, 3.0, 30.0])
@pytest.mark.parametrize("size", SIZES)
def test_exact_silhouette_and_its_gradient_equal_brute_force(
    size: tuple[int, int], spread: float, device: torch.device
) -> None:
    vertices, faces = soup(23, 3, 30, size, spread), loose_faces(30)
    weights = noise(24, 3, 1, *size)
    for options in ({"sigma": 0.4}, {"sigma": 1.25, "blur_radius": 0.0}, {"sigma": 1.0, "gain": 2.0}):
        for dtype, tolerance in [(torch.float64, 1e-7), (torch.float32, 2e-4)]:
            given = vertices.to(dtype)
            expected = reference.m2s(given.double(), faces, size, exact=True, **options)
            actual = m2s(given.to(device), faces.to(device), size, exact=True, **options)
            assert actual.dtype == dtype
            assert torch.equal(actual.cpu().double(), expected)

            def reference_draw(v: Tensor, o: dict[str, float] = options) -> Tensor:
                return reference.m2s(v, faces, size, exact=True, **o)

            def draw(v: Tensor, o: dict[str, float] = options) -> Tensor:
                return m2s(v, faces.to(device), size, exact=True, **o)

            wanted = grad_of(reference_draw, given.double(), weights)
            found = grad_of(draw, given.to(device), weights)
            assert (found.cpu() - wanted).abs().max() <= tolerance * wanted.abs().max()


def test_exact_silhouette_has_no_cracks() -> None:
    # Pixel centres on shared edges and corners.
    vertices = torch.tensor([[[0.5, 0.5], [4.5, 0.5], [4.5, 4.5], [0.5, 4.5]]])
    for faces in ([[0, 1, 2], [0, 2, 3]], [[2, 1, 0], [0, 2, 3]]):
        for radius in (0.0, None):
            drawn = m2s(vertices, torch.tensor(faces), 6, sigma=0.1, blur_radius=radius, exact=True)[0, 0]
            assert drawn[:5, :5].all() and drawn.sum() == 25


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_pixel_saturated_from_outside_is_still_covered_by_a_later_face(dtype: torch.dtype) -> None:
    beside = torch.tensor([[2.51, 0.0], [9.0, 2.5], [2.51, 5.0]], dtype=dtype)  # of the pixel centre (2.5, 2.5)
    over = torch.tensor([[2.0, 2.0], [4.0, 2.2], [2.2, 4.0]], dtype=dtype)
    vertices = torch.cat([beside.repeat(60, 1), over])[None]
    without = m2s(vertices, loose_faces(60), 5, sigma=1.0, exact=True)
    assert m2s(vertices, loose_faces(60), 5, sigma=1.0, binary=False)[0, 0, 2, 2] > 1 - 1e-6
    assert not without[0, 0, :, :2].any() and without[0, 0, 2, 2] == 0 and without[0, 0, 2, 3] == 1
    assert m2s(vertices, loose_faces(61), 5, sigma=1.0, exact=True)[0, 0, 2, 2] == 1


class TestDegenerate:
    def both(self, vertices: Tensor, faces: Tensor, size: tuple[int, int], sigma: float = 0.7) -> Tensor:
        """The silhouette, checked against brute force, of gradients that are finite."""
        vertices = vertices.double()
        actual = m2s(vertices, faces, size, sigma=sigma, binary=False)
        expected = reference.m2s(vertices, faces, size, sigma=sigma, binary=False)
        torch.testing.assert_close(actual, expected, rtol=0, atol=1e-9)
        grad = grad_of(lambda v: m2s(v, faces, size, sigma=sigma), vertices, torch.ones_like(actual))
        assert grad.isfinite().all()
        silhouette = m2s(vertices, faces, size, sigma=sigma, exact=True)
        assert torch.equal(silhouette, reference.m2s(vertices, faces, size, sigma=sigma, exact=True))
        grad = grad_of(lambda v: m2s(v, faces, size, sigma=sigma, exact=True), vertices, torch.ones_like(actual))
        assert grad.isfinite().all()
        return actual

    def test_face_without_area(self) -> None:
        line = torch.tensor([[[1.0, 1.0], [5.0, 5.0], [9.0, 9.0]]])
        point = torch.full((1, 3, 2), 4.5)
        for vertices in (line, point):
            assert not self.both(vertices, loose_faces(1), (10, 10)).any()
        assert not self.both(soup(0, 1, 1, (9, 9), 3.0), torch.tensor([[0, 1, 1]]), (9, 9)).any()

    def test_sliver(self) -> None:
        sliver = torch.tensor([[[1.0, 1.0], [9.0, 8.9], [5.0, 5.0]]])
        assert self.both(sliver, loose_faces(1), (10, 10)).max() > 0.4

    def test_both_windings(self) -> None:
        vertices = soup(1, 1, 8, (16, 16), 4.0)
        front = m2s(vertices, loose_faces(8), 16, sigma=1.0, binary=False)
        back = m2s(vertices, loose_faces(8).flip(1), 16, sigma=1.0, binary=False)
        torch.testing.assert_close(front, back, rtol=0, atol=1e-12)

    def test_off_screen(self) -> None:
        assert not self.both(torch.rand(1, 9, 2) + 40, loose_faces(3), (12, 12)).any()

    def test_half_off_screen(self) -> None:
        vertices = torch.tensor([[[-5.0, 3.0], [4.0, -6.0], [6.0, 30.0]]])
        assert self.both(vertices, loose_faces(1), (12, 12)).max() > 0.99

    def test_far_larger_than_the_image(self) -> None:
        vertices = torch.tensor([[[-1e6, -1e6], [1e6, -1e6], [5.25, 7.5]]])
        exact = self.both(vertices, loose_faces(1), (12, 12))
        single = m2s(vertices, loose_faces(1), 12, sigma=0.7, binary=False)
        torch.testing.assert_close(single.double(), exact, rtol=0, atol=1e-5)

    def test_many_layers_saturate(self) -> None:
        triangle = torch.tensor([[-50.0, -50.0], [60.0, -50.0], [0.0, 70.0]])
        vertices = triangle.repeat(1, 40, 1)
        faces = loose_faces(40)
        coverage = m2s(vertices, faces, 12, sigma=0.5, binary=False)
        assert torch.equal(coverage, torch.ones_like(coverage))
        grad = grad_of(lambda v: m2s(v, faces, 12, sigma=0.5), vertices, torch.ones_like(coverage))
        assert not grad.any()

    def test_no_faces(self) -> None:
        vertices = torch.rand(2, 5, 2, requires_grad=True)
        silhouette = m2s(vertices, torch.zeros(0, 3, dtype=torch.int64), (4, 5), sigma=1.0)
        assert silhouette.shape == (2, 1, 4, 5)
        silhouette.sum().backward()
        assert not silhouette.any() and not vertices.grad.any()

    def test_no_vertices(self) -> None:
        vertices = torch.zeros(2, 0, 3, requires_grad=True)
        silhouette = m2s(vertices, torch.zeros(0, 3, dtype=torch.int32), (4, 5), sigma=1.0)
        silhouette.sum().backward()
        assert not silhouette.any() and vertices.grad.shape == (2, 0, 3)

    @pytest.mark.parametrize("shape", [(0, 4, 5), (2, 0, 5), (2, 4, 0)])
    def test_no_pixels(self, shape: tuple[int, int, int]) -> None:
        batch, *size = shape
        vertices = torch.rand(batch, 3, 2, requires_grad=True)
        silhouette = m2s(vertices, loose_faces(1), size, sigma=1.0)
        assert silhouette.shape == (batch, 1, *size)
        silhouette.sum().backward()
        assert not vertices.grad.any()


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


def test_layouts(device: torch.device) -> None:
    vertices, faces = soup(10, 2, 9, (16, 16), 4.0).to(device), loose_faces(9).to(device)
    expected = m2s(vertices, faces, 16, sigma=1.0)
    for other in (vertices.mT.contiguous().mT, torch.cat([vertices, vertices], 2)[..., :2]):
        assert not other.is_contiguous()
        assert torch.equal(m2s(other, faces, 16, sigma=1.0), expected)
    deep = torch.cat([vertices, torch.full_like(vertices[..., :1], math.nan)], 2)
    assert torch.equal(m2s(deep, faces, 16, sigma=1.0), expected)
    assert torch.equal(m2s(vertices, faces.mT.contiguous().mT.int(), 16, sigma=1.0), expected)


@pytest.mark.parametrize("batch", [1, 3])
def test_threads_do_not_show(batch: int) -> None:
    unit, faces = sphere(24, 32)  # more faces than one task of the backward has
    vertices = (unit * 20 + 24 + noise(11, batch, 1, 3)).float()
    weights = noise(12, batch, 1, 48, 50)
    results = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        coverage = m2s(vertices, faces, (48, 50), sigma=1.25, binary=False)
        grad = grad_of(lambda v: m2s(v, faces, (48, 50), sigma=1.25), vertices, weights)
        exact = m2s(vertices, faces, (48, 50), sigma=1.25, exact=True)
        exact_grad = grad_of(lambda v: m2s(v, faces, (48, 50), sigma=1.25, exact=True), vertices, weights)
        results.append((coverage, grad, exact, exact_grad))
    for one, two in zip(*results, strict=True):
        assert torch.equal(one, two)


LEVEL_SCRIPT = """
import torch
from test_m2s import grad_of, loose_faces, noise, soup
from topokernels import m2s, reference

size, faces = (19, 37), loose_faces(25)
for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-9)):
    for spread in (0.6, 3.0, 30.0):
        v = soup(1, 2, 25, size, spread).to(dtype)
        out = [f(x, faces, size, sigma=1.0, blur_radius=1e9, binary=False)
               for f, x in ((m2s, v), (reference.m2s, v.double()))]
        assert (out[0] - out[1]).abs().max() < tolerance, (dtype, spread)
        w = noise(2, 2, 1, *size)
        grad = [grad_of(lambda x: f(x, faces, size, sigma=1.0, binary=False), x, w)
                for f, x in ((m2s, v), (reference.m2s, v.double()))]
        error = (grad[0] - grad[1]).abs().max() / grad[1].abs().max()
        assert error < 20 * tolerance, (dtype, spread)
        exact = [grad_of(lambda x: f(x, faces, size, sigma=1.0, exact=True), x, w)
                 for f, x in ((m2s, v), (reference.m2s, v.double()))]
        assert torch.equal(m2s(v, faces, size, sigma=1.0, exact=True),
                           reference.m2s(v.double(), faces, size, sigma=1.0, exact=True).to(dtype))
        error = (exact[0] - exact[1]).abs().max() / exact[1].abs().max()
        assert error < 20 * tolerance, (dtype, spread, error)
"""


@pytest.mark.parametrize("level", ["portable", "avx2"])
def test_every_instruction_set(level: str) -> None:
    path = os.pathsep.join([os.path.dirname(__file__), *filter(None, sys.path)])
    environment = {**os.environ, "TOPO_SIMD_LEVEL": level, "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-P", "-c", LEVEL_SCRIPT]
        if sys.version_info >= (3, 11)
        else [sys.executable, "-c", LEVEL_SCRIPT],
        env=environment,
        cwd=os.path.dirname(__file__),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


TRIANGLE = torch.tensor([[[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]]])


@pytest.mark.parametrize(
    ("vertices", "faces", "size", "options", "message"),
    [
        (TRIANGLE[0], loose_faces(1), 4, {}, r"m2s: vertices must have shape .*got \(3, 2\)"),
        (TRIANGLE[..., :1], loose_faces(1), 4, {}, r"m2s: vertices must have shape .*\(1, 3, 1\)"),
        (
            TRIANGLE.half(),
            loose_faces(1),
            4,
            {},
            "m2s: vertices must be float32 or float64, got Half",
        ),
        (
            TRIANGLE.int(),
            loose_faces(1),
            4,
            {},
            "m2s: vertices must be float32 or float64, got Int",
        ),
        (TRIANGLE, loose_faces(1)[0], 4, {}, r"m2s: faces must have shape .*got \(3,\)"),
        (TRIANGLE, loose_faces(1)[:, :2], 4, {}, r"m2s: faces must have shape .*got \(1, 2\)"),
        (
            TRIANGLE,
            loose_faces(1).repeat(2, 1, 1),
            4,
            {},
            r"m2s: faces must .*B = 1, got \(2, 1, 3\)",
        ),
        (TRIANGLE, loose_faces(1).float(), 4, {}, "m2s: faces must be int32 or int64, got Float"),
        (TRIANGLE, loose_faces(1) + 1, 4, {}, "m2s: faces must hold indices .* 2, got 3 in face 0"),
        (
            TRIANGLE,
            loose_faces(1) - 1,
            4,
            {},
            "m2s: faces must hold indices .* 2, got -1 in face 0",
        ),
        (TRIANGLE[:, :0], loose_faces(1), 4, {}, "m2s: faces must hold indices .* -1, got 0"),
        (TRIANGLE, loose_faces(1), (4, 4, 4), {}, r"m2s: size must be \(height, width\), got 3"),
        (TRIANGLE, loose_faces(1), (-1, 4), {}, "m2s: size must be between 0 and 32768"),
        (TRIANGLE, loose_faces(1), (4, 40000), {}, "m2s: size must be between 0 and 32768"),
        (TRIANGLE, loose_faces(1), 4, {"sigma": 0.0}, "m2s: sigma must be .*got 0"),
        (TRIANGLE, loose_faces(1), 4, {"sigma": math.nan}, "m2s: sigma must be .*got nan"),
        (TRIANGLE, loose_faces(1), 4, {"blur_radius": -1.0}, "m2s: blur_radius must be .*got -1"),
        (TRIANGLE, loose_faces(1), 4, {"window": -1.0}, "m2s: window must be .*got -1"),
        (TRIANGLE, loose_faces(1), 4, {"gain": math.nan}, "m2s: gain must be finite, got nan"),
        (TRIANGLE, loose_faces(1), 4, {"gain": 2.0, "binary": False}, "m2s: exact, window and gain need binary=True"),
        (TRIANGLE, loose_faces(1), 4, {"exact": True, "binary": False}, "m2s: exact, window and gain need binary=True"),
        (
            TRIANGLE,
            loose_faces(1),
            4,
            {"exact": True, "window": 1.0},
            "m2s: window must be None with exact=True",
        ),
        (
            TRIANGLE * math.nan,
            loose_faces(1),
            4,
            {},
            r"m2s: vertices must be finite.*at \(0, 0, 0\)",
        ),
        (TRIANGLE * math.inf, loose_faces(1), 4, {}, "m2s: vertices must be finite.*"),
        (TRIANGLE * 1e30, loose_faces(1), 4, {}, r"m2s: vertices .* got 4e\+30 at \(0, 1, 0\)"),
    ],
)
def test_errors(vertices: Tensor, faces: Tensor, size: object, options: dict[str, float], message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        m2s(vertices, faces, size, **{"sigma": 1.0, **options})  # type: ignore[arg-type]


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_leaves_out_unusable_faces() -> None:
    vertices, faces = soup(19, 1, 20, (17, 20), 4.0).cuda(), loose_faces(20).cuda()
    vertices[0, 0], vertices[0, 4], vertices[0, 7] = math.nan, math.inf, 1e30
    faces[3, 1], faces[4, 0] = 60, -1
    weights = noise(20, 1, 1, 17, 20)
    options = {"sigma": 1.0, "binary": False}
    results = []
    for kept in (faces, faces[5:]):
        grad = grad_of(lambda v, f=kept: m2s(v, f, (17, 20), **options), vertices, weights)
        results.append((m2s(vertices, kept, (17, 20), **options), grad))
    for all_faces, usable in zip(*results, strict=True):
        torch.testing.assert_close(all_faces, usable, rtol=0, atol=1e-12)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_graph_capture_without_synchronisation() -> None:
    unit, faces = sphere(24, 32)
    vertices, faces = (unit * 20 + 24 + noise(21, 3, 1, 3)).float().cuda(), faces.cuda()
    static = vertices.clone().requires_grad_()
    weights = noise(22, 3, 1, 48, 50).float().cuda()

    def step() -> tuple[Tensor, Tensor]:
        silhouette = m2s(static, faces, (48, 50), sigma=1.25)
        return silhouette, torch.autograd.grad(silhouette, static, weights)[0]

    torch.cuda.set_sync_debug_mode("error")
    try:
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            step()
        torch.cuda.current_stream().wait_stream(stream)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = step()
    with torch.no_grad():
        static += 1.5
    graph.replay()
    assert all(map(torch.equal, captured, step()))


@pytest.mark.parametrize("exact", [False, True])
def test_double_backward_is_an_error(exact: bool) -> None:
    vertices = TRIANGLE.clone().requires_grad_()
    silhouette = m2s(vertices, loose_faces(1), 4, sigma=1.0, exact=exact)
    (grad,) = torch.autograd.grad(silhouette.sum(), vertices, create_graph=True)
    with pytest.raises(RuntimeError, match="m2s: double backward"):
        grad.sum().backward()


def test_opcheck() -> None:
    vertices, faces = soup(13, 2, 5, (9, 11), 3.0), loose_faces(5)
    coverage = m2s(vertices, faces, (9, 11), sigma=1.0, binary=False)
    silhouette = m2s(vertices, faces, (9, 11), sigma=1.0, exact=True)
    leaf = vertices.clone().requires_grad_()
    calls = [
        (torch.ops.topo.m2s_silhouette, (leaf, faces, [9, 11], 1.0, None)),
        (torch.ops.topo.m2s_silhouette, (leaf, faces.repeat(2, 1, 1), [9, 11], 1.0, 2.5)),
        (
            torch.ops.topo.m2s_silhouette_backward,
            (noise(14, 2, 1, 9, 11), vertices, faces, silhouette, coverage, 1.0, None),
        ),
        (torch.ops.topo.m2s_coverage, (leaf, faces, [9, 11], 1.0, None)),
        (torch.ops.topo.m2s_coverage, (leaf, faces.repeat(2, 1, 1), [9, 11], 1.0, 2.5)),
        (
            torch.ops.topo.m2s_backward,
            (noise(14, 2, 1, 9, 11), vertices, faces, coverage, 1.0, None),
        ),
    ]
    for op, arguments in calls:
        torch.library.opcheck(op.default, arguments)
    torch.library.opcheck(torch.ops.topo.m2s.default, (leaf, faces, [9, 11]), {"sigma": 1.0})


@pytest.mark.parametrize("options", [{}, {"binary": False}, {"window": 2.0, "gain": 2.0}, {"exact": True}])
def test_compile(options: dict[str, float]) -> None:
    vertices, faces = soup(15, 2, 5, (9, 11), 3.0), loose_faces(5)
    weights = noise(16, 2, 1, 9, 11)

    def render(v: Tensor) -> Tensor:
        return m2s(v, faces, (9, 11), sigma=1.0, **options)

    compiled = torch.compile(render, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(vertices), render(vertices))
    assert torch.equal(grad_of(compiled, vertices, weights), grad_of(render, vertices, weights))


@pytest.mark.filterwarnings("error:There is a performance drop")
@pytest.mark.parametrize("exact", [False, True])
def test_vmap(exact: bool) -> None:
    vertices = torch.stack([soup(k, 2, 5, (9, 11), 3.0) for k in range(3)])
    sets = torch.stack([loose_faces(5).roll(k, 0)[:4] for k in range(3)])
    weights = noise(17, 2, 1, 9, 11)

    def render(v: Tensor, f: Tensor) -> Tensor:
        return m2s(v, f, (9, 11), sigma=1.0, exact=exact)

    def grad(v: Tensor, f: Tensor) -> Tensor:
        return torch.func.grad(lambda x: (render(x, f) * weights).sum())(v)

    for function in (render, grad):
        for dims, faces in [((0, None), sets[0]), ((0, 0), sets), ((1, None), sets[0])]:
            given = vertices.transpose(0, dims[0])
            each = [function(v, faces[k] if dims[1] == 0 else faces) for k, v in enumerate(vertices)]
            mapped = torch.vmap(function, in_dims=dims)(given, faces)
            assert torch.equal(mapped, torch.stack(each))


def test_autocast_computes_in_float32() -> None:
    vertices, faces = soup(18, 1, 5, (9, 11), 3.0), loose_faces(5)
    with torch.autocast("cpu", torch.bfloat16):
        half = m2s(vertices.bfloat16(), faces, (9, 11), sigma=1.0, binary=False)
        double = m2s(vertices, faces, (9, 11), sigma=1.0, binary=False)
        exact = m2s(vertices.bfloat16(), faces, (9, 11), sigma=1.0, exact=True)
    rounded = vertices.bfloat16().float()
    assert torch.equal(exact, m2s(rounded, faces, (9, 11), sigma=1.0, exact=True))
    assert torch.equal(half, m2s(rounded, faces, (9, 11), sigma=1.0, binary=False))
    assert double.dtype == torch.float64
