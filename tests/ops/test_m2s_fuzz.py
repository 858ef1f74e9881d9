"""Random meshes, many of them invalid: m2s and rasterize return finite results or raise an error."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from topokernels import m2s, rasterize

EXAMPLES, MESHES = 85, 64  # per dtype; 10,880 meshes in total

SPECIAL = np.array([0.0, 0.5, 7.5, 1e-38, -1e-30, 1e7, -1.6e7, 16777216.0])
UNUSABLE = np.array([math.nan, math.inf, -math.inf, 1e30, -1e30, 3e38])


@dataclass(frozen=True)
class Mesh:
    vertices: Tensor  # (1, V, 3)
    faces: Tensor  # (F, 3)
    size: tuple[int, int]

    def valid(self) -> bool:
        flat = self.vertices[..., :2].abs() <= 2**24
        return bool(flat.all() and ((self.faces >= 0) & (self.faces < self.vertices.shape[1])).all())


def random_mesh(rng: np.random.Generator, dtype: torch.dtype) -> Mesh:
    """0 to 8 vertices and faces around an image of 0 to 12 pixels; about one mesh in three is invalid."""
    size = tuple(int(n) for n in rng.choice([0, 1, 2, 5, 8, 12], 2, p=[0.05, 0.1, 0.1, 0.25, 0.25, 0.25]))
    count = int(rng.integers(0, 9))
    vertices = rng.normal(rng.choice([4, 4, 4, 60]), rng.choice([0.1, 1, 4, 400]), (count, 3))
    if rng.random() < 0.3:
        vertices = vertices.round() + 0.5  # edges run through pixel centres
    pick = rng.random((count, 3))
    vertices = np.where(pick < 0.1, rng.choice(SPECIAL, (count, 3)), vertices)
    wrong = rng.choice(["no", "no", "coordinate", "index", "depth"])
    if wrong in ("coordinate", "depth"):
        column = slice(2, 3) if wrong == "depth" else slice(0, 2)
        spoilt = np.where(pick > 0.8, rng.choice(UNUSABLE, (count, 3)), vertices)
        vertices[:, column] = spoilt[:, column]
    faces = rng.integers(0, max(count, 1), (int(rng.integers(0, 9)) if count or wrong == "index" else 0, 3))
    if count >= 3 and rng.random() < 0.8:
        faces = rng.random((len(faces), count)).argsort(1)[:, :3]  # three different corners
    if len(faces) and rng.random() < 0.5:
        faces[-1] = faces[0]  # the same face twice
    if len(faces) and wrong == "index":
        faces[rng.integers(len(faces)), rng.integers(3)] = rng.choice([-1, count, 2**31 - 1, -(2**31), 1 << 40])
    indices = torch.from_numpy(faces)
    narrow = rng.random() < 0.5 and indices.equal(indices.int().long())
    return Mesh(torch.from_numpy(vertices[None]).to(dtype), indices.int() if narrow else indices, size)


def render(mesh: Mesh, sigma: float, blur_radius: float | None, kind: str) -> None:
    vertices = mesh.vertices.clone().requires_grad_()
    options = {"sigma": sigma, "blur_radius": blur_radius, "binary": kind != "soft", "exact": kind == "exact"}
    if not mesh.valid() and 0 not in mesh.size:
        with pytest.raises(RuntimeError, match=r"m2s: (vertices must be finite|faces must hold indices)"):
            m2s(vertices, mesh.faces, mesh.size, **options)
        return
    silhouette = m2s(vertices, mesh.faces, mesh.size, **options)
    assert silhouette.shape == (1, 1, *mesh.size) and silhouette.dtype == vertices.dtype
    assert ((silhouette >= 0) & (silhouette <= 1)).all()  # false for NaN
    silhouette.sum().backward()
    assert vertices.grad is not None and vertices.grad.isfinite().all()
    assert not vertices.grad[..., 2].any()


def shoot(mesh: Mesh) -> None:
    solid = bool((mesh.vertices[..., 2].abs() <= 2.0**100).all())
    if not (mesh.valid() and solid) and 0 not in mesh.size:
        with pytest.raises(RuntimeError, match=r"rasterize: (vertices must be finite|faces must hold indices)"):
            rasterize(mesh.vertices, mesh.faces, mesh.size)
        return
    index, barycentrics, depth = rasterize(mesh.vertices, mesh.faces, mesh.size)
    assert ((index >= -1) & (index < len(mesh.faces))).all()
    assert barycentrics.isfinite().all() and (depth.isfinite() == (index >= 0)).all()
    assert ((barycentrics >= 0) & (barycentrics <= 1 + 1e-6)).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_any_mesh_gives_an_error_or_finite_values(dtype: torch.dtype) -> None:
    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
    @given(
        seed=st.integers(0, 2**32 - 1),
        sigma=st.sampled_from([1e-5, 0.1, 1.25, 100.0, 1e9]),
        blur_radius=st.sampled_from([None, None, 0.0, 4.0, 1e30, math.inf]),
        kind=st.sampled_from(["soft", "binary", "exact"]),
    )
    def check(seed: int, sigma: float, blur_radius: float | None, kind: str) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(MESHES):
            mesh = random_mesh(rng, dtype)
            render(mesh, sigma, blur_radius, kind)
            shoot(mesh)

    check()
