"""Scenes before a camera whose tilt is known: posts and beams, and people on a level floor."""

from __future__ import annotations

import cv2
import numpy as np

from adaptation.recording.tilt.camera_tilt import down_of
from adaptation.recording.tilt.people import Walkers

SIZE = WIDTH, HEIGHT = 640, 480
CENTRE = (WIDTH / 2, HEIGHT / 2)
FOCAL = 700.0


def project(points: np.ndarray) -> np.ndarray:
    """Project points (N, 3) in camera axes to pixels (N, 2)."""
    return points[:, :2] / points[:, 2:] * FOCAL + CENTRE


def axes(pitch: float, roll: float) -> np.ndarray:
    """Return down, and two level directions: to the right and away; rows in camera axes."""
    down = np.array(down_of(pitch, roll))
    right = np.cross(down, [0.0, 0, 1])
    right /= np.linalg.norm(right)
    return np.stack([down, right, np.cross(right, down)])


def picture(pitch: float, roll: float, posts: int = 12, beams: int = 12, seed: int = 0) -> np.ndarray:
    """Draw posts, and level beams in two directions, before a wall of noise; (H, W) uint8."""
    chance = np.random.default_rng(seed)
    down, right, away = axes(pitch, roll)
    # A house seen at its corner.
    beam = 0.8 * right + 0.6 * away, 0.8 * away - 0.6 * right
    image = np.full((HEIGHT, WIDTH), 170, np.uint8)
    for number in range(posts + beams):
        along = down if number < posts else beam[number % 2]
        middle = np.array([*chance.uniform(-1, 1, 2) * (1.6, 1.0), 4.0])
        start, end = project(middle + np.outer(chance.uniform(0.3, 0.8, 2) * (-1, 1), along))
        ends = [tuple(int(value) for value in np.rint(point * 16)) for point in (start, end)]
        cv2.line(image, *ends, int(chance.integers(20, 110)), 4, cv2.LINE_AA, 4)
    noise = chance.normal(0, 2, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def walkers(pitch: float, roll: float, people: int, sightings: int = 10, camera: float = 2.5, seed: int = 0) -> Walkers:
    """Return people at places all over the floor, seen by a camera `camera` times as high as they are.

    They differ by 5 % in height and 3 degrees in lean, and scatter by as much from sighting to sighting.
    """
    chance = np.random.default_rng(seed)
    down, right, away = axes(pitch, roll)
    person = np.repeat(np.arange(people), sightings)
    own = chance.normal(0, 0.05, (people, 2))[person]
    place = np.stack([np.full(len(person), camera), *chance.uniform((-2, 4), (2, 12), (len(person), 2)).T], 1)
    feet = place @ np.stack([down, right, away])
    tall, lean = (own + chance.normal(0, 0.05, own.shape)).T
    heads = feet - (1 + tall)[:, None] * down + lean[:, None] * right
    return Walkers(project(feet) - CENTRE, project(heads) - CENTRE, person)
