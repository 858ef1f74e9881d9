"""The demo's recording: a static camera films two people in a hall, and every pose is known.

The camera looks slightly down and is orthographic up to a scale per person (weak perspective), as
everywhere in this project. World axes are the camera's before it is tilted: x right, y down and
z away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import roma
import torch
from torch import Tensor

from adaptation.bodies.body import Body
from adaptation.bodies.poses import walking
from adaptation.recording.results import PersonResult
from adaptation.support.drawing import Floats, Image, see
from adaptation.synthetic.clothes import Cloth, Dresser, Outfit

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ClipSettings:
    """What is filmed.

    Attributes:
        width: of the frames in pixels.
        height: of the frames in pixels.
        frames: how many.
        rate: frames per second.
        pitch: how far the camera looks down, degrees.
        noise: standard deviation of the sensor's noise at middle grey, grey levels.
        gain: brightness after the lighting change as a fraction of that before it.
        offset: grey levels added by the lighting change.
        shadow: darkening under the feet, as a fraction.
        seed: of the scene's texture and of the noise.
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
    """A recording with its truth: P people in T frames of H x W pixels. The first frames are empty.

    Attributes:
        images: (T, H, W, 3) uint8 RGB.
        background: (H, W, 3) uint8, the empty scene before the lighting change, without noise.
        frame: (T,) int64, 0 to T - 1.
        pose: (P, T, 24, 3) axis-angle, joint 0 the global orientation in camera axes.
        betas: (P, 10).
        projection: (P, T, 3) scale, x, y: a body's point (X, Y, Z) lies at frame pixel
            (scale * X + x, scale * Y + y).
        joints3d: (P, T, 24, 3) metres, camera axes, origin where the body model has it.
        joints2d: (P, T, 24, 2) frame pixels.
        full: (P, T, H, W) bool, the person alone.
        visible: (P, T, H, W) bool, without what is hidden behind somebody nearer.
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
        """The person (0 to P - 1) whose joints are nearest to a result's, in its frames."""
        truth = self.joints2d[:, result.frame]
        return int(np.linalg.norm(truth - result.joints2d, axis=-1).mean((1, 2)).argmin())


@dataclass(frozen=True)
class _Walker:
    """Who walks where.

    Attributes:
        betas: the first shape coefficients, the others are 0.
        start: x, z in metres at the moment ``enter``; the image's middle is x = 0.
        heading: degrees from image right, positive away from the camera.
        enter: fraction of the clip that is over when the walker is at ``start``.
        steps: steps per second.
        outfit: colours.
    """

    betas: tuple[float, ...]
    start: tuple[float, float]
    heading: float
    enter: float
    steps: float
    outfit: Outfit


_WALKERS = (
    _Walker(
        betas=(0.9, 0.3, -0.6),
        start=(-3.5, 0.0),
        heading=4.0,
        enter=0.12,
        steps=1.85,
        outfit=Outfit(
            shirt=Cloth((168, 58, 48)),
            trousers=Cloth((44, 54, 84)),
            shoes=(36, 32, 30),
            skin=(222, 176, 148),
            hair=(66, 44, 32),
            long_sleeves=True,
        ),
    ),
    _Walker(
        betas=(-1.1, -0.8, 1.0),
        start=(3.4, 2.2),
        heading=180.0 + 30.0,
        enter=0.26,
        steps=1.95,
        outfit=Outfit(
            shirt=Cloth((222, 208, 96), (52, 88, 84), "stripes"),
            trousers=Cloth((92, 66, 48)),
            shoes=(214, 214, 208),
            skin=(150, 102, 74),
            hair=(26, 22, 22),
            long_sleeves=False,
        ),
    ),
)
_PIXELS_PER_METRE = 106.0  # at z = 0 in a frame 480 pixels high
_SHRINK = 0.03  # per metre away
_GROUND = 0.86  # of the frame's height, where the ground at z = 0 is


