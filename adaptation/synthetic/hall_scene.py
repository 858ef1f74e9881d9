"""The empty hall of the demo's recording, painted: wall, door, window, notice board, bench, plant, tiled floor.

Places and sizes are pixels of a layout 640 wide and 480 high. The layout is painted at `_FINE` times
that size and then shrunk to the frames' size.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from adaptation.support.pictures import Floats, Image

_WIDTH, _HEIGHT = 640, 480
_FLOOR = 352  # row where the wall meets the floor
_FINE = 2  # painted larger and shrunk, for smooth edges


def empty_hall(size: tuple[int, int], rng: np.random.Generator) -> Image:
    """Paint the empty hall without sensor noise.

    Args:
        size: Height and width of the picture, pixels.
        rng: Source of the textures; draws come in a fixed order, so equal states give equal pixels.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    n = _FINE
    width, height = _WIDTH * n, _HEIGHT * n
    floor_line = _FLOOR * n
    canvas = np.zeros((height, width, 3), np.float32)
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    canvas[:] = np.array([188, 184, 174], np.float32) - 26 * down
    canvas += 3.5 * _mottle(height, width, 40 * n, rng) + 2 * _mottle(height, width, 6 * n, rng)

    # Wainscot, skirting and a rail.
    canvas[262 * n : floor_line] *= np.array([0.74, 0.80, 0.80], np.float32)
    for x in range(0, width, 64 * n):
        canvas[266 * n : floor_line, x : x + n] *= 0.86
        canvas[266 * n : floor_line, x + n : x + 2 * n] *= 1.08
    canvas[258 * n : 264 * n] = np.array([126, 112, 96], np.float32)
    canvas[344 * n : floor_line] = np.array([92, 84, 76], np.float32)

    # The parts draw from one generator, so another order would change every texture.
    _floor(canvas[floor_line:], rng)
    _door(canvas)
    _window(canvas, rng)
    _board(canvas, rng)
    _bench(canvas)
    _plant(canvas, rng)
    # Light from the upper left, and the fall-off of the lens.
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    canvas *= (1.07 - 0.20 * ((columns / width - 0.4) ** 2 + (rows / height - 0.35) ** 2))[..., None]
    # INTER_AREA averages the larger picture, which smooths the edges.
    shrunk = cv2.resize(canvas, (size[1], size[0]), interpolation=cv2.INTER_AREA)
    return np.asarray(np.rint(np.clip(shrunk, 0, 255)), np.uint8)


