"""Clothes, skin and hair on a body, fixed to its surface so that they move with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from adaptation.bodies.body import Body
from adaptation.support.drawing import Color, Floats, Image, Surface, lambert, paint

Pattern = Literal["plain", "stripes", "checks", "dots", "camouflage"]


@dataclass(frozen=True)
class Cloth:
    """Two colours, RGB, and how the second lies on the first.

    Attributes:
        color: of the ground.
        second: of the pattern.
        pattern: its kind.
        period: metres on the body in its rest pose.
    """

    color: Color
    second: Color = (0, 0, 0)
    pattern: Pattern = "plain"
    period: float = 0.09


@dataclass(frozen=True)
class Outfit:
    """What somebody wears."""

    shirt: Cloth
    trousers: Cloth
    shoes: Color
    skin: Color
    hair: Color
    long_sleeves: bool
    short_trousers: bool = False


class Dresser:
    """Paints the visible surface of one body model; hems are planes through the body in its rest pose."""

    def __init__(self, body: Body) -> None:
        with torch.no_grad():
            rest = body(torch.zeros(1, 24, 3), torch.zeros(1, 10))
        self._rest = rest.vertices[0].numpy()
        joints = rest.joints[0].numpy()
        self._waist, self._ankle, self._neck = joints[0, 1] + 0.04, joints[7, 1] + 0.03, joints[12, 1] - 0.03
        self._knee = joints[4, 1] + 0.05
        self._wrist, self._upper_arm = joints[20, 0] - 0.03, 0.75 * joints[18, 0] + 0.25 * joints[16, 0]
        head = self._rest[self._rest[:, 1] > joints[15, 1] - 0.04]
        self._head_low, self._head_high = head.min(0), head.max(0)

    def paint(
        self, image: Image, surface: Surface, outfit: Outfit, *, light: Floats | None = None, ambient: float = 0.5
    ) -> Image:
        """Paint a surface of this body over an image.

        Args:
            image: (H, W, 3) uint8.
            surface: what is seen of the body.
            outfit: what it wears.
            light: (3,) where the light comes from; beside and above the camera where None.
            ambient: brightness of what faces away from the light.

        Returns:
            A new image.
        """
        rest = surface.interpolate(self._rest)
        side, height = np.abs(rest[..., 0]), rest[..., 1]
        _, up, back = np.moveaxis((rest - self._head_low) / (self._head_high - self._head_low), -1, 0)
        # Hair lies above a plane that falls from the forehead to the nape.
        hair = (height > self._head_low[1]) & (up > 0.12 + 0.62 * back)
        cuff = self._wrist if outfit.long_sleeves else self._upper_arm
        shirt = (side < cuff) & (height < self._neck + 0.25 * (side - 0.06)) & (height > self._waist)
        trousers = (height <= self._waist) & (height > (self._knee if outfit.short_trousers else self._ankle))

        colors = np.empty(rest.shape, np.float32)
        colors[:] = outfit.skin
        colors[hair & ~shirt] = outfit.hair
        colors[height < self._ankle] = outfit.shoes
        for cloth, part in ((outfit.shirt, shirt), (outfit.trousers, trousers & ~shirt)):
            colors[part] = np.where(_second(cloth, rest[part])[:, None], cloth.second, cloth.color)
        # Folds: soft, and fixed to the cloth.
        folds = np.sin(61 * rest[..., 0] + 3 * np.sin(23 * height)) * np.sin(37 * height + 29 * rest[..., 2])
        colors *= (1 + 0.06 * folds * (shirt | trousers))[..., None]
        colors *= (lambert(surface, ambient=ambient, light=light) * surface.visible)[..., None]
        return paint(image, surface, colors, surface.visible.astype(np.float32))


def _second(cloth: Cloth, points: Floats) -> npt.NDArray[np.bool_]:
    """Where points (N, 3) of the body in its rest pose have the second colour."""
    x, y, z = (points * (2 * np.pi / cloth.period)).T
    if cloth.pattern == "stripes":
        return np.asarray(np.sin(y) > 0.3)
    if cloth.pattern == "checks":
        return np.asarray((np.sin(x) > 0) ^ (np.sin(y) > 0))
    if cloth.pattern == "dots":
        return np.asarray(np.cos(x) + np.cos(y) > 1.1)
    if cloth.pattern == "camouflage":
        return np.asarray(np.sin(0.7 * x + 1.3 * np.sin(0.9 * y)) + np.sin(1.1 * y + 1.7 * np.sin(0.6 * x + z)) > 0.35)
    return np.zeros(len(points), bool)