def render_clip(settings: ClipSettings | None = None, body: Body | None = None) -> SyntheticClip:
    """Render the recording. Equal settings give equal pixels.

    Args:
        settings: what is filmed.
        body: who walks; the free body where None.

    Returns:
        Frames and truth.
    """
    settings = settings or ClipSettings()
    body = body or Body.free()
    rng = np.random.default_rng(settings.seed)
    background = _scene(settings, rng)
    walks = [_walk(walker, settings, body) for walker in _WALKERS]
    people, count = len(walks), settings.frames
    size = (settings.height, settings.width)
    images = np.empty((count, *size, 3), np.uint8)
    full = np.zeros((people, count, *size), bool)
    visible = np.zeros((people, count, *size), bool)
    dresser = Dresser(body)
    for number in range(count):
        order = sorted(range(people), key=lambda person: -walks[person].depth[number])
        image = background
        for person in order:
            image = _cast_shadow(image, walks[person], number, settings)
        for person in order:
            surface = see(walks[person].pixels[number], body.faces, size)
            if surface is None:
                continue
            image = dresser.paint(image, surface, _WALKERS[person].outfit)
            x, y, w, h = surface.box
            here = surface.average(surface.visible.astype(np.float32)) >= 0.5
            full[person, number, y : y + h, x : x + w] = here
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
    """Write the frames as lossless ``frames/0000.png``, ..., and the truth as ``truth.npz``.

    Args:
        clip: the recording.
        folder: made where it does not exist. The npz has the arrays of :class:`SyntheticClip` by
            their names, without the images.
    """
    frames = folder / "frames"
    frames.mkdir(parents=True, exist_ok=True)
    for number, image in zip(clip.frame.tolist(), clip.images, strict=True):
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


@dataclass(frozen=True, eq=False)
class _Walk:
    """One person in all T frames: fields of the clip, and what drawing takes.

    Attributes:
        pixels: (T, V, 3) vertices in frame pixels with depth.
        depth: (T,) of the root, metres.
        feet: (T, 2, 2) points on the ground below the feet, frame pixels.
        lift: (T, 2) height of the feet above the ground, metres.
    """

    pose: Floats
    betas: Floats
    projection: Floats
    joints: Floats
    pixels: Tensor
    depth: Floats
    feet: Floats
    lift: Floats


@torch.no_grad()
def _walk(walker: _Walker, settings: ClipSettings, body: Body) -> _Walk:
    """Move a walker along a straight line so that the foot that carries does not slide."""
    count = settings.frames
    betas = torch.zeros(1, 10)
    betas[0, : len(walker.betas)] = torch.tensor(walker.betas)
    heading = math.radians(walker.heading)
    direction = torch.tensor([math.cos(heading), 0.0, math.sin(heading)])

    time = torch.arange(count) / settings.rate - walker.enter * count / settings.rate
    cycles = time * walker.steps / 2
    pose = _level_poses(cycles, direction)
    posed = body(pose, betas.expand(count, -1))
    vertices, joints = posed.vertices, posed.joints

    distance = _distance(cycles, direction, betas, body)
    root = torch.stack(
        [
            walker.start[0] + distance * direction[0],
            torch.zeros(count),
            walker.start[1] + distance * direction[2],
        ],
        -1,
    )
    root[:, 1] = -vertices[..., 1].amax(1)  # soles on the ground, y = 0

    # Tilting the camera turns the body and where it stands.
    pitch = math.radians(settings.pitch)
    tilt = torch.tensor(
        [[1, 0, 0], [0, math.cos(pitch), -math.sin(pitch)], [0, math.sin(pitch), math.cos(pitch)]],
        dtype=torch.float32,
    )
    pose[:, 0] = roma.rotmat_to_rotvec(tilt @ roma.rotvec_to_rotmat(pose[:, 0]))
    posed = body(pose, betas.expand(count, -1))
    place = root @ tilt.T
    # The body turns about its pelvis, which is not its origin.
    place += joints[:, 0] @ tilt.T - posed.joints[:, 0]

    zoom = settings.height / 480 * _PIXELS_PER_METRE
    scale = zoom * (1 - _SHRINK * root[:, 2])
    middle = torch.tensor([settings.width / 2, settings.height * _GROUND])
    shift = middle + place[:, :2] * zoom
    pixels = posed.vertices * scale[:, None, None]
    pixels[..., :2] += shift[:, None]
    feet = joints[:, [10, 11]] + root[:, None]
    lift = -feet[..., 1]
    ground = (feet * torch.tensor([1.0, 0.0, 1.0])) @ tilt.T
    # The same scale about the same root as the body's.
    ground_px = (ground[..., :2] - place[:, None, :2]) * scale[:, None, None] + shift[:, None]
    return _Walk(
        pose=pose.numpy(),
        betas=betas[0].numpy(),
        projection=torch.cat([scale[:, None], shift], 1).numpy(),
        joints=posed.joints.numpy(),
        pixels=pixels,
        depth=root[:, 2].numpy(),
        feet=ground_px.numpy(),
        lift=lift.numpy(),
    )


