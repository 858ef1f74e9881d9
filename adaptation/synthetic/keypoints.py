"""Simulated keypoints, made from labels in place of a detector's."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from adaptation.bodies.body import Body
from adaptation.bodies.camera import project
from adaptation.bodies.joint_sets import OPENPOSE_JOINTS
from adaptation.data.samples import Samples

Floats = npt.NDArray[np.float32]


def simulated_keypoints(
    samples: Samples, body: Body, noise_pixels: float, missing: float, generator: torch.Generator
) -> Floats:
    """Make keypoints from the labels of a crop set.

    The body's own joints that OpenPose finds, 13 of them, are moved by Gaussian noise and dropped at random. This is
    kinder than a real detector, whose errors grow with the domain shift, swap left and right, and are correlated:
    results with these keypoints are better than results with a detector's would be.

    Args:
        samples: N labelled crops.
        body: the body model of the labels.
        noise_pixels: standard deviation of the noise in x and in y, crop pixels.
        missing: share of the joints that are not found, in [0, 1].
        generator: source of the random numbers.

    Returns:
        (N, J, 3) x and y in crop pixels, and confidence 0 or 1.

    Raises:
        UserError: the crops have no labels, or the labels belong to another body model.
    """
    bodies = samples.bodies(body)
    places = project(body.joints(bodies.rotations, bodies.betas), bodies.camera, samples.size)
    places = places + noise_pixels * torch.randn(places.shape, generator=generator)
    found = torch.rand(places.shape[:2], generator=generator) >= missing
    known = torch.zeros(body.joint_count, dtype=torch.bool)
    known[list(OPENPOSE_JOINTS)] = True
    keypoints = torch.cat([places, torch.ones_like(places[..., :1])], dim=2) * (found & known)[..., None]
    return keypoints.numpy().astype(np.float32)
