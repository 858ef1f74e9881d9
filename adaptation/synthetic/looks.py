"""Families of appearances: clothes, scenes, light and cameras. The source and the style family share nothing.

Everything is drawn from formulas, so no picture carries a licence.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from adaptation.support.pictures import Color, Floats, Image
from adaptation.synthetic.clothes import Cloth, Outfit, Pattern

Rng = np.random.Generator


@dataclass(frozen=True)
class LookFamily:
    """A distribution of appearances. Pairs of numbers are ranges that are sampled uniformly.

    Attributes:
        hues: Hues of clothes on the colour circle; 1 is one turn, and negative hues wrap around.
        saturations: Saturations of clothes, in [0, 1].
        values: Brightness (HSV value) of clothes, in [0, 1].
        patterns: Patterns of shirts, equally likely; a repeated one is more likely.
        skins: Skin colours, from 0 (light) to 1 (dark).
        background: Function of a generator, height and width that paints an empty scene, (height,
            width, 3) float32 in [0, 255].
        ambient: Brightness of surfaces that face away from the light, as a fraction.
        light_sides: Sideways component of the direction to the light, -1 left, 1 right.
        pitch: Angle by which cameras look down, degrees.
        shape_mean: Means of the first three shape coefficients: size, weight, build.
        noise: Standard deviation of the sensor noise, grey levels.
        one_camera: Whether all people pass one camera, whose scene, light, pitch and noise are fixed.
    """

    hues: tuple[float, float]
    saturations: tuple[float, float]
    values: tuple[float, float]
    patterns: tuple[Pattern, ...]
    skins: tuple[float, float]
    background: Callable[[Rng, int, int], Floats]
    ambient: tuple[float, float]
    light_sides: tuple[float, float]
    pitch: tuple[float, float]
    shape_mean: tuple[float, float, float]
    noise: tuple[float, float]
    one_camera: bool = False


@dataclass(frozen=True, eq=False)
class Look:
    """The appearance of one person at one camera.

    Attributes:
        outfit: Clothes, skin and hair.
        light: (3,) direction towards the light, in camera axes.
        ambient: Brightness of surfaces that face away from the light, as a fraction.
    """

    outfit: Outfit
    light: Floats
    ambient: float


def sample_look(family: LookFamily, rng: Rng, camera: Rng) -> Look:
    """Sample an appearance from a family.

    Args:
        family: Distribution to sample from.
        rng: Source of randomness for the outfit.
        camera: Source of randomness for the light, which belongs to the camera's scene.
    """

    def cloth(patterns: tuple[Pattern, ...]) -> Cloth:
        # A plain cloth draws a second colour as well: the number of draws must not depend on the pattern.
        first, second = _color(family, rng), _color(family, rng)
        return Cloth(first, second, patterns[rng.integers(len(patterns))], float(rng.uniform(0.07, 0.2)))

    # Draws come in a fixed order: another one would change every data set made from a seed.
    skin = rng.uniform(*family.skins)
    outfit = Outfit(
        shirt=cloth(family.patterns),
        trousers=cloth(("plain",)),
        shoes=_color(family, rng),
        skin=_mix((232, 190, 165), (92, 58, 40), skin),
        # The root makes dark hair more likely.
        hair=_mix((190, 150, 96), (24, 20, 20), float(rng.uniform()) ** 0.5),
        long_sleeves=bool(rng.random() < 0.5),
        short_trousers=bool(rng.random() < 0.25),
    )
    # From above (y < 0) and from the camera's side (z < 0), or the visible surface would be dark.
    light = np.array([camera.uniform(*family.light_sides), camera.uniform(-1.2, -0.3), -1.0], np.float32)
    return Look(outfit, light, float(camera.uniform(*family.ambient)))


def _color(family: LookFamily, rng: Rng) -> Color:
    # The modulo lets a range of hues cross red, at 0.
    rgb = colorsys.hsv_to_rgb(
        rng.uniform(*family.hues) % 1.0, rng.uniform(*family.saturations), rng.uniform(*family.values)
    )
    return (round(255 * rgb[0]), round(255 * rgb[1]), round(255 * rgb[2]))


def _mix(first: Color, second: Color, share: float) -> Color:
    """Blend two colours; `share` is the second one's, in [0, 1]."""
    r, g, b = (round(a + share * (c - a)) for a, c in zip(first, second, strict=True))
    return (r, g, b)


