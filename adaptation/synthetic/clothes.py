"""Clothes, skin and hair on a body, fixed to its surface so that they move with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from adaptation.bodies.body import JOINT_NAMES, Body
from adaptation.bodies.smpl_file import SHAPE_DIRECTIONS
from adaptation.support.drawing import Surface, lambert, paint
from adaptation.support.pictures import Color, Floats, Image

Pattern = Literal["plain", "stripes", "checks", "dots", "camouflage"]


@dataclass(frozen=True)
class Cloth:
    """A cloth with a ground colour and a pattern in a second colour.

    Attributes:
        color: RGB colour of the ground, 0 to 255.
        second: RGB colour of the pattern, 0 to 255.
        pattern: Kind of pattern.
        period: Period of the pattern in metres on the body in its rest pose.
    """

    color: Color
    second: Color = (0, 0, 0)
    pattern: Pattern = "plain"
    period: float = 0.09


@dataclass(frozen=True)
class Outfit:
    """Clothes, skin and hair of one person.

    Attributes:
        shirt: Cloth of the shirt.
        trousers: Cloth of the trousers.
        shoes: RGB colour of the shoes.
        skin: RGB colour of the skin.
        hair: RGB colour of the hair.
        long_sleeves: Whether sleeves reach the wrists rather than the upper arms.
        short_trousers: Whether trousers end above the knees rather than at the ankles.
    """

    shirt: Cloth
    trousers: Cloth
    shoes: Color
    skin: Color
    hair: Color
    long_sleeves: bool
    short_trousers: bool = False


class Dresser:
    """Painter of the visible surface of one body model.

    Hems are planes through the body in its rest pose, so clothes move with the surface.
    """

    def __init__(self, body: Body) -> None:
        with torch.no_grad():
            rest = body(torch.zeros(1, len(body.parents), 3), torch.zeros(1, SHAPE_DIRECTIONS))
        self._rest = rest.vertices[0].numpy()
        # Metres in the body's axes: x to its left, y up, z to its front.
        x, y, _ = rest.joints[0].numpy().T
        joint = {name: number for number, name in enumerate(JOINT_NAMES)}
        # Hems lie some centimetres from the joints. The rest pose is a T-pose: legs end along y, arms along x.
        self._waist, self._neck = y[joint["pelvis"]] + 0.04, y[joint["neck"]] - 0.03
        self._knee, self._ankle = y[joint["left_knee"]] + 0.05, y[joint["left_ankle"]] + 0.03
        self._wrist = x[joint["left_wrist"]] - 0.03
        # Short sleeves end a quarter of the way from elbow to shoulder.
        self._upper_arm = 0.75 * x[joint["left_elbow"]] + 0.25 * x[joint["left_shoulder"]]
        # Hair is placed by the extent of the head, so that it fits every body model.
        head = self._rest[self._rest[:, 1] > y[joint["head"]] - 0.04]
        self._head_low, self._head_high = head.min(0), head.max(0)

    def paint(
        self, image: Image, surface: Surface, outfit: Outfit, *, light: Floats | None = None, ambient: float = 0.5
    ) -> Image:
        """Paint a surface of this body over an image.

        Args:
            image: (H, W, 3) uint8 RGB.
            surface: Visible surface of the body.
            outfit: Clothes, skin and hair.
            light: (3,) direction towards the light; from above and beside the camera if None.
            ambient: Brightness of surfaces that face away from the light, as a fraction.

        Returns:
            A new image, (H, W, 3) uint8 RGB.
        """
        # Every sample is dressed by its place on the body in the rest pose, independently of the current pose.
        rest = surface.interpolate(self._rest)
        # Both sides alike: clothes are symmetric.
        side, height = np.abs(rest[..., 0]), rest[..., 1]
        _, up, back = np.moveaxis((rest - self._head_low) / (self._head_high - self._head_low), -1, 0)
        # Hair lies above a plane that falls from the forehead to the nape.
        hair = (height > self._head_low[1]) & (up > 0.12 + 0.62 * back)
        cuff = self._wrist if outfit.long_sleeves else self._upper_arm
        # The collar rises towards the shoulders.
        shirt = (side < cuff) & (height < self._neck + 0.25 * (side - 0.06)) & (height > self._waist)
        trousers = (height <= self._waist) & (height > (self._knee if outfit.short_trousers else self._ankle))

        # From the inside out: what is painted later covers what is below.
        colors = np.empty(rest.shape, np.float32)
        colors[:] = outfit.skin
        colors[hair & ~shirt] = outfit.hair
        colors[height < self._ankle] = outfit.shoes
        for cloth, part in ((outfit.shirt, shirt), (outfit.trousers, trousers & ~shirt)):
            colors[part] = np.where(_second(cloth, rest[part])[:, None], cloth.second, cloth.color)
        # Soft folds, fixed to the cloth; incommensurate frequencies keep them from repeating visibly.
        folds = np.sin(61 * rest[..., 0] + 3 * np.sin(23 * height)) * np.sin(37 * height + 29 * rest[..., 2])
        colors *= (1 + 0.06 * folds * (shirt | trousers))[..., None]
        # Multiplied by the coverage, as `drawing.paint` expects.
        colors *= (lambert(surface, ambient=ambient, light=light) * surface.visible)[..., None]
        return paint(image, surface, colors, surface.visible.astype(np.float32))


def _second(cloth: Cloth, points: Floats) -> npt.NDArray[np.bool_]:
    """Return where points (N, 3) of the body in its rest pose have the second colour, (N,)."""
    # Patterns are functions of space, so they need no texture coordinates and have no seams.
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