def _level_poses(cycles: Tensor, direction: Tensor) -> Tensor:
    """Walking poses (T, 24, 3) of upright bodies facing a level direction (3,), in world axes."""
    pose = torch.stack([walking(float(cycle % 1)) for cycle in cycles]).float()
    up = torch.tensor([0.0, -1.0, 0.0])
    # Columns: where the body's left, up and front point.
    facing = torch.stack([torch.linalg.cross(up, direction), up, direction], dim=1)
    pose[:, 0] = roma.rotmat_to_rotvec(facing)
    return pose


def _distance(cycles: Tensor, direction: Tensor, betas: Tensor, body: Body, samples: int = 64) -> Tensor:
    """Metres walked (T,) since cycle 0: the body moves on as the lower foot goes back under it."""
    phases = torch.arange(samples + 1) / samples
    joints = body(_level_poses(phases, direction), betas.expand(samples + 1, -1)).joints
    feet = joints[:, [10, 11]]
    along, low = feet @ direction, feet[..., 1]
    carrying = (low[:-1] + low[1:]).argmax(1, keepdim=True)
    pace = (along[:-1] - along[1:]).gather(1, carrying)[:, 0].clamp(min=0)
    walked = torch.cat([torch.zeros(1), pace.cumsum(0)])
    whole = cycles.floor()
    position = (cycles - whole) * samples
    below = position.floor().long().clamp(max=samples - 1)
    within = walked[below] + (position - below) * (walked[below + 1] - walked[below])
    return whole * walked[-1] + within


def _cast_shadow(image: Image, walk: _Walk, number: int, settings: ClipSettings) -> Image:
    """Darken the ground softly below both feet, less the higher they are."""
    radius = 0.2 * float(walk.projection[number, 0])
    height, width = image.shape[:2]
    columns, rows = np.arange(width) + 0.5, np.arange(height) + 0.5
    shaded = image.copy()
    # Only the rows the shadows reach.
    reach = np.clip(walk.feet[number, :, 1] + [[-radius], [radius]], 0, height).astype(int)
    part = slice(int(reach.min()), int(reach.max()))
    darkness = np.zeros((part.stop - part.start, width))
    for (x, y), lift in zip(walk.feet[number], walk.lift[number], strict=True):
        square = ((columns - x) / radius) ** 2 + ((rows[part, None] - y) / (0.35 * radius)) ** 2
        strength = settings.shadow * math.exp(-max(float(lift), 0.0) / 0.12)
        darkness = np.maximum(darkness, strength * np.exp(-square))
    shaded[part] = np.rint(image[part] * (1 - darkness[..., None]))
    return np.asarray(shaded, np.uint8)


def _expose(image: Image, number: int, settings: ClipSettings, rng: np.random.Generator) -> Image:
    """What the sensor makes of a picture: lighting, noise that grows with light, eight bits."""
    # The light rises over a tenth of the clip, midway.
    change = float(np.clip((number / settings.frames - 0.5) / 0.1, 0, 1))
    lit = image * np.float32(1 + (settings.gain - 1) * change) + np.float32(settings.offset * change)
    deviation = settings.noise * np.sqrt(0.4 + 0.6 * lit / 128)
    lit += deviation * rng.standard_normal(lit.shape, np.float32)
    return np.asarray(np.rint(np.clip(lit, 0, 255)), np.uint8)


def _scene(settings: ClipSettings, rng: np.random.Generator) -> Image:
    """The empty hall, (H, W, 3): wall, door, window, notice board, bench, plant and tiled floor."""
    n = 2  # drawn larger and shrunk, for smooth edges
    width, height = 640 * n, 480 * n
    floor_line = 352 * n
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

    _floor(canvas[floor_line:], n, rng)
    _door(canvas, n)
    _window(canvas, n, rng)
    _board(canvas, n, rng)
    _bench(canvas, n)
    _plant(canvas, n, rng)
    # Light from the upper left, and the lens's fall-off.
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    canvas *= (1.07 - 0.20 * ((columns / width - 0.4) ** 2 + (rows / height - 0.35) ** 2))[..., None]
    shrunk = cv2.resize(canvas, (settings.width, settings.height), interpolation=cv2.INTER_AREA)
    return np.asarray(np.rint(np.clip(shrunk, 0, 255)), np.uint8)


