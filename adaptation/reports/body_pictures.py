"""Pictures of bodies and meshes, as all reports draw them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from adaptation.bodies.body import Body
from adaptation.bodies.camera import project
from adaptation.bodies.meshes import Meshes
from adaptation.bodies.parameters import Bodies
from adaptation.support import drawing as overlay
from adaptation.support import pictures
from adaptation.support.pictures import AFTER, BACKDROP, Image

TILE = 224  # side of embedded pictures of bodies, pixels; the page shows them smaller, sharp on dense screens


@torch.no_grad()
def body_pixels(body: Body, bodies: Bodies | Meshes, size: float) -> Tensor:
    """Return the vertices of N bodies, (N, V, 3), in pixels of a crop: x, y and depth.

    Args:
        body: body model, on the bodies' device.
        bodies: N bodies or meshes with cameras of the crop.
        size: side of the crop, pixels; need not be whole.
    """
    vertices = bodies.vertices if isinstance(bodies, Meshes) else body(bodies.rotations, bodies.betas).vertices
    depth = vertices[..., 2:] * bodies.camera.scale[:, None] * (size / 2)
    # A crop's side in frame pixels may be fractional, but cameras take whole sizes: project to 2 pixels and rescale.
    return torch.cat([project(vertices, bodies.camera, 2) * (size / 2), depth], dim=-1)


def faces_of(bodies: Bodies | Meshes, body: Body) -> Tensor:
    """Return the faces (F, 3) of meshes, or of the body model of bodies."""
    return bodies.faces if isinstance(bodies, Meshes) else body.faces


def draw_over(image: Image, pixels: Tensor, faces: Tensor, color: pictures.Color, mask: np.ndarray) -> Image:
    """Draw a body over a crop, with the outline of a mask.

    Args:
        image: (S, S, 3) uint8 RGB crop.
        pixels: (V, 3) vertices in pixels of ``image``, with depth.
        faces: (F, 3) vertex indices.
        color: RGB colour of the body.
        mask: mask of the same crop; its side may differ from the image's.
    """
    return pictures.draw_outline(overlay.draw_body(image, pixels, faces, color=color), mask)


def draw_turned(pixels: Tensor, faces: Tensor) -> Image:
    """Draw a body seen from its side, turned by 90 degrees about the vertical, on a plain background.

    Args:
        pixels: (V, 3) vertices in pixels of a picture of side `TILE`, with depth.
        faces: (F, 3) vertex indices.

    Returns:
        (TILE, TILE, 3) uint8 RGB picture.
    """
    ground = np.empty((TILE, TILE, 3), np.uint8)
    ground[:] = BACKDROP
    x, y, z = pixels.unbind(-1)
    # Depth has no place in the picture, so the body is centred.
    middle = (z.amin() + z.amax()) / 2
    # Seen from the right of the image: what is nearer there, a larger x, gets the smaller depth.
    turned = torch.stack([TILE / 2 + (z - middle), y, -x], dim=-1)
    return overlay.draw_body(ground, turned, faces, color=AFTER, alpha=1.0)
