"""Clips of one person in front of a static camera, with full ground truth for every frame."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from adaptation.bodies.body import JOINT_NAMES, Body, mirror_pose
from adaptation.bodies.poses import facing, sample_poses, walking
from adaptation.bodies.smpl_file import SHAPE_DIRECTIONS
from adaptation.recording.footage.background import MedianSubtractor
from adaptation.recording.footage.cleaning import clean_mask
from adaptation.support.drawing import see
from adaptation.support.pictures import Image
from adaptation.synthetic.clothes import Dresser
from adaptation.synthetic.looks import LookFamily, Rng, sample_look, sensor

Mask = npt.NDArray[np.bool_]

_FEET = [JOINT_NAMES.index("left_foot"), JOINT_NAMES.index("right_foot")]


@dataclass(frozen=True, eq=False)
class Clip:
    """T frames of H x W pixels, each with one person.

    Attributes:
        images: (T, H, W, 3) uint8 RGB.
        truth: (T, H, W) bool, pixels of which the person covers at least half.
        subtracted: (T, H, W) bool, masks found by background subtraction.
        pose: (T, J, 3) axis-angle, radians; joint 0 is the global orientation in camera axes.
        betas: (10,) shape coefficients.
        projection: (T, 3) scale, x, y: a point (X, Y, Z) lies at pixel (scale * X + x, scale * Y + y).
    """

    images: npt.NDArray[np.uint8]
    truth: Mask
    subtracted: Mask
    pose: Tensor
    betas: Tensor
    projection: Tensor


def sample_clip(
    family: LookFamily, body: Body, dresser: Dresser, frames: int, height: int, rng: Rng, camera: Rng
) -> Clip:
    """Render a clip of a person whose appearance is sampled from a family.

    Args:
        family: Distribution of appearances, cameras and body shapes.
        body: Body model that is posed and rendered.
        dresser: Painter of that body model.
        frames: T, at least 8: background subtraction learns the empty scene from them.
        height: H, height of the frames in pixels; they are 1.5 times as wide.
        rng: Source of randomness for the person.
        camera: Source of randomness for the camera and its scene; the same object as `rng` if every
            clip has a camera of its own.

    Returns:
        Frames, masks and ground truth.
    """
    # Torch draws from a generator of its own, seeded here so that one seed decides the whole clip.
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    width = height * 3 // 2
    betas = 0.7 * torch.randn(SHAPE_DIRECTIONS, generator=generator).clamp(-2, 2)
    # The mean is added after the clamp, which bounds the deviation from it.
    betas[: len(family.shape_mean)] += torch.tensor(family.shape_mean)
    pose = _poses(family, frames, generator, rng, camera)
    with torch.no_grad():
        posed = body(pose, betas.expand(frames, -1))
    projection = _places(posed.vertices, height, width, rng)
    pixels = posed.vertices * projection[:, None, :1]
    # Depth is scaled like x and y, so that the body keeps its proportions, but has no offset.
    pixels[..., :2] += projection[:, None, 1:]

    look = sample_look(family, rng, camera)
    scene = np.asarray(np.rint(np.clip(family.background(camera, height, width), 0, 255)), np.uint8)
    # From the camera's generator: with one camera, its noise is the same in all clips.
    noise = float(camera.uniform(*family.noise))
    images = np.empty((frames, height, width, 3), np.uint8)
    truth = np.zeros((frames, height, width), bool)
    for t in range(frames):
        picture = scene
        # Four samples per pixel give the coverage that decides about the exact mask.
        surface = see(pixels[t], body.faces, (height, width), samples=2)
        if surface is not None:
            x, y, w, h = surface.box
            truth[t, y : y + h, x : x + w] = surface.average(surface.visible.astype(np.float32)) >= 0.5
            # Before the person is painted: the shadow lies on the floor, never on the legs.
            picture = _ground_shadow(scene, posed.joints[t], projection[t])
            picture = dresser.paint(picture, surface, look.outfit, light=look.light, ambient=look.ambient)
        images[t] = sensor(picture, noise, rng)
    # As for a real recording, the masks come from the noisy frames, with the errors this method makes.
    subtractor = MedianSubtractor()
    subtractor.learn(list(images))
    # Cleaned as in a recording, and only the person: clips show one.
    subtracted = np.stack([_largest(clean_mask(subtractor.mask(image))) for image in images])
    return Clip(images, truth, subtracted, pose, betas, projection)


def _poses(family: LookFamily, count: int, generator: torch.Generator, rng: Rng, camera: Rng) -> Tensor:
    """Sample poses (T, J, 3): half of the clips show a person walking, the others poses of all kinds."""
    yaw = torch.full((count,), float(rng.uniform(-math.pi, math.pi)))
    if rng.random() < 0.5:
        # The step does not divide the cycle, so that no frame repeats another.
        phase = (rng.uniform() + 0.137 * torch.arange(count)) % 1
        pose = walking(phase, float(rng.uniform(12, 30)), float(rng.uniform(5, 35)), float(rng.uniform(8, 35)))
        pose = mirror_pose(pose) if rng.random() < 0.5 else pose
        # One offset for the whole clip: a walk of a person's own, without jitter between frames.
        pose = pose + 0.05 * torch.randn(1, *pose.shape[1:], generator=generator)
    else:
        pose = sample_poses(count, generator)
        yaw = yaw + 2 * math.pi * torch.rand(count, generator=generator)
    # One pitch per camera, not per person.
    pitch = math.radians(float(camera.uniform(*family.pitch)))
    pose[:, 0] = facing(yaw, pitch=pitch, roll=0.03 * torch.randn(count, generator=generator))
    return pose


def _places(vertices: Tensor, height: int, width: int, rng: Rng) -> Tensor:
    """Return projections (T, 3) that spread the person over the frame, always wholly inside it."""
    low, high = vertices[..., :2].amin(1), vertices[..., :2].amax(1)
    extent = high - low
    # One zoom per clip, from the tallest pose: the camera is orthographic, and people do not change their size.
    zoom = float(rng.uniform(0.55, 0.8)) * height / float(extent[:, 1].max())
    # Poses with spread arms have to fit the width as well.
    zoom = min(zoom, 0.9 * width / float(extent[:, 0].max()))
    count = len(vertices)
    # Evenly over the width, in random order: every part of the scene is then empty most of the time,
    # as background subtraction requires.
    across = (torch.from_numpy(rng.permutation(count)) + 0.5) / count
    x = across * (width - zoom * extent[:, 0]) - zoom * low[:, 0]
    y = torch.from_numpy(rng.uniform(0.3, 1.0, count)) * (height - zoom * extent[:, 1]) - zoom * low[:, 1]
    return torch.stack([torch.full((count,), zoom), x, y], dim=1).float()


def _ground_shadow(scene: Image, joints: Tensor, projection: Tensor) -> Image:
    """Return the scene (H, W, 3) with a soft shadow below the lowest foot."""
    scale, x, y = projection.tolist()
    feet = joints[_FEET, :2] * scale + torch.tensor([x, y])
    centre = feet.mean(0)
    centre[1] = feet[:, 1].max()
    # 30 cm in pixels, flattened below since the floor is seen at a low angle.
    radius = 0.3 * scale
    columns = (np.arange(scene.shape[1]) + 0.5 - float(centre[0])) / radius
    rows = (np.arange(scene.shape[0]) + 0.5 - float(centre[1])) / (0.3 * radius)
    darkness = 0.35 * np.exp(-(columns[None] ** 2) - rows[:, None] ** 2)
    return np.asarray(np.rint(scene * (1 - darkness[..., None])), np.uint8)


def _largest(mask: Mask) -> Mask:
    """Return the largest connected region of a mask."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count == 1:
        return mask
    return np.asarray(labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax()))
