"""The people of the demo's recording: who they are, and how they walk through the hall."""

from __future__ import annotations

import math
from dataclasses import dataclass

import roma
import torch
from torch import Tensor

from adaptation.bodies.body import JOINT_NAMES, Body
from adaptation.bodies.poses import walking
from adaptation.bodies.smpl_file import SHAPE_DIRECTIONS
from adaptation.support.pictures import Floats
from adaptation.synthetic.clothes import Cloth, Outfit

_PIXELS_PER_METRE = 106.0  # at z = 0 in a frame 480 pixels high
_SHRINK = 0.03  # loss of scale per metre away
_GROUND = 0.86  # height of the ground at z = 0, as a fraction of the frame's height
_FEET = [JOINT_NAMES.index("left_foot"), JOINT_NAMES.index("right_foot")]


@dataclass(frozen=True)
class Walker:
    """A person, their clothes, and where they walk.

    Attributes:
        betas: The first shape coefficients; the others are 0.
        start: x, z in metres at the moment ``enter``; x = 0 is the middle of the image.
        heading: Direction in degrees from image right, positive away from the camera.
        enter: Fraction of the clip that has passed when the walker is at ``start``.
        steps: Steps per second.
        outfit: Clothes and colours.
    """

    betas: tuple[float, ...]
    start: tuple[float, float]
    heading: float
    enter: float
    steps: float
    outfit: Outfit


