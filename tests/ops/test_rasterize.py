from __future__ import annotations

import math

import pytest
import torch
from meshes import loose_faces, noise, soup, sphere
from torch import Tensor

from topokernels import m2s, rasterize, reference


def solid(seed: int, batch: int, count: int, size: tuple[int, int], spread: float) -> Tensor:
    flat = soup(seed, batch, count, size, spread)
    return torch.cat([flat, noise(seed, batch, 3 * count, 1) + 5], dim=2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("spread", [0.8, 4.0, 40.0])
@pytest.mark.parametrize("size", [(1, 1), (1, 30), (17, 40)])
def test_equals_brute_force(size: tuple[int, int], spread: float, dtype: torch.dtype, device: torch.device) -> None:
    vertices, faces = solid(0, 3, 40, size, spread).to(dtype), loose_faces(40)
    index, barycentrics, depth = (a.cpu() for a in rasterize(vertices.to(device), faces.to(device), size))
    expected = reference.rasterize(vertices.double(), faces, size)
    assert index.dtype == torch.int64
    assert barycentrics.dtype == depth.dtype == dtype
    assert torch.equal(index, expected[0])
    tolerance = {"rtol": 1e-6, "atol": 1e-6} if dtype == torch.float32 else {"rtol": 1e-9, "atol": 1e-9}
    torch.testing.assert_close(barycentrics.double(), expected[1], **tolerance)
    torch.testing.assert_close(depth.double(), expected[2], **tolerance)


def test_barycentrics_interpolate_position_and_depth() -> None:
    vertices, faces = solid(1, 2, 10, (20, 22), 12.0), loose_faces(10)
    index, barycentrics, depth = rasterize(vertices, faces, (20, 22))
    hit = index >= 0
    assert hit.float().mean() > 0.2
    batch = torch.arange(2)[:, None, None, None]
    point = (barycentrics[..., None] * vertices[batch, faces[index.clamp(min=0)]]).sum(-2)
    y, x = torch.meshgrid(torch.arange(20) + 0.5, torch.arange(22) + 0.5, indexing="ij")
    expected = torch.stack([x, y], -1).double().expand(2, -1, -1, -1)
    torch.testing.assert_close(point[hit][:, :2], expected[hit], rtol=0, atol=1e-9)
    torch.testing.assert_close(point[hit][:, 2], depth[hit], rtol=0, atol=1e-9)
    assert (barycentrics[hit] >= 0).all()
    assert (index[~hit] == -1).all() and (depth[~hit] == math.inf).all()
    assert not barycentrics[~hit].any()


def test_nearest_wins_and_the_first_of_equals() -> None:
    triangle = torch.tensor([[-9.0, -9.0, 0.0], [30.0, -9.0, 0.0], [-9.0, 30.0, 0.0]])
    depths = torch.tensor([3.0, 1.0, 1.0, 2.0])
    vertices = torch.cat([triangle + torch.tensor([0.0, 0.0, z]) for z in depths])[None]
    index, _, depth = rasterize(vertices, loose_faces(4), 4)
    assert (index == 1).all() and (depth == 1).all()


def test_shared_edges_leave_no_gap() -> None:
    # The diagonal and all sides run through pixel centres.
    square = torch.tensor([[0.5, 0.5, 1], [8.5, 0.5, 1], [8.5, 8.5, 1], [0.5, 8.5, 1]])[None]
    index, _, _ = rasterize(square, torch.tensor([[0, 1, 2], [0, 2, 3]]), 10)
    covered = (index[0] >= 0).nonzero()
    assert len(covered) == 81 and covered.max() == 8
    assert (index[0].diagonal()[:9] == 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rounding_leaves_no_hole_on_edges_and_corners(dtype: torch.dtype, device: torch.device) -> None:
    corner = torch.tensor([[[2.5, 1.5, 1], [0.5, 3.5, 1], [3.5, 3.5, 1]]], dtype=dtype)
    index, barycentrics, _ = (a[0, 3, 3].cpu() for a in rasterize(corner.to(device), loose_faces(1).to(device), 4))
    assert index == 0 and barycentrics.tolist() == [0, 0, 1]
    # The centre of pixel (27, 45) lies on the shared edge, three quarters along.
    kite = torch.tensor([[[0.5, 0.5, 1], [60.5, 36.5, 5], [-53.5, 126.5, 1], [46.5, -31.5, 1]]], dtype=dtype)
    faces = torch.tensor([[0, 1, 2], [0, 1, 3]])
    index, barycentrics, depth = (a[0, 27, 45].cpu() for a in rasterize(kite.to(device), faces.to(device), 64))
    assert index == 0 and depth == 4
    torch.testing.assert_close(barycentrics, torch.tensor([0.25, 0.75, 0], dtype=dtype))


@pytest.mark.parametrize("seed", range(4))
def test_covers_what_the_exact_silhouette_covers(seed: int) -> None:
    """Corners lie on pixel centres, so that edges run through centres; the thinnest faces are 1e-9 pixels high."""
    generator = torch.Generator().manual_seed(seed)
    flat = torch.randint(0, 24, (1, 90, 2), generator=generator).double() + 0.5
    flat[:, 60:] += 1e-9 * torch.rand(1, 30, 2, generator=generator).double()
    vertices, faces = torch.cat([flat, flat[..., :1]], dim=2), loose_faces(30)
    index, barycentrics, depth = rasterize(vertices, faces, 24)
    assert torch.equal((index >= 0)[:, None].double(), m2s(vertices, faces, 24, sigma=0.1, exact=True))
    hit = index >= 0
    torch.testing.assert_close(barycentrics[hit].sum(-1), torch.ones(int(hit.sum())).double())
    assert (barycentrics >= 0).all() and (depth[hit] > 0.4).all() and (depth[hit] < 25).all()


def test_front_of_a_sphere_and_the_same_silhouette_as_m2s() -> None:
    unit, faces = sphere(16, 24)
    vertices = (unit * 12 + 16.03)[None]
    index, _, depth = rasterize(vertices, faces, 32)
    hit = index >= 0
    y, x = torch.meshgrid(torch.arange(32) + 0.5, torch.arange(32) + 0.5, indexing="ij")
    front = 16.03 - (144 - (x - 16.03) ** 2 - (y - 16.03) ** 2).clamp(min=0).sqrt()
    inner = (x - 16.03) ** 2 + (y - 16.03) ** 2 < 100
    assert (depth[0] - front)[inner].abs().max() < 0.4
    assert torch.equal(hit[:, None], m2s(vertices, faces, 32, sigma=1e-4) == 1)


def test_both_windings_and_degenerate_faces() -> None:
    vertices = solid(2, 1, 6, (12, 12), 4.0)
    for a, b in zip(
        rasterize(vertices, loose_faces(6), 12)[::2],
        rasterize(vertices, loose_faces(6).flip(1), 12)[::2],
        strict=True,
    ):
        torch.testing.assert_close(a, b)
    line = torch.tensor([[[0.0, 0, 1], [5, 5, 1], [10, 10, 1]]])
    assert (rasterize(line, loose_faces(1), 12)[0] == -1).all()


@pytest.mark.parametrize("shape", [(0, 4, 5), (2, 0, 5), (2, 4, 0), (2, 4, 5)])
def test_empty(shape: tuple[int, int, int]) -> None:
    batch, *size = shape
    index, barycentrics, depth = rasterize(torch.zeros(batch, 0, 3), torch.zeros(0, 3, dtype=torch.int64), size)
    assert index.shape == depth.shape == shape and barycentrics.shape == (*shape, 3)
    assert (index == -1).all() and (depth == math.inf).all()


def test_faces_of_their_own_per_image_and_layouts(device: torch.device) -> None:
    vertices = solid(3, 3, 6, (15, 18), 4.0).to(device)
    faces = torch.stack([loose_faces(6).roll(k, 0)[:4] for k in range(3)]).to(device)
    together = rasterize(vertices.mT.contiguous().mT, faces.int(), (15, 18))
    for k in range(3):
        alone = rasterize(vertices[k : k + 1], faces[k], (15, 18))
        assert all(torch.equal(a[k : k + 1], b) for a, b in zip(together, alone, strict=True))


def test_threads_do_not_show() -> None:
    vertices, results = solid(4, 1, 200, (40, 40), 6.0), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        results.append(rasterize(vertices, loose_faces(200), 40))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


SOLID = torch.tensor([[[0.0, 0, 1], [4, 0, 1], [0, 4, 1]]])


@pytest.mark.parametrize(
    ("vertices", "faces", "size", "message"),
    [
        (
            SOLID[..., :2],
            loose_faces(1),
            4,
            r"rasterize: vertices must have shape \(B, V, 3\), got",
        ),
        (SOLID.bfloat16(), loose_faces(1), 4, "rasterize: vertices must be float32 or float64"),
        (SOLID, loose_faces(1).bool(), 4, "rasterize: faces must be int32 or int64, got Bool"),
        (SOLID, loose_faces(1) + 7, 4, "rasterize: faces must hold indices .* 2, got 7 in face 0"),
        (SOLID, loose_faces(1), (4,), r"rasterize: size must be \(height, width\), got 1"),
        (SOLID * math.nan, loose_faces(1), 4, "rasterize: vertices must be finite"),
        (
            SOLID * torch.tensor([1, 1, 1e31]),
            loose_faces(1),
            4,
            r"rasterize: vertices .* got 1e\+31 at \(0, 0, 2\)",
        ),
    ],
)
def test_errors(vertices: Tensor, faces: Tensor, size: object, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        rasterize(vertices, faces, size)  # type: ignore[arg-type]


def test_outputs_carry_no_gradient() -> None:
    vertices = SOLID.clone().requires_grad_()
    outputs = rasterize(vertices, loose_faces(1), 4)
    assert not any(output.requires_grad for output in outputs)
    (outputs[2].nan_to_num(posinf=0).sum() + vertices.sum()).backward()
    assert torch.equal(vertices.grad, torch.ones_like(vertices))


def test_opcheck_compile_vmap_autocast() -> None:
    vertices, faces = solid(5, 2, 5, (9, 11), 3.0), loose_faces(5)
    torch.library.opcheck(torch.ops.topo.rasterize.default, (vertices, faces, [9, 11]))
    torch.library.opcheck(torch.ops.topo.rasterize.default, (vertices.clone().requires_grad_(), faces.int(), [9, 11]))
    expected = rasterize(vertices, faces, (9, 11))
    compiled = torch.compile(rasterize, fullgraph=True, backend="aot_eager")
    assert all(map(torch.equal, compiled(vertices, faces, (9, 11)), expected))
    mapped = torch.vmap(lambda v: rasterize(v, faces, (9, 11)))(torch.stack([vertices] * 2))
    assert all(torch.equal(m[1], e) for m, e in zip(mapped, expected, strict=True))
    with torch.autocast("cpu", torch.bfloat16):
        half = rasterize(vertices.bfloat16(), faces, (9, 11))
    assert half[1].dtype == half[2].dtype == torch.float32