def _mottle(height: int, width: int, grain: int, rng: np.random.Generator) -> Floats:
    """Return a smooth random texture (H, W, 1) of about unit deviation, with spots of ``grain`` pixels."""
    coarse = rng.standard_normal((height // grain + 3, width // grain + 3)).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(smooth[..., None], np.float32)


def _rectangle(canvas: Floats, x: int, y: int, w: int, h: int, color: tuple[float, float, float]) -> None:
    n = _FINE
    canvas[y * n : (y + h) * n, x * n : (x + w) * n] = color


def _shade_below(canvas: Floats, x: int, y: int, w: int, h: int) -> None:
    """Paint a soft shadow that fades downwards."""
    n = _FINE
    fade = np.linspace(0.72, 1, h * n, dtype=np.float32)[:, None, None]
    canvas[y * n : (y + h) * n, x * n : (x + w) * n] *= fade


def _floor(floor: Floats, rng: np.random.Generator) -> None:
    """Paint tiles of slightly different stone, narrowing towards the wall."""
    n = _FINE
    height, width = floor.shape[:2]
    rows, columns = np.mgrid[:height, :width].astype(np.float32) / n
    away = 1 + 0.0032 * rows  # magnification, larger for nearer rows
    u = (columns - 320) / away / 46
    v = np.log(away) / 0.0032 / 21  # the integral of 1 / away, so that tiles keep their proportions
    # A table of tones that repeats after 64 tiles, more than are in view.
    tone = rng.normal(0, 1, (64, 64)).astype(np.float32)
    row, column = np.floor(v).astype(int), np.floor(u).astype(int)
    stone = tone[row % 64, column % 64][..., None]
    floor[:] = (
        np.array([146, 138, 126], np.float32)
        + 5.5 * stone
        + np.array([18, 18, 18], np.float32) * (rows / 128)[..., None]
    )
    floor += 3 * _mottle(height, width, 5 * n, rng)
    joint = (np.abs(u - np.round(u)) * 46 < 0.8) | (np.abs(v - np.round(v)) * 21 < 0.6)
    floor[joint] *= 0.8


def _door(canvas: Floats) -> None:
    _rectangle(canvas, 68, 118, 104, 234, (104, 90, 76))
    _rectangle(canvas, 75, 125, 90, 227, (70, 96, 108))
    for x in (83, 124):
        for y, h in ((136, 74), (222, 116)):
            _rectangle(canvas, x, y, 33, h, (62, 86, 98))
            _rectangle(canvas, x + 2, y + 2, 31, h - 2, (78, 106, 118))
    _rectangle(canvas, 156, 236, 4, 14, (196, 178, 120))


def _window(canvas: Floats, rng: np.random.Generator) -> None:
    n = _FINE
    _rectangle(canvas, 246, 62, 148, 128, (228, 226, 220))
    sky = np.linspace(0, 1, 116 * n, dtype=np.float32)[:, None, None]
    view = np.array([168, 198, 224], np.float32) + sky * np.array([56, 38, 16], np.float32)
    view = view + 5 * _mottle(116 * n, 136 * n, 22 * n, rng)
    # Roofs across the street.
    for x, top, w, color in (
        (0, 74, 52, (126, 116, 112)),
        (52, 60, 40, (150, 126, 108)),
        (92, 82, 44, (112, 120, 122)),
    ):
        view[top * n :, x * n : (x + w) * n] = color
    canvas[68 * n : 184 * n, 252 * n : 388 * n] = view
    for x in (295, 341):
        _rectangle(canvas, x, 68, 4, 116, (228, 226, 220))
    _rectangle(canvas, 240, 190, 160, 7, (206, 202, 194))
    _shade_below(canvas, 244, 197, 152, 14)


def _board(canvas: Floats, rng: np.random.Generator) -> None:
    n = _FINE
    _rectangle(canvas, 452, 96, 128, 88, (96, 74, 54))
    _rectangle(canvas, 457, 101, 118, 78, (176, 140, 98))
    canvas[101 * n : 179 * n, 457 * n : 575 * n] += 4 * _mottle(78 * n, 118 * n, 2 * n, rng)
    papers = (
        (464, 108, 30, 40, (238, 236, 228)),
        (500, 106, 26, 30, (226, 204, 120)),
        (532, 110, 34, 24, (170, 204, 214)),
        (500, 142, 22, 30, (236, 232, 226)),
        (530, 140, 36, 32, (222, 160, 146)),
    )
    for x, y, w, h, color in papers:
        _rectangle(canvas, x, y, w, h, color)
        for line in range(y + 5, y + h - 4, 5):
            canvas[line * n : line * n + n, (x + 4) * n : (x + w - 5) * n] *= 0.72
    _shade_below(canvas, 452, 184, 128, 8)


def _bench(canvas: Floats) -> None:
    for x in (262, 372):
        _rectangle(canvas, x, 312, 7, 48, (58, 56, 58))
    _rectangle(canvas, 248, 300, 146, 6, (150, 108, 68))
    _rectangle(canvas, 248, 306, 146, 7, (112, 78, 48))
    _shade_below(canvas, 252, 352, 138, 12)


def _plant(canvas: Floats, rng: np.random.Generator) -> None:
    """Paint a pot with leaves."""
    n = _FINE
    pot = np.array([[574, 316], [620, 316], [613, 366], [581, 366]]) * n
    cv2.fillPoly(canvas, [pot], (150, 86, 60))
    cv2.fillPoly(canvas, [np.array([[571, 310], [623, 310], [622, 320], [572, 320]]) * n], (172, 100, 70))
    for angle in np.linspace(-75, 75, 15) + rng.normal(0, 5, 15):
        length = float(rng.uniform(46, 82))
        slope = math.radians(angle)
        tip = np.array([math.sin(slope), -math.cos(slope)])
        side = np.array([tip[1], -tip[0]]) * float(rng.uniform(4, 7))
        foot = np.array([597.0, 314.0])
        leaf = np.array(
            [
                foot,
                foot + tip * length * 0.55 + side,
                foot + tip * length,
                foot + tip * length * 0.5 - side,
            ]
        )
        green = float(rng.uniform(0.75, 1.15))
        cv2.fillPoly(canvas, [np.rint(leaf * n).astype(int)], (62 * green, 108 * green, 62 * green))
