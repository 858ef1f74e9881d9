"""Posed bodies with three numbers of faces, for the benchmarks of rendering and fitting."""

from __future__ import annotations

import dataclasses
from importlib import resources

import numpy as np
import torch
from torch import Tensor

from adaptation.bodies.body import Body
from adaptation.bodies.camera import WeakPerspective, fit_camera_to_bbox, project
from adaptation.bodies.poses import sample_poses
from adaptation.bodies.smpl_file import SmplArrays, load_smpl
from adaptation.fitting.variables import BodyVariables

LOW, SMPL_SIZED, FULL = 2454, 13776, 27420
FACES = (LOW, SMPL_SIZED, FULL)


def body_of(faces: int) -> Body:
    """Return the free body with 2,454 faces, with all its 27,420, or subdivided to SMPL's 13,776 (6,890 vertices)."""
    if faces in (LOW, FULL):
        return Body.free(full=faces == FULL)
    if faces != SMPL_SIZED:
        raise ValueError(f"there are bodies of {FACES} faces, not of {faces}")
    with resources.as_file(resources.files("adaptation") / "assets" / "free_body.npz") as path:
        arrays = _with_midpoints(load_smpl(path))
    return Body(_with_centres(arrays, (SMPL_SIZED - len(arrays.f)) // 2))


def people(count: int, device: str) -> BodyVariables:
    """Return walking and standing people, each as tall as four fifths of the image."""
    poses = sample_poses(count, torch.Generator().manual_seed(0), ["walking", "standing"])
    betas = torch.zeros(count, 10)
    with torch.no_grad():
        vertices = Body.free()(poses, betas).vertices
    camera = fit_camera_to_bbox(vertices, torch.tensor([[0.1, 0.1, 0.9, 0.9]]), 1).parameters
    # A crop is two units wide: 1.6 is four fifths of it.
    camera[:, 0] = 1.6 / (vertices[..., 1].amax(1) - vertices[..., 1].amin(1))
    return BodyVariables(poses, betas, WeakPerspective(camera)).to(device)


@torch.no_grad()
def meshes(faces: int, count: int, size: int, device: str) -> tuple[Tensor, Tensor]:
    """Return vertices (count, V, 3) of people, x and y in pixels and z positive, and their faces (F, 3)."""
    body, seen = body_of(faces).to(device), people(count, device)
    vertices = body(seen.pose, seen.betas).vertices
    # Ten metres keep every vertex in front of the camera.
    return torch.cat([project(vertices, seen.camera, size), vertices[..., 2:] + 10], dim=2), body.faces


def _with_midpoints(arrays: SmplArrays) -> SmplArrays:
    """Divide every face into four."""
    edges = np.sort(np.concatenate([arrays.f[:, [k, (k + 1) % 3]] for k in range(3)]), axis=1)
    ends, index = np.unique(edges, axis=0, return_inverse=True)
    a, b, c = arrays.f.T
    ab, bc, ca = len(arrays.v_template) + index.reshape(3, -1)
    faces = np.concatenate([np.stack(corners, 1) for corners in ((a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca))])
    return _with_means(arrays, ends, faces)


def _with_centres(arrays: SmplArrays, count: int) -> SmplArrays:
    """Divide each of the first ``count`` faces into three."""
    split = arrays.f[:count]
    a, b, c = split.T
    centre = len(arrays.v_template) + np.arange(count)
    faces = np.concatenate([np.stack(corners, 1) for corners in ((a, b, centre), (b, c, centre), (c, a, centre))])
    return _with_means(arrays, split, np.concatenate([faces, arrays.f[count:]]))


def _with_means(arrays: SmplArrays, of: np.ndarray, faces: np.ndarray) -> SmplArrays:
    """Append vertices, each the mean of the vertices in a row of ``of`` (N, k), and replace the faces."""
    template, shape, weights = (
        np.concatenate([values, values[of].mean(axis=1)])
        for values in (arrays.v_template, arrays.shapedirs, arrays.weights)
    )
    # New vertices have no part in the joints, which stay where they are.
    regressor = np.concatenate([arrays.J_regressor, np.zeros((24, len(of)))], axis=1)
    return dataclasses.replace(
        arrays, v_template=template, shapedirs=shape, weights=weights, J_regressor=regressor, f=faces
    )