# ---- backgrounds ----


def _room(rng: Rng, height: int, width: int) -> Floats:
    """Paint a wall and a floor with a soft gradient, and boxes of furniture."""
    canvas = np.empty((height, width, 3), np.float32)
    horizon = int(height * rng.uniform(0.55, 0.85))
    # Mixed with grey: walls are paler than clothes.
    canvas[:horizon] = rng.uniform(90, 235, 3) * 0.4 + rng.uniform(110, 220) * 0.6
    canvas[horizon:] = rng.uniform(40, 170, 3) * 0.5 + rng.uniform(50, 160) * 0.5
    for _ in range(rng.integers(2, 8)):
        w, h = int(width * rng.uniform(0.05, 0.3)), int(height * rng.uniform(0.08, 0.5))
        x, y = int(rng.uniform(-0.1, 1) * width), int(horizon - h * rng.uniform(0.2, 1.0))
        color = rng.uniform(30, 230, 3)
        cv2.rectangle(canvas, (x, y), (x + w, y + h), color.tolist(), -1, cv2.LINE_AA)
        cv2.rectangle(canvas, (x, y), (x + w, y + h), (color * 0.7).tolist(), 1, cv2.LINE_AA)
    # A window on one side: the light falls off across the room.
    side = np.linspace(rng.uniform(0.75, 1.1), rng.uniform(0.75, 1.1), width, dtype=np.float32)
    return canvas * side[None, :, None]


def _thicket(rng: Rng, height: int, width: int) -> Floats:
    """Paint leaves and stones: noise of several sizes, crossed by trunks."""
    canvas = np.zeros((height, width, 3), np.float32)
    first, second = rng.uniform(20, 140, 3), rng.uniform(90, 235, 3)
    share = np.zeros((height, width), np.float32)
    # Each octave has half the grain and 1 / 1.6 of the strength of the one before.
    for octave in range(5):
        cells = 3 * 2**octave
        noise = rng.random((max(2, cells * height // width), cells)).astype(np.float32)
        smooth = np.asarray(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
        share += smooth / 1.6**octave
    # To [0, 1], whatever the octaves added up to.
    share = (share - share.min()) / np.ptp(share)
    canvas += first.astype(np.float32) + (second - first).astype(np.float32) * share[..., None]
    for _ in range(rng.integers(1, 6)):
        x, w = rng.uniform(0, width), rng.uniform(0.01, 0.06) * width
        lean = rng.uniform(-0.15, 0.15) * height
        trunk = np.array([[x, 0], [x + w, 0], [x + w + lean, height], [x + lean, height]])
        cv2.fillPoly(canvas, [trunk.astype(int)], rng.uniform(20, 120, 3).tolist(), cv2.LINE_AA)
    return np.clip(canvas, 0, 255)


SOURCE = LookFamily(
    # Hues, patterns and backgrounds of the two families do not overlap; the other ranges do in part.
    hues=(-0.08, 0.42),
    saturations=(0.3, 0.9),
    values=(0.25, 0.95),
    patterns=("plain", "plain", "stripes"),
    skins=(0.0, 0.55),
    background=_room,
    ambient=(0.45, 0.65),
    light_sides=(-1.0, 0.2),
    pitch=(-2.0, 12.0),
    shape_mean=(0.0, 0.0, 0.0),
    noise=(1.0, 3.0),
)
STYLE = LookFamily(
    hues=(0.45, 0.9),
    saturations=(0.0, 0.6),
    values=(0.05, 0.7),
    patterns=("checks", "camouflage", "dots"),
    skins=(0.4, 1.0),
    background=_thicket,
    ambient=(0.25, 0.45),
    light_sides=(0.3, 1.4),
    pitch=(8.0, 28.0),
    shape_mean=(-0.6, 0.8, 0.5),
    noise=(1.5, 4.0),
)
# Only the camera is fixed, so that "site" differs from "style" in nothing else.
SITE = replace(STYLE, one_camera=True)


def sensor(picture: Image, noise: float, rng: Rng) -> Image:
    """Add sensor noise to a picture (H, W, 3) in [0, 255] and quantise it to uint8.

    Args:
        picture: Picture without noise.
        noise: Standard deviation, grey levels.
        rng: Source of the noise.
    """
    noisy = picture + noise * rng.standard_normal(picture.shape, np.float32)
    return np.asarray(np.rint(np.clip(noisy, 0, 255)), np.uint8)
