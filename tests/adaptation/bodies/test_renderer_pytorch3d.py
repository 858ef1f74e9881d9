"""The two renderers draw the same picture. Runs where PyTorch3D is installed."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from adaptation.bodies.body import Body
from adaptation.bodies.camera import WeakPerspective, project
from adaptation.bodies.poses import sample_poses
from adaptation.bodies.renderer import Renderer, make_renderer

pytest.importorskip("pytorch3d.renderer")

from pytorch3d.renderer import (
    BlendParams,
    MeshRasterizer,
    MeshRenderer,
    OrthographicCameras,
    RasterizationSettings,
    SoftSilhouetteShader,
)
from pytorch3d.structures import Meshes

from adaptation.bodies.renderer_pytorch3d import PyTorch3DRenderer

ENOUGH = 400  # faces per pixel: none is dropped in these pictures


@pytest.fixture(scope="module")
def bodies(free_body: Body) -> tuple[Tensor, WeakPerspective]:
    """Vertices (2, V, 3) and cameras (2, 3) of bodies that are nowhere symmetric."""
    poses = sample_poses(2, torch.Generator().manual_seed(3), ["walking", "reaching"])
    with torch.no_grad():
        vertices = free_body(poses, torch.zeros(2, 10)).vertices
    return vertices, WeakPerspective(torch.tensor([[0.85, 0.1, 0.3], [0.7, -0.2, 0.35]]))


def large_faces(vertices: Tensor, faces: Tensor, camera: WeakPerspective, size: int) -> Tensor:
    """The faces whose doubled area is above 1e-8 in normalised coordinates: PyTorch3D leaves out all others."""
    a, b, c = (project(vertices, camera, size)[:, faces] * (2 / size)).unbind(2)
    doubled = (b - a)[..., 0] * (c - a)[..., 1] - (b - a)[..., 1] * (c - a)[..., 0]
    return faces[(doubled.abs() > 1.01e-8).all(0)]


def gradients(
    renderer: Renderer, vertices: Tensor, faces: Tensor, camera: WeakPerspective, weight: Tensor
) -> list[Tensor]:
    inputs = [vertices.clone().requires_grad_(), camera.parameters.clone().requires_grad_()]
    picture = renderer.coverage(inputs[0], faces, WeakPerspective(inputs[1]), weight.shape[-1])
    return list(torch.autograd.grad((weight * picture).sum(), inputs))


@pytest.mark.parametrize(("size", "sigma"), [(96, 0.1), (64, 1.25), (61, 0.5)])
def test_coverage_and_gradients_agree(
    free_body: Body, bodies: tuple[Tensor, WeakPerspective], size: int, sigma: float
) -> None:
    vertices, camera = bodies
    faces = large_faces(vertices, free_body.faces, camera, size)
    assert len(faces) > 0.98 * len(free_body.faces)
    ours, theirs = make_renderer(sigma=sigma), PyTorch3DRenderer(sigma, faces_per_pixel=ENOUGH)
    with torch.no_grad():
        pictures = [renderer.coverage(vertices, faces, camera, size) for renderer in (ours, theirs)]
    assert pictures[1].shape == pictures[0].shape == (2, 1, size, size)
    torch.testing.assert_close(*pictures, atol=1e-3, rtol=0)
    assert ((pictures[0] > 0.5) != (pictures[1] > 0.5)).float().mean() <= 1e-3

    weight = torch.randn(pictures[0].shape, generator=torch.Generator().manual_seed(4))
    for a, b in zip(*(gradients(r, vertices, faces, camera, weight) for r in (ours, theirs)), strict=True):
        assert torch.cosine_similarity(a.flatten(), b.flatten(), dim=0) >= 0.999
        assert 0.999 < a.norm() / b.norm() < 1.001


def test_whole_body_has_the_same_mask(free_body: Body, bodies: tuple[Tensor, WeakPerspective]) -> None:
    vertices, camera = bodies
    size = 128
    ours, theirs = make_renderer("topokernels", sigma=0.1), make_renderer("pytorch3d", sigma=0.1)
    faces = free_body.faces
    for draw in (
        lambda renderer: renderer.coverage(vertices, faces, camera, size) > 0.5,
        lambda renderer: renderer.silhouette(vertices, faces, camera, size) > 0.5,
    ):
        a, b = draw(ours), draw(theirs)
        assert a.any() and (a != b).float().mean() <= 1e-3


def test_camera_is_pytorch3ds_own(free_body: Body, bodies: tuple[Tensor, WeakPerspective]) -> None:
    vertices, camera = bodies
    size, faces = 64, free_body.faces
    scale, shift = camera.scale, camera.parameters[:, 1:]
    cameras = OrthographicCameras(
        focal_length=scale.expand(-1, 2),
        principal_point=-scale * shift,  # x left, y up
        R=torch.diag(torch.tensor([-1.0, -1.0, 1.0])).expand(2, 3, 3),
        T=torch.tensor([0.0, 0.0, 10.0]).expand(2, 3),
    )
    settings = RasterizationSettings(
        image_size=size, blur_radius=math.log(1 / 1e-4 - 1) * 1e-4, faces_per_pixel=ENOUGH, perspective_correct=False
    )
    renderer = MeshRenderer(MeshRasterizer(cameras, settings), SoftSilhouetteShader(BlendParams(sigma=1e-4)))
    wanted = renderer(Meshes(vertices, faces.expand(2, -1, -1)))[..., 3]
    drawn = make_renderer(sigma=1e-4 * (size / 2) ** 2).coverage(vertices, faces, camera, size)
    torch.testing.assert_close(drawn[:, 0], wanted, atol=2e-3, rtol=0)


def test_nearest_face_and_depth_agree_but_for_ties(free_body: Body, bodies: tuple[Tensor, WeakPerspective]) -> None:
    vertices, camera = bodies
    size = 128
    faces = large_faces(vertices, free_body.faces, camera, size)
    index, weights, depth = make_renderer("topokernels").rasterize(vertices, faces, camera, size)
    index3d, weights3d, depth3d = make_renderer("pytorch3d").rasterize(vertices, faces, camera, size)
    assert index3d.shape == index.shape and weights3d.shape == weights.shape and depth3d.shape == depth.shape

    # PyTorch3D leaves out pixel centres that lie on an edge.
    hit, hit3d = index >= 0, index3d >= 0
    assert not (hit3d & ~hit).any()
    assert (weights[hit & ~hit3d].amin(-1) < 1e-5).all()
    both = hit & hit3d
    same = index == index3d
    torch.testing.assert_close(depth[both], depth3d[both], atol=2e-3, rtol=0)
    torch.testing.assert_close(weights[both & same], weights3d[both & same], atol=2e-2, rtol=0)
    assert same[both].float().mean() > 0.999
    assert torch.isinf(depth3d[~hit3d]).all() and not weights3d[~hit3d].any() and (index3d[~hit3d] == -1).all()
