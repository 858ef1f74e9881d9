"""Pictures of bodies, masks, distance maps and skeletons, drawn with the rasteriser and OpenCV only.

Image coordinates: x right, y down, pixel centres at +0.5. Depth points forward and is in pixels as
well, so that a body keeps its proportions; smaller depth is nearer.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from topokernels import rasterize

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Color = tuple[int, int, int]

BEFORE: Color = (247, 187, 58)
AFTER: Color = (92, 156, 245)
# No skin colours, so that a drawn body is not mistaken for a photograph of a person.
PALETTE: tuple[Color, ...] = (
    AFTER,
    (98, 206, 140),
    (190, 140, 246),
    (245, 196, 66),
    (70, 202, 214),
    (240, 104, 168),
    (172, 208, 76),
    (128, 132, 240),
)
BACKDROP: Color = (23, 27, 35)

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
    normal = torch.einsum("hwk,hwkc->hwc", weights, _vertex_normals(vertices, triangles)[corners])
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


def enlarge(image: Image, size: int) -> Image:
    """Resample an image (S, S, 3) uint8 to (size, size, 3) by cubic interpolation."""
    enlarged = cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.asarray(enlarged, np.uint8)


def draw_outline(image: Image, mask: npt.NDArray[np.generic], *, color: Color = (255, 255, 255)) -> Image:
    """Draw the outline of a mask over an image of the same part of the scene.

    Args:
        image: (H, W, 3) uint8 RGB; its size may differ from the mask's.
        mask: (h, w), foreground above 0.5.
        color: RGB colour of the outline.

    Returns:
        A new image, (H, W, 3) uint8 RGB.
    """
    height, width = image.shape[:2]
    # Interpolated and thresholded again, so that the outline of an enlarged mask has no steps.
    smooth = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    contours, _ = cv2.findContours((smooth > 0.5).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    drawn: Image = np.array(image)
    cv2.drawContours(drawn, contours, -1, color, 1, cv2.LINE_AA)
    return drawn


def picture_mask(mask: npt.NDArray[np.generic]) -> Image:
    """Draw a mask (H, W) as a picture (H, W, 3) uint8 RGB, light on dark."""
    return _two_tone(mask.astype(np.float32) > 0.5, (236, 239, 244))


def picture_distance(distance: Floats) -> Image:
    """Draw a distance map (H, W) as a picture (H, W, 3) uint8 RGB: violet at the outline, yellow inside."""
    peak = max(float(distance.max()), 1.0)
    # The darkest quarter of the colour map is skipped: it would not stand out from the backdrop.
    levels = np.rint(64 + 191 * distance / peak).astype(np.uint8)
    colored = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    backdrop = np.array(BACKDROP, np.uint8)
    return np.asarray(np.where(distance[..., None] > 0, colored, backdrop), np.uint8)


def picture_skeleton(skeleton: npt.NDArray[np.generic], mask: npt.NDArray[np.generic]) -> Image:
    """Draw a skeleton (H, W) inside its mask (H, W) as a picture (H, W, 3) uint8 RGB."""
    picture = _two_tone(mask.astype(np.float32) > 0.5, (66, 76, 96))
    picture[skeleton.astype(np.float32) > 0.5] = (255, 214, 102)
    return picture


def _two_tone(mask: npt.NDArray[np.bool_], color: Color) -> Image:
    picture = np.empty((*mask.shape, 3), np.uint8)
    picture[:] = BACKDROP
    picture[mask] = color
    return picture


def _vertex_normals(vertices: Tensor, faces: Tensor) -> Tensor:
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
