"""The demo's recording: a static camera films two people in a hall, and every pose is known.

The camera looks slightly down. As everywhere in this project it is orthographic up to one scale per
person (weak perspective). World axes are the camera's before it is tilted: x right, y down, z away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from adaptation.bodies.body import Body
from adaptation.recording.results import PersonResult
from adaptation.support.drawing import see
from adaptation.support.pictures import Floats, Image
from adaptation.synthetic.clothes import Dresser
from adaptation.synthetic.hall_scene import empty_hall
from adaptation.synthetic.hall_walkers import WALKERS, Walk, simulate_walk

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ClipSettings:
    """Settings of the recording.

    Attributes:
        width: Width of the frames, pixels.
        height: Height of the frames, pixels.
        frames: Number of frames.
        rate: Frames per second.
        pitch: Angle by which the camera looks down, degrees.
        noise: Standard deviation of the sensor noise at middle grey, grey levels.
        gain: Brightness after the lighting change as a fraction of the brightness before it.
        offset: Grey levels added by the lighting change.
        shadow: Darkening under the feet, as a fraction.
        seed: Seed of the scene's texture and of the noise.
    """

    width: int = 640
    height: int = 480
    frames: int = 120
    rate: float = 15.0
    pitch: float = 12.0
    noise: float = 2.0
    gain: float = 1.1
    offset: float = 3.0
    shadow: float = 0.25
    seed: int = 0


@dataclass(frozen=True, eq=False)
class SyntheticClip:
    """A recording with its ground truth: P people in T frames of H x W pixels. The first frames are empty.

    Attributes:
        images: (T, H, W, 3) uint8 RGB.
        background: (H, W, 3) uint8 RGB, the empty scene before the lighting change, without noise.
        frame: (T,) int64, 0 to T - 1.
        pose: (P, T, J, 3) axis-angle, radians; joint 0 is the global orientation in camera axes.
        betas: (P, 10) shape coefficients.
        projection: (P, T, 3) scale, x, y: a body's point (X, Y, Z) lies at frame pixel
            (scale * X + x, scale * Y + y).
        joints3d: (P, T, J, 3) metres, camera axes, origin where the body model has it.
        joints2d: (P, T, J, 2) frame pixels.
        full: (P, T, H, W) bool, the whole person, also where another one hides them.
        visible: (P, T, H, W) bool, without the parts hidden by a person nearer to the camera.
    """

    images: npt.NDArray[np.uint8]
    background: Image
    frame: npt.NDArray[np.int64]
    pose: Floats
    betas: Floats
    projection: Floats
    joints3d: Floats
    joints2d: Floats
    full: Mask
    visible: Mask

    def person_of(self, result: PersonResult) -> int:
        """Return the person (0 to P - 1) whose joints are nearest to a result's, in the result's frames."""
        # In 2D, where a wrong pose in depth does not change who is who.
        truth = self.joints2d[:, result.frame]
        return int(np.linalg.norm(truth - result.joints2d, axis=-1).mean((1, 2)).argmin())


def render_clip(settings: ClipSettings | None = None, body: Body | None = None) -> SyntheticClip:
    """Render the recording. Equal settings give equal pixels.

    Args:
        settings: Settings of the recording; the defaults if None.
        body: Body model of both people; the free body if None.

    Returns:
        Frames and ground truth.
    """
    settings = settings or ClipSettings()
    body = body or Body.free()
    # One generator, drawn from in a fixed order: first the scene, then every frame's noise.
    rng = np.random.default_rng(settings.seed)
    size = (settings.height, settings.width)
    background = empty_hall(size, rng)
    walks = [
        simulate_walk(walker, body, frames=settings.frames, rate=settings.rate, pitch=settings.pitch, size=size)
        for walker in WALKERS
    ]
    people, count = len(walks), settings.frames
    images = np.empty((count, *size, 3), np.uint8)
    full = np.zeros((people, count, *size), bool)
    visible = np.zeros((people, count, *size), bool)
    dresser = Dresser(body)
    for number in range(count):
        # Painter's algorithm: the farthest first.
        order = sorted(range(people), key=lambda person: -walks[person].depth[number])
        image = background
        # All shadows come before all people: a shadow falls on the floor, never on a person.
        for person in order:
            image = _cast_shadow(image, walks[person], number, settings)
        for person in order:  # farthest first, so that nearer people cover them
            surface = see(walks[person].pixels[number], body.faces, size)
            if surface is None:
                continue
            image = dresser.paint(image, surface, WALKERS[person].outfit)
            x, y, w, h = surface.box
            # A pixel belongs to a person who covers at least half of it.
            here = surface.average(surface.visible.astype(np.float32)) >= 0.5
            full[person, number, y : y + h, x : x + w] = here
            # People who were painted before stand farther away and are hidden here.
            visible[:, number, y : y + h, x : x + w] &= ~here
            visible[person, number, y : y + h, x : x + w] = here
        images[number] = _expose(image, number, settings, rng)
    return SyntheticClip(
        images=images,
        background=background,
        frame=np.arange(count, dtype=np.int64),
        pose=np.stack([walk.pose for walk in walks]),
        betas=np.stack([walk.betas for walk in walks]),
        projection=np.stack([walk.projection for walk in walks]),
        joints3d=np.stack([walk.joints for walk in walks]),
        joints2d=np.stack(
            [walk.joints[..., :2] * walk.projection[:, None, :1] + walk.projection[:, None, 1:] for walk in walks]
        ),
        full=full,
        visible=visible,
    )


def write_clip(clip: SyntheticClip, folder: Path) -> None:
    """Write the frames as lossless ``frames/0000.png``, ..., and the ground truth as ``truth.npz``.

    Args:
        clip: Recording to write.
        folder: Destination, made if it does not exist. The npz has the arrays of
            :class:`SyntheticClip` under their names, without the images.
    """
    frames = folder / "frames"
    frames.mkdir(parents=True, exist_ok=True)
    for number, image in zip(clip.frame.tolist(), clip.images, strict=True):
        # The lowest compression: noise barely compresses, and higher levels are many times slower.
        _, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1])
        (frames / f"{number:04d}.png").write_bytes(data.tobytes())
    np.savez_compressed(
        folder / "truth.npz",
        background=clip.background,
        frame=clip.frame,
        pose=clip.pose,
        betas=clip.betas,
        projection=clip.projection,
        joints3d=clip.joints3d,
        joints2d=clip.joints2d,
        full=clip.full,
        visible=clip.visible,
    )


def _cast_shadow(image: Image, walk: Walk, number: int, settings: ClipSettings) -> Image:
    """Darken the ground softly below both feet, less so the higher they are."""
    radius = 0.2 * float(walk.projection[number, 0])  # 20 cm in pixels
    height, width = image.shape[:2]
    columns, rows = np.arange(width) + 0.5, np.arange(height) + 0.5
    shaded = image.copy()
    # Only the rows that the shadows reach, for speed.
    reach = np.clip(walk.feet[number, :, 1] + [[-radius], [radius]], 0, height).astype(int)
    part = slice(int(reach.min()), int(reach.max()))
    darkness = np.zeros((part.stop - part.start, width))
    for (x, y), lift in zip(walk.feet[number], walk.lift[number], strict=True):
        # Flattened, because the camera sees the floor at a low angle.
        square = ((columns - x) / radius) ** 2 + ((rows[part, None] - y) / (0.35 * radius)) ** 2
        strength = settings.shadow * math.exp(-max(float(lift), 0.0) / 0.12)
        # The maximum, not the sum: overlapping shadows of one lamp do not add up.
        darkness = np.maximum(darkness, strength * np.exp(-square))
    shaded[part] = np.rint(image[part] * (1 - darkness[..., None]))
    return np.asarray(shaded, np.uint8)


def _expose(image: Image, number: int, settings: ClipSettings, rng: np.random.Generator) -> Image:
    """Return what the sensor makes of a picture: lighting, noise that grows with the light, eight bits."""
    # The light rises over a tenth of the clip, midway.
    change = float(np.clip((number / settings.frames - 0.5) / 0.1, 0, 1))
    lit = image * np.float32(1 + (settings.gain - 1) * change) + np.float32(settings.offset * change)
    # Shot noise: its variance is linear in the light, above a floor that the electronics add.
    deviation = settings.noise * np.sqrt(0.4 + 0.6 * lit / 128)
    lit += deviation * rng.standard_normal(lit.shape, np.float32)
    return np.asarray(np.rint(np.clip(lit, 0, 255)), np.uint8)
