"""Sheets of small pictures of bodies on a white ground, with labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from adaptation.bodies.body import Body
from adaptation.bodies.camera import project
from adaptation.bodies.parameters import Bodies
from adaptation.support.drawing import draw_body
from adaptation.support.files import whole_file
from adaptation.support.pictures import Color, Image

# Light, so that bodies in any colour stand out.
_MASK = 218  # grey level of masks
_GAP, _GROUP, _CAPTION, _MARGIN = 3, 9, 20, 6  # pixels
_DPI = 100


@dataclass(frozen=True, eq=False)
class SheetRow:
    """A row of a sheet.

    Attributes:
        label: text to the left of the row, one or more lines; a row with a label starts a group.
        tiles: RGB uint8 pictures (S, S, 3) of equal size.
        captions: text above each tile; empty for no captions.
    """

    label: str
    tiles: Sequence[Image]
    captions: Sequence[str] = ()


@torch.no_grad()
def pixels_of(bodies: Bodies, body: Body, size: int) -> Tensor:
    """Project vertices to pixels.

    Args:
        bodies: B bodies.
        body: their body model.
        size: side of the picture, pixels.

    Returns:
        (B, V, 3) x, y and depth in pixels; depth is 0 at the pelvis.
    """
    posed = body(bodies.rotations, bodies.betas)
    # Relative to the pelvis, so that a view from the side is centred on the body.
    depth = (posed.vertices - posed.joints[:, :1])[..., 2:] * bodies.camera.scale[:, None] * (size / 2)
    return torch.cat([project(posed.vertices, bodies.camera, size), depth], dim=-1)


def mask_tile(mask: npt.NDArray[np.generic], size: int) -> Image:
    """Draw a mask (S, S) light grey on white, at a side of ``size`` pixels."""
    # Enlarged before it is thresholded, which rounds the steps of single pixels.
    smooth = cv2.resize(mask.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
    grey = np.where(smooth > 0.5, _MASK, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def body_tile(ground: Image, pixels: Tensor, body: Body, color: Color) -> Image:
    """Draw a body (V, 3), in pixels, over a picture."""
    return draw_body(ground, pixels, body.faces, color=color)


def side_tile(pixels: Tensor, body: Body, color: Color, size: int) -> Image:
    """Draw a body (V, 3) on white as seen from the right of the image, so that near parts lie to the left."""
    x, y, z = pixels.unbind(-1)
    # As in reports: x becomes depth, and what was far lies to the right.
    turned = torch.stack([size / 2 + z, y, -x], dim=-1)
    return draw_body(np.full((size, size, 3), 255, np.uint8), turned, body.faces, color=color, alpha=1.0)


def middle(image: Image, size: int) -> Image:
    """Cut out the middle (size, size, 3) of a picture. Crops have margins, which small tiles have no space for."""
    top, left = (image.shape[0] - size) // 2, (image.shape[1] - size) // 2
    return image[top : top + size, left : left + size]


def write_sheet(path: Path, rows: Sequence[SheetRow], *, label_width: int, quality: int = 78) -> None:
    """Write rows of tiles as one JPEG file.

    Args:
        path: file to write; its folder must exist.
        rows: rows from top to bottom, with equal numbers of tiles.
        label_width: space to the left of the tiles, pixels.
        quality: JPEG quality, 0 to 100.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size = rows[0].tiles[0].shape[0]
    width = label_width + len(rows[0].tiles) * (size + _GAP) + _MARGIN
    above = [(_GROUP if row.label else 0) + (_CAPTION if row.captions else 0) for row in rows]
    height = sum(above) + len(rows) * (size + _GAP) + 2 * _MARGIN
    # At this size one unit of figimage is one pixel.
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI)
    canvas = FigureCanvasAgg(figure)
    # Matplotlib's y points up, so rows are placed from the top downwards.
    top = height - _MARGIN
    for row, space in zip(rows, above, strict=True):
        top -= space
        for place, text in enumerate(row.captions):
            x = label_width + place * (size + _GAP) + size / 2
            figure.text(x / width, (top + _CAPTION / 2) / height, text, ha="center", va="center", fontsize=8.5)
        for place, tile in enumerate(row.tiles):
            figure.figimage(tile, label_width + place * (size + _GAP), top - size)
        figure.text(_MARGIN / width, (top - size / 2) / height, row.label, va="center", fontsize=9)
        top -= size + _GAP
    canvas.draw()  # type: ignore[no-untyped-call]
    picture = np.asarray(canvas.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]
    # Full chroma resolution: thin coloured bodies on white would get grey fringes without it.
    chroma = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1, *chroma]
    _, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)
    with whole_file(path) as file:
        file.write(data.tobytes())
