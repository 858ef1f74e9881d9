"""PyTorch3D as a renderer: the same camera and the same picture as this project's operators.

PyTorch3D is optional. Its normalised coordinates run over [-1, 1] with x to the left and y up, so a pixel p is
``1 - 2 p / size`` there, on both axes, and a squared distance in pixels is ``(2 / size)^2`` of its units.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from adaptation.bodies.camera import Camera, project
from adaptation.support.errors import UserError
from topokernels.reference import straight_through

_INSTALL = "https://github.com/facebookresearch/pytorch3d/blob/main/INSTALL.md"


class PyTorch3DRenderer:
    """Renders with PyTorch3D's ``SoftSilhouetteShader`` and ``MeshRasterizer``, in float32.

    Args:
        sigma: softness of the outline in pixels squared; the sigmoid's argument is d^2 / sigma.
        faces_per_pixel: number of nearest faces that a pixel's coverage is computed from; PyTorch3D drops the others.

    Raises:
        UserError: PyTorch3D cannot be imported.
    """

    def __init__(self, sigma: float = 0.1, faces_per_pixel: int = 100) -> None:
        try:
            import pytorch3d.renderer
            import pytorch3d.structures
        except ImportError as error:
            raise UserError(f"PyTorch3D cannot be imported ({error}); how to install it: {_INSTALL}") from None
        self._pytorch3d = pytorch3d
        self.sigma, self.faces_per_pixel = sigma, faces_per_pixel

    def coverage(self, vertices: Tensor, faces: Tensor, camera: Camera, size: int) -> Tensor:
        """Return soft silhouettes (B, 1, size, size)."""
        renderer = self._pytorch3d.renderer
        sigma = self.sigma * (2 / size) ** 2
        meshes, _ = self._meshes(vertices, faces, camera, size)
        # The same blur radius as the default of topokernels.m2s: where the sigmoid falls to 1e-4.
        rasterizer = self._rasterizer(
            meshes, size, blur_radius=math.log(1 / 1e-4 - 1) * sigma, faces_per_pixel=self.faces_per_pixel
        )
        shader = renderer.SoftSilhouetteShader(renderer.BlendParams(sigma=sigma))
        # The shader returns RGBA; its alpha is the coverage.
        alpha: Tensor = shader(rasterizer(meshes), meshes)[..., 3]
        return alpha.unsqueeze(1).to(vertices.dtype)

    def silhouette(self, vertices: Tensor, faces: Tensor, camera: Camera, size: int) -> Tensor:
        """Return the pixels whose centre a body covers, (B, 1, size, size) of 0 and 1."""
        with torch.no_grad():
            nearest, _, _ = self.rasterize(vertices, faces, camera, size)
        silhouette = (nearest >= 0).to(vertices.dtype).unsqueeze(1)
        # Coverage blends up to 100 faces per pixel, and only gradients need it.
        if not (torch.is_grad_enabled() and project(vertices, camera, size).requires_grad):
            return silhouette
        return straight_through(silhouette, self.coverage(vertices, faces, camera, size))

    def rasterize(self, vertices: Tensor, faces: Tensor, camera: Camera, size: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the nearest face, barycentrics and depth of each pixel."""
        meshes, nearest = self._meshes(vertices, faces, camera, size)
        fragments = self._rasterizer(meshes, size)(meshes)
        packed, barycentrics = fragments.pix_to_face[..., 0], fragments.bary_coords[..., 0, :]
        hit = packed >= 0
        index = torch.where(hit, packed % max(len(faces), 1), -1)  # PyTorch3D numbers the faces of the whole batch
        depth = torch.where(hit, fragments.zbuf[..., 0] + nearest, math.inf)
        return index, torch.where(hit[..., None], barycentrics, 0).to(vertices.dtype), depth.to(vertices.dtype)

    def _meshes(self, vertices: Tensor, faces: Tensor, camera: Camera, size: int) -> tuple[Any, Tensor]:
        """Meshes in normalised coordinates, and the depth that was subtracted so that their depth is positive."""
        plane = 1 - project(vertices, camera, size) * (2 / size)
        # Silhouettes have no gradient in depth.
        depth = vertices[..., 2:].detach()
        nearest = depth.amin() - 1
        points = torch.cat([plane, depth - nearest], dim=-1).float()
        return self._pytorch3d.structures.Meshes(points, faces.expand(len(points), -1, -1)), nearest

    def _rasterizer(self, meshes: Any, size: int, **settings: Any) -> Any:
        renderer = self._pytorch3d.renderer
        return renderer.MeshRasterizer(
            # Its default transform is the identity: the vertices are already in normalised coordinates.
            cameras=renderer.FoVOrthographicCameras(device=meshes.device),
            raster_settings=renderer.RasterizationSettings(
                image_size=size,
                # The vertices are projected already: barycentrics are those of the image plane.
                perspective_correct=False,
                # The default bin size drops all faces beyond 10,000, so let one bin hold every face.
                max_faces_per_bin=meshes.faces_padded().shape[1],
                **settings,
            ),
        )