def _mottle(height: int, width: int, grain: int, rng: np.random.Generator) -> Floats:
    """Smooth random texture (H, W, 1) of about unit deviation with spots of ``grain`` pixels."""
    coarse = rng.standard_normal((height // grain + 3, width // grain + 3)).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(smooth[..., None], np.float32)


def _rectangle(canvas: Floats, n: int, x: int, y: int, w: int, h: int, color: tuple[float, float, float]) -> None:
    canvas[y * n : (y + h) * n, x * n : (x + w) * n] = color


def _shade_below(canvas: Floats, n: int, x: int, y: int, w: int, h: int) -> None:
    """A soft shadow that fades downwards."""
    fade = np.linspace(0.72, 1, h * n, dtype=np.float32)[:, None, None]
    canvas[y * n : (y + h) * n, x * n : (x + w) * n] *= fade


def _floor(floor: Floats, n: int, rng: np.random.Generator) -> None:
    """Tiles of slightly different stone, narrowing towards the wall."""
    height, width = floor.shape[:2]
    rows, columns = np.mgrid[:height, :width].astype(np.float32) / n
    away = 1 + 0.0032 * rows
    u = (columns - 320) / away / 46
    v = np.log(away) / 0.0032 / 21
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


def _door(canvas: Floats, n: int) -> None:
    _rectangle(canvas, n, 68, 118, 104, 234, (104, 90, 76))
    _rectangle(canvas, n, 75, 125, 90, 227, (70, 96, 108))
    for x in (83, 124):
        for y, h in ((136, 74), (222, 116)):
            _rectangle(canvas, n, x, y, 33, h, (62, 86, 98))
            _rectangle(canvas, n, x + 2, y + 2, 31, h - 2, (78, 106, 118))
    _rectangle(canvas, n, 156, 236, 4, 14, (196, 178, 120))


def _window(canvas: Floats, n: int, rng: np.random.Generator) -> None:
    _rectangle(canvas, n, 246, 62, 148, 128, (228, 226, 220))
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
        _rectangle(canvas, n, x, 68, 4, 116, (228, 226, 220))
    _rectangle(canvas, n, 240, 190, 160, 7, (206, 202, 194))
    _shade_below(canvas, n, 244, 197, 152, 14)


def _board(canvas: Floats, n: int, rng: np.random.Generator) -> None:
    _rectangle(canvas, n, 452, 96, 128, 88, (96, 74, 54))
    _rectangle(canvas, n, 457, 101, 118, 78, (176, 140, 98))
    canvas[101 * n : 179 * n, 457 * n : 575 * n] += 4 * _mottle(78 * n, 118 * n, 2 * n, rng)
    papers = (
        (464, 108, 30, 40, (238, 236, 228)),
        (500, 106, 26, 30, (226, 204, 120)),
        (532, 110, 34, 24, (170, 204, 214)),
        (500, 142, 22, 30, (236, 232, 226)),
        (530, 140, 36, 32, (222, 160, 146)),
    )
    for x, y, w, h, color in papers:
        _rectangle(canvas, n, x, y, w, h, color)
        for line in range(y + 5, y + h - 4, 5):
            canvas[line * n : line * n + n, (x + 4) * n : (x + w - 5) * n] *= 0.72
    _shade_below(canvas, n, 452, 184, 128, 8)


def _bench(canvas: Floats, n: int) -> None:
    for x in (262, 372):
        _rectangle(canvas, n, x, 312, 7, 48, (58, 56, 58))
    _rectangle(canvas, n, 248, 300, 146, 6, (150, 108, 68))
    _rectangle(canvas, n, 248, 306, 146, 7, (112, 78, 48))
    _shade_below(canvas, n, 252, 352, 138, 12)


def _plant(canvas: Floats, n: int, rng: np.random.Generator) -> None:
    """A pot with leaves."""
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
