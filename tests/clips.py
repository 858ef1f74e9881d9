"""Clips of a static camera with people whose places in every frame are known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from figures import HEIGHT, WIDTH

from adaptation.recording.detections import Detection
from adaptation.recording.footage.video import Frames, open_frames

DARK, RED = (25, 20, 30), (40, 30, 200)  # blue, green, red


def background() -> np.ndarray:
    rng = np.random.default_rng(3)
    coarse = rng.uniform(110, 180, (5, 8, 3)).astype(np.float32)
    return cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def shot(image: np.ndarray, seed: int, noise: float = 2) -> np.ndarray:
    """Return an image as a camera with noise of some grey levels delivers it."""
    return np.clip(image + np.random.default_rng(seed).normal(0, noise, image.shape), 0, 255).astype(np.uint8)


def record(
    path: Path, count: int, people: Callable[[int], list], light=lambda number: 1.0, *, noise: float = 2
) -> Frames:
    """Write a clip; `people` gives the (mask, colour) of a frame, farthest first."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (WIDTH, HEIGHT))
    scene = background()
    for number in range(count):
        image = scene.copy()
        for mask, colour in people(number):
            image[mask] = colour
        writer.write(shot(image * light(number), number, noise))
    writer.release()
    return open_frames(path)


def full_mask(detection: Detection) -> np.ndarray:
    """Return the mask of a detection in the whole frame."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    x, y, w, h = detection.bbox
    mask[y : y + h, x : x + w] = detection.mask
    return mask


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())
