"""m2s with arguments that it cannot use."""

from __future__ import annotations

import math

import pytest
import torch
from meshes import grad_of, loose_faces, noise, soup
from torch import Tensor

from topokernels import m2s

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


@pytest.mark.parametrize("exact", [False, True])
def test_double_backward_is_an_error(exact: bool) -> None:
    vertices = TRIANGLE.clone().requires_grad_()
    silhouette = m2s(vertices, loose_faces(1), 4, sigma=1.0, exact=exact)
    (grad,) = torch.autograd.grad(silhouette.sum(), vertices, create_graph=True)
    with pytest.raises(RuntimeError, match="m2s: double backward"):
        grad.sum().backward()
