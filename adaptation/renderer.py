"""M2S of a posed body: vertices and a weak-perspective camera to a silhouette.

Two backends draw the same picture through the same camera: this project's operators, and PyTorch3D where it is
installed, to compare with.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

import torch
from torch import Tensor

import topokernels
from adaptation.camera import project
from adaptation.errors import UserError

BackendName = Literal["topokernels", "pytorch3d"]
BACKENDS: tuple[BackendName, ...] = ("topokernels", "pytorch3d")


class Renderer(Protocol):
    """Draws bodies: vertices (B, V, 3) and faces (F, 3) seen by cameras (B, 3) in size x size pixels."""

    def coverage(self, vertices: Tensor, faces: Tensor, camera: Tensor, size: int) -> Tensor:
        """Soft silhouettes (B, 1, size, size) in [0, 1], differentiable in vertices and camera."""

    def silhouette(self, vertices: Tensor, faces: Tensor, camera: Tensor, size: int) -> Tensor:
        """Pixels whose centre a body covers, (B, 1, size, size) of 0 and 1, with `straight_through`'s gradient."""

    def rasterize(self, vertices: Tensor, faces: Tensor, camera: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
        """The nearest face, barycentrics and depth as :func:`topokernels.rasterize` gives them."""


class TopokernelsRenderer:
    """This project's operators, on every device.

    Args:
        sigma: softness of the outline in pixels squared, d^2 / sigma in the sigmoid.
    """

    def __init__(self, sigma: float = 0.1) -> None:
        self.sigma = sigma

    def coverage(self, vertices: Tensor, faces: Tensor, camera: Tensor, size: int) -> Tensor:
        """Soft silhouettes (B, 1, size, size)."""
        return topokernels.m2s(project(vertices, camera, size), faces, size, sigma=self.sigma, binary=False)

    def silhouette(self, vertices: Tensor, faces: Tensor, camera: Tensor, size: int) -> Tensor:
        """Pixels whose centre a body covers, (B, 1, size, size)."""
        points = project(vertices, camera, size)
        # What nobody differentiates needs no soft outline.
        blur_radius = None if points.requires_grad else 0.0
        return topokernels.m2s(points, faces, size, sigma=self.sigma, blur_radius=blur_radius, exact=True)

    def rasterize(self, vertices: Tensor, faces: Tensor, camera: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
        """The nearest face, barycentrics and depth."""
        points = torch.cat([project(vertices, camera, size), vertices[..., 2:]], dim=-1)
        return topokernels.rasterize(points, faces, size)


def make_renderer(backend: BackendName = "topokernels", *, sigma: float = 0.1) -> Renderer:
    """A renderer by name.

    Args:
        backend: "topokernels", or "pytorch3d" where it is installed.
        sigma: softness of the outline in pixels squared, d^2 / sigma in the sigmoid.

    Raises:
        UserError: an unknown name, or PyTorch3D cannot be imported.
    """
    if backend == "topokernels":
        return TopokernelsRenderer(sigma)
    if backend == "pytorch3d":
        from adaptation.renderer_pytorch3d import PyTorch3DRenderer

        return PyTorch3DRenderer(sigma)
    raise UserError(f"renderer must be one of {', '.join(BACKENDS)}, got {backend!r}")


@torch.no_grad()
def exact_silhouette(vertices: Tensor, faces: Tensor, camera: Tensor, size: int) -> Tensor:
    """Pixels whose centre a body covers, (B, 1, size, size) of 0 and 1, not differentiable."""
    return TopokernelsRenderer().silhouette(vertices, faces, camera, size)


class _Outline(torch.autograd.Function):
    """Binary silhouette forward; backward, the loss's gradient at the outline to the soft coverage."""

    @staticmethod
    def forward(ctx: Any, coverage: Tensor, silhouette: Tensor) -> Tensor:
        ctx.save_for_backward(silhouette)
        return silhouette.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (inside,) = ctx.saved_tensors
        within, count = _sum_3x3(grad * inside), _sum_3x3(inside)
        outline = within.div_(count.clamp(min=1)).add_(grad).mul_(0.5)
        return torch.where(count > 0, outline, grad).mul_(1 - inside), None


def _sum_3x3(images: Tensor) -> Tensor:
    """Sums over each pixel and its neighbours; by shifted adds, since pooling is several times slower on the CPU."""
    columns = images.clone()
    columns[..., 1:, :] += images[..., :-1, :]
    columns[..., :-1, :] += images[..., 1:, :]
    sums = columns.clone()
    sums[..., 1:] += columns[..., :-1]
    sums[..., :-1] += columns[..., 1:]
    return sums


def straight_through(silhouette: Tensor, coverage: Tensor) -> Tensor:
    """The values of a binary silhouette with a gradient to a soft one, as ``topokernels.m2s(..., exact=True)`` has.

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
