"""Pictures of bodies, drawn with the rasteriser.

Image coordinates: x right, y down, pixel centres at +0.5. Depth points forward and is in pixels as
well, so that a body keeps its proportions; smaller depth is nearer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from adaptation.support.pictures import AFTER, Color, Floats, Image
from topokernels import rasterize

# Direction towards the default light, above the camera and to its left.
_LIGHT = np.array([-0.38, -0.55, -0.74], np.float32)


@dataclass(frozen=True, eq=False)
class Surface:
    """The visible surface of a mesh, sampled n x n times per pixel in the part of the image that it covers.

    Attributes:
        box: x, y, width, height of that part in whole pixels.
        samples: n, samples along each side of a pixel.
        visible: (h * n, w * n) bool, whether a sample hits the mesh.
        normal: (h * n, w * n, 3) unit normals, smooth over faces; 0 where the mesh is not visible.
        depth: (h * n, w * n) pixels, infinite where the mesh is not visible.
        vertices: (h * n, w * n, 3) indices of the corners of the nearest face.
        weights: (h * n, w * n, 3) barycentric weights of those corners; 0 where the mesh is not visible.
    """

    box: tuple[int, int, int, int]
    samples: int
    visible: npt.NDArray[np.bool_]
    normal: Floats
    depth: Floats
    vertices: npt.NDArray[np.int64]
    weights: Floats

    def interpolate(self, values: Floats) -> Floats:
        """Interpolate values of vertices (V, C) at the samples, (h * n, w * n, C)."""
        return np.asarray(np.einsum("hwk,hwkc->hwc", self.weights, values[self.vertices]), np.float32)

    def average(self, values: Floats) -> Floats:
        """Average samples (h * n, w * n, ...) over pixels, (h, w, ...)."""
        _, _, w, h = self.box
        n = self.samples
        # Axes 1 and 3 run over the samples within a pixel.
        return np.asarray(values.reshape(h, n, w, n, *values.shape[2:]).mean((1, 3)), np.float32)


def see(
    vertices_px: Floats | Tensor,
    faces: npt.NDArray[np.int64] | Tensor,
    size: tuple[int, int],
    *,
    samples: int = 3,
) -> Surface | None:
    """Find the visible surface of a closed mesh in an image.

    Args:
        vertices_px: (V, 3) image pixels with depth.
        faces: (F, 3) vertex indices.
        size: Height and width of the image, pixels.
        samples: n, samples along each side of a pixel.

    Returns:
        The visible surface, or None if the mesh lies outside the image.
    """
    vertices = torch.as_tensor(vertices_px, dtype=torch.float32).detach().cpu()
    triangles = torch.as_tensor(faces).detach().cpu().long()
    # Only the part of the image that the mesh covers is rasterised.
    low = vertices[:, :2].amin(0).floor().clamp(min=0).int().tolist()
    # Sizes are (height, width), coordinates x, y.
    high = torch.minimum(vertices[:, :2].amax(0).ceil(), torch.tensor([size[1], size[0]])).int().tolist()
    x, y, w, h = low[0], low[1], high[0] - low[0], high[1] - low[1]
    if w <= 0 or h <= 0:
        return None
    # Depth is scaled along, so that it stays in the units of x and y and normals keep their direction.
    local = (vertices - torch.tensor([x, y, 0.0])) * samples
    nearest, weights, depth = (
        part.squeeze(0) for part in rasterize(local[None], triangles, (h * samples, w * samples))
    )
    visible = nearest >= 0
    # Samples without a face have index -1; their weights are 0, so any corners will do.
    corners = triangles[nearest.clamp(min=0).long()]
    normal = torch.einsum("hwk,hwkc->hwc", weights, vertex_normals(vertices, triangles)[corners])
    return Surface(
        box=(x, y, w, h),
        samples=samples,
        visible=visible.numpy(),
        normal=torch.nn.functional.normalize(normal, dim=-1).numpy(),
        depth=(depth / samples).numpy(),
        vertices=corners.numpy(),
        weights=weights.numpy(),
    )


def lambert(surface: Surface, *, ambient: float = 0.42, light: Floats | None = None) -> Floats:
    """Compute the brightness of a matt surface at its samples (Lambert's cosine law).

    Args:
        surface: Visible surface.
        ambient: Brightness of surfaces that face away from the light, in [0, 1].
        light: (3,) direction towards the light, of any length; from above and beside the camera if None.

    Returns:
        (h * n, w * n) in [ambient, 1].
    """
    light = _LIGHT if light is None else light
    light = light / np.linalg.norm(light)
    return np.asarray(ambient + (1 - ambient) * np.clip(surface.normal @ light, 0, 1), np.float32)


def draw_body(
    image: Image,
    vertices_px: Floats | Tensor,
    faces: npt.NDArray[np.int64] | Tensor,
    *,
    color: Color = AFTER,
    alpha: float = 0.9,
    samples: int = 3,
) -> Image:
    """Draw a shaded body over an image.

    Args:
        image: (H, W, 3) uint8 RGB.
        vertices_px: (V, 3) image pixels with depth.
        faces: (F, 3) vertex indices.
        color: RGB colour of the body.
        alpha: Opacity in [0, 1].
        samples: Samples along each side of a pixel, against jagged outlines.

    Returns:
        A new image, (H, W, 3) uint8 RGB.
    """
    surface = see(vertices_px, faces, image.shape[:2], samples=samples)
    if surface is None:
        return np.array(image)
    shade = lambert(surface)[..., None]
    # Brighter where the surface faces the light and a little darker towards the outline, which separates limbs that
    # overlap.
    # Depth points forward, so surfaces that face the viewer have a negative z.
    rim = np.clip(-surface.normal[..., 2:], 0, 1) ** 0.5
    glow = 38 * np.clip(shade - 0.86, 0, 1) / 0.14
    colors = np.asarray(color, np.float32) * shade * (0.72 + 0.28 * rim) + glow
    visible = surface.visible[..., None].astype(np.float32)
    return paint(image, surface, colors * visible * alpha, visible[..., 0] * alpha)


def paint(image: Image, surface: Surface, colors: Floats, opacity: Floats) -> Image:
    """Blend samples over an image.

    Args:
        image: (H, W, 3) uint8 RGB.
        surface: Surface that the samples belong to.
        colors: (h * n, w * n, 3) RGB in [0, 255], already multiplied by the opacity.
        opacity: (h * n, w * n) in [0, 1].

    Returns:
        A new image, (H, W, 3) uint8 RGB.
    """
    x, y, w, h = surface.box
    blended = image.astype(np.float32)
    under = blended[y : y + h, x : x + w]
    # Premultiplied colours are averaged over the samples of a pixel, so uncovered samples add nothing.
    blended[y : y + h, x : x + w] = under * (1 - surface.average(opacity)[..., None]) + surface.average(colors)
    return np.asarray(np.rint(np.clip(blended, 0, 255)), np.uint8)


def vertex_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """Return outward unit normals (V, 3) of a closed mesh, for either winding of its faces."""
    # Centred, because the volume below is a sum of large terms that cancel far from the origin.
    corners = (vertices - vertices.mean(0))[faces]
    normals = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    # Six times the enclosed volume; its sign is that of the winding.
    volume = (torch.linalg.cross(corners[:, 0], corners[:, 1]) * corners[:, 2]).sum()
    # The cross products have twice the faces' areas as lengths, so the sums are weighted by area.
    total = torch.zeros_like(vertices)
    for corner in range(3):
        total.index_add_(0, faces[:, corner], normals)
    return torch.nn.functional.normalize(total * torch.sign(volume), dim=-1)
