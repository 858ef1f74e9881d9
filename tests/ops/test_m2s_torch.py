"""m2s with features of torch: layouts, threads, CUDA graphs, compile, vmap, autocast."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import pytest
import torch
from meshes import grad_of, loose_faces, noise, soup, sphere
from torch import Tensor

from topokernels import m2s


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
    unit, faces = sphere(24, 32)  # more faces than one task of the backward takes
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
from meshes import grad_of, loose_faces, noise, soup
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
