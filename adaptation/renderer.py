"""M2S of a posed body: vertices and a weak-perspective camera to a silhouette, behind one interface.

Backends: ``topokernels`` (default) and ``pytorch3d`` (optional; its INSTALL.md tells how to build it).
"""

from __future__ import annotations

import math
from typing import Any, Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

import topokernels
from adaptation.camera import project
from adaptation.errors import UserError

Backend = Literal["topokernels", "pytorch3d"]


class Renderer(Protocol):
    """Draws soft silhouettes."""

    def __call__(self, vertices: Tensor, faces: Tensor, camera: Tensor, size: int) -> Tensor:
        """Coverage (B, 1, size, size) in [0, 1] of vertices (B, V, 3) seen by cameras (B, 3)."""


def make_renderer(backend: Backend = "topokernels", *, sigma: float = 0.1) -> Renderer:
    """A renderer by name.

    Args:
        backend: who draws.
        sigma: softness of the outline in pixels squared, d^2 / sigma in the sigmoid.

    Raises:
        UserError: ``pytorch3d`` was asked for and cannot be imported.
    """
    if backend == "topokernels":
        return _Topokernels(sigma)
    return _PyTorch3D(sigma)


class _Topokernels:
    def __init__(self, sigma: float) -> None:
        self.sigma = sigma

    def __call__(self, vertices: Tensor, faces: Tensor, camera: Tensor, size: int) -> Tensor:
        pixels = project(vertices, camera, size)
        return topokernels.m2s(pixels, faces, size, sigma=self.sigma, binary=False)


class _PyTorch3D:
    """PyTorch3D's rasteriser and its soft silhouette: NDC is [-1, 1] with x left and y up."""

    def __init__(self, sigma: float, faces_per_pixel: int = 100) -> None:
        try:
            from pytorch3d.renderer import (
                BlendParams,
                FoVOrthographicCameras,
                MeshRasterizer,
                RasterizationSettings,
            )
            from pytorch3d.renderer.blending import sigmoid_alpha_blend
            from pytorch3d.structures import Meshes
        except ImportError:
            raise UserError("pytorch3d is not installed; see its INSTALL.md, or use --renderer topokernels") from None
        self.sigma, self.faces_per_pixel = sigma, faces_per_pixel
        self._blend_params, self._cameras, self._rasterizer = BlendParams, FoVOrthographicCameras, MeshRasterizer
        self._settings, self._blend, self._meshes = RasterizationSettings, sigmoid_alpha_blend, Meshes

    def __call__(self, vertices: Tensor, faces: Tensor, camera: Tensor, size: int) -> Tensor:
        ndc_sigma = self.sigma * (2 / size) ** 2
        pixels = project(vertices, camera, size)
        xy = 1 - pixels * (2 / size)
        # Depth only orders faces, which a silhouette does not need; it must lie in front of the camera.
        depth = vertices[..., 2:] - vertices[..., 2:].amin(dim=1, keepdim=True) + 1
        meshes = self._meshes(torch.cat([xy, depth], dim=-1), faces.expand(len(vertices), -1, -1))
        settings = self._settings(
            image_size=size,
            blur_radius=math.log(1 / 1e-4 - 1) * ndc_sigma,
            faces_per_pixel=self.faces_per_pixel,
            perspective_correct=False,
            bin_size=0,
        )
        cameras = self._cameras(device=vertices.device, znear=0.1, zfar=100.0)
        fragments = self._rasterizer(cameras=cameras, raster_settings=settings)(meshes)
        image = self._blend(torch.ones_like(fragments.bary_coords), fragments, self._blend_params(sigma=ndc_sigma))
        return image[..., 3].unsqueeze(1)


def exact_silhouette(vertices: Tensor, faces: Tensor, camera: Tensor, size: int) -> Tensor:
    """Pixels whose centre a body covers, (B, 1, size, size) of 0 and 1, not differentiable."""
    flat = torch.cat([project(vertices, camera, size), vertices[..., 2:]], dim=-1)
    nearest, _, _ = topokernels.rasterize(flat, faces, size)
    return (nearest >= 0).to(vertices.dtype).unsqueeze(1)


class _Outline(torch.autograd.Function):
    """Binary silhouette forward; backward, the loss's gradient at the outline to the soft coverage."""

    @staticmethod
    def forward(ctx: Any, coverage: Tensor, silhouette: Tensor) -> Tensor:
        ctx.save_for_backward(silhouette)
        return silhouette.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (inside,) = ctx.saved_tensors
        beside = F.avg_pool2d(torch.cat([grad * inside, inside], dim=1), 3, stride=1, padding=1)
        within, count = beside.split(1, dim=1)
        outline = 0.5 * (grad + within / count.clamp(min=1 / 18))
        return torch.where(inside > 0, 0, torch.where(count > 0, outline, grad)), None


def straight_through(silhouette: Tensor, coverage: Tensor) -> Tensor:
    """The values of a binary silhouette with a gradient to a soft one.

    Where the outline moves out, a pixel outside of it is gained; where it moves in, one inside is lost. A soft
    silhouette of many small faces changes outside of the outline only, so that it would hear of the gains alone
    and the body would come out too thin or too wide. Each pixel outside of the outline therefore gets the mean of
    its own gradient and that of its neighbours inside: a central difference.

    Args:
        silhouette: (B, 1, H, W) of 0 and 1, the exact one.
        coverage: (B, 1, H, W) soft, whose gradient is used.

    Returns:
        The values of ``silhouette``.
    """
    return _Outline.apply(coverage, silhouette)