WALKERS = (
    Walker(
        betas=(0.9, 0.3, -0.6),
        # Both start outside of the frame, so that the first frames are empty; one walks across, one towards the camera.
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
    Walker(
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


@dataclass(frozen=True, eq=False)
class Walk:
    """One person in all T frames: ground truth, and what drawing needs. J joints, V vertices.

    Attributes:
        pose: (T, J, 3) axis-angle, radians; joint 0 is the global orientation in camera axes.
        betas: (10,) shape coefficients.
        projection: (T, 3) scale, x, y: a body's point (X, Y, Z) lies at frame pixel
            (scale * X + x, scale * Y + y).
        joints: (T, J, 3) metres, camera axes, origin where the body model has it.
        pixels: (T, V, 3) vertices in frame pixels with depth.
        depth: (T,) distance of the root along z, metres.
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
def simulate_walk(walker: Walker, body: Body, *, frames: int, rate: float, pitch: float, size: tuple[int, int]) -> Walk:
    """Move a walker along a straight line so that the foot that carries the body does not slide.

    Args:
        walker: Person and path.
        body: Body model, on the CPU.
        frames: T, number of frames.
        rate: Frames per second.
        pitch: Angle by which the camera looks down, degrees.
        size: Height and width of the frames, pixels.

    Returns:
        The person in every frame, also in those in which they are outside of it.
    """
    betas = torch.zeros(1, SHAPE_DIRECTIONS)
    betas[0, : len(walker.betas)] = torch.tensor(walker.betas)
    heading = math.radians(walker.heading)
    # Along the ground: y does not change.
    direction = torch.tensor([math.cos(heading), 0.0, math.sin(heading)])

    time = torch.arange(frames) / rate - walker.enter * frames / rate
    cycles = time * walker.steps / 2  # two steps per cycle
    # First in level axes, in which the ground is y = 0; the camera's tilt comes last.
    pose = _level_poses(cycles, direction)
    posed = body(pose, betas.expand(frames, -1))
    vertices, joints = posed.vertices, posed.joints

    distance = _distance(cycles, direction, betas, body)
    x, z = (start + distance * along for start, along in zip(walker.start, direction[[0, 2]], strict=True))
    # y points down, so the largest y is the lowest vertex.
    y = -vertices[..., 1].amax(1)  # soles on the ground, y = 0
    root = torch.stack([x, y, z], -1)

    tilt = _tilt(math.radians(pitch))
    # Tilting the camera turns both the body and the place where it stands.
    pose[:, 0] = roma.rotmat_to_rotvec(tilt @ roma.rotvec_to_rotmat(pose[:, 0]))
    posed = body(pose, betas.expand(frames, -1))
    place = root @ tilt.T
    # The body turns about its pelvis, which is not its origin.
    place += joints[:, 0] @ tilt.T - posed.joints[:, 0]

    zoom = size[0] / 480 * _PIXELS_PER_METRE
    # Weak perspective: one scale per person and frame, from the depth of the root.
    scale = zoom * (1 - _SHRINK * root[:, 2])
    middle = torch.tensor([size[1] / 2, size[0] * _GROUND])
    # Places use the scale at z = 0 for everyone; only bodies shrink with the distance.
    shift = middle + place[:, :2] * zoom
    pixels = posed.vertices * scale[:, None, None]
    pixels[..., :2] += shift[:, None]
    feet = joints[:, _FEET] + root[:, None]
    # The points on the floor straight below the feet: y = 0 before the tilt.
    ground = (feet * torch.tensor([1.0, 0.0, 1.0])) @ tilt.T
    # The same scale about the same root as the body's, or the shadows would part from the feet.
    ground_px = (ground[..., :2] - place[:, None, :2]) * scale[:, None, None] + shift[:, None]
    return Walk(
        pose=pose.numpy(),
        betas=betas[0].numpy(),
        projection=torch.cat([scale[:, None], shift], 1).numpy(),
        joints=posed.joints.numpy(),
        pixels=pixels,
        depth=root[:, 2].numpy(),
        feet=ground_px.numpy(),
        lift=(-feet[..., 1]).numpy(),  # y points down
    )


def _tilt(pitch: float) -> Tensor:
    """Return the rotation (3, 3) from level axes to those of a camera that looks down, in radians."""
    return torch.tensor(
        # About x: the horizon stays level.
        [[1, 0, 0], [0, math.cos(pitch), -math.sin(pitch)], [0, math.sin(pitch), math.cos(pitch)]],
        dtype=torch.float32,
    )


def _level_poses(cycles: Tensor, direction: Tensor) -> Tensor:
    """Return walking poses (T, J, 3) of upright bodies that face a level direction (3,), in world axes."""
    pose = torch.stack([walking(float(cycle % 1)) for cycle in cycles]).float()
    # Camera axes: y points down.
    up = torch.tensor([0.0, -1.0, 0.0])
    # The columns are the directions of the body's left, up and front.
    facing = torch.stack([torch.linalg.cross(up, direction), up, direction], dim=1)
    pose[:, 0] = roma.rotmat_to_rotvec(facing)
    return pose


def _distance(cycles: Tensor, direction: Tensor, betas: Tensor, body: Body, samples: int = 64) -> Tensor:
    """Return the metres walked (T,) since cycle 0: the body advances as the lower foot moves back under it."""
    phases = torch.arange(samples + 1) / samples
    joints = body(_level_poses(phases, direction), betas.expand(samples + 1, -1)).joints
    # (samples + 1, 2, 3); the last sample is the first of the next cycle.
    feet = joints[:, _FEET]
    along, low = feet @ direction, feet[..., 1]
    # y points down, so the carrying foot has the larger y, averaged over the step between two samples.
    carrying = (low[:-1] + low[1:]).argmax(1, keepdim=True)
    # Clamped: near heel strike the lower foot may still move forwards, but people do not walk back.
    pace = (along[:-1] - along[1:]).gather(1, carrying)[:, 0].clamp(min=0)
    walked = torch.cat([torch.zeros(1), pace.cumsum(0)])
    # Interpolated within one cycle, which repeats.
    whole = cycles.floor()
    position = (cycles - whole) * samples
    # Rounding may put the position on the last sample, which has no successor.
    below = position.floor().long().clamp(max=samples - 1)
    within = walked[below] + (position - below) * (walked[below + 1] - walked[below])
    return whole * walked[-1] + within
