"""M2S of a posed body: vertices and a camera to a silhouette.

Two backends render the same picture through the same camera: this project's operators, and PyTorch3D, if it is
installed, for comparison.
"""

from __future__ import annotations

from typing import Literal, Protocol

import torch
from torch import Tensor

import topokernels
from adaptation.bodies.camera import Camera, project
from adaptation.support.errors import UserError

BackendName = Literal["topokernels", "pytorch3d"]
BACKENDS: tuple[BackendName, ...] = ("topokernels", "pytorch3d")


class Renderer(Protocol):
    """Renders bodies: vertices (B, V, 3) in metres and faces (F, 3), seen by B cameras, in size x size pixels."""

    def coverage(self, vertices: Tensor, faces: Tensor, camera: Camera, size: int) -> Tensor:
        """Return soft silhouettes (B, 1, size, size) in [0, 1], differentiable in vertices and camera."""

    def silhouette(self, vertices: Tensor, faces: Tensor, camera: Camera, size: int) -> Tensor:
        """Return the pixels whose centre a body covers, (B, 1, size, size) of 0 and 1.

        Differentiable in vertices and camera: straight through to the coverage, a central difference at the outline.
        """

    def rasterize(self, vertices: Tensor, faces: Tensor, camera: Camera, size: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the nearest face, barycentrics and depth of each pixel, as :func:`topokernels.rasterize` does."""


class TopokernelsRenderer:
    """Renders with this project's operators, on every device.

    Args:
        sigma: softness of the outline in pixels squared; the sigmoid's argument is d^2 / sigma.
    """

    def __init__(self, sigma: float = 0.1) -> None:
        # Below PyTorch3D's 1.25 (at 224 pixels): in fits the silhouette is exact, and sigma only shapes its gradient.
        self.sigma = sigma

    def coverage(self, vertices: Tensor, faces: Tensor, camera: Camera, size: int) -> Tensor:
        """Return soft silhouettes (B, 1, size, size)."""
        return topokernels.m2s(project(vertices, camera, size), faces, size, sigma=self.sigma, binary=False)

    def silhouette(self, vertices: Tensor, faces: Tensor, camera: Camera, size: int) -> Tensor:
        """Return the pixels whose centre a body covers, (B, 1, size, size) of 0 and 1."""
        points = project(vertices, camera, size)
        # Only the gradient needs the soft outline: without one, a radius of 0 skips it.
        blur_radius = None if points.requires_grad else 0.0
        return topokernels.m2s(points, faces, size, sigma=self.sigma, blur_radius=blur_radius, exact=True)

    def rasterize(self, vertices: Tensor, faces: Tensor, camera: Camera, size: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the nearest face, barycentrics and depth of each pixel."""
        # z orders the faces; the camera's distance would be the same constant for all of them.
        points = torch.cat([project(vertices, camera, size), vertices[..., 2:]], dim=-1)
        return topokernels.rasterize(points, faces, size)


def make_renderer(backend: BackendName = "topokernels", *, sigma: float = 0.1) -> Renderer:
    """Return a renderer by name.

    Args:
        backend: "topokernels", or "pytorch3d" if it is installed.
        sigma: softness of the outline in pixels squared; the sigmoid's argument is d^2 / sigma.

    Raises:
        UserError: the name is unknown, or PyTorch3D cannot be imported.
    """
    if backend == "topokernels":
        return TopokernelsRenderer(sigma)
    if backend == "pytorch3d":
        # Imported here because PyTorch3D is optional.
        from adaptation.bodies.renderer_pytorch3d import PyTorch3DRenderer

        return PyTorch3DRenderer(sigma)
    raise UserError(f"renderer must be one of {', '.join(BACKENDS)}, got {backend!r}")


@torch.no_grad()
def exact_silhouette(vertices: Tensor, faces: Tensor, camera: Camera, size: int) -> Tensor:
    """Return the pixels whose centre a body covers, (B, 1, size, size) of 0 and 1, without a gradient."""
    # Always with these operators, so that metrics do not depend on the renderer that was chosen.
    return TopokernelsRenderer().silhouette(vertices, faces, camera, size)
