"""Simulate 2D keypoints from labels, in place of a detector."""

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
    """Simulate keypoints from the labels of a crop set.

    The projected joints of the body, at the 13 joints that OpenPose finds, are moved by Gaussian noise and dropped at
    random. A real detector is worse: its errors grow with the domain shift, are correlated, and include swaps of left
    and right. Results with simulated keypoints are therefore better than with a detector's.

    Args:
        samples: N crops with labels.
        body: body model of the labels.
        noise_pixels: standard deviation of the noise in x and in y, pixels.
        missing: share of the joints that are dropped, 0 to 1.
        generator: random numbers of noise and dropped joints.

    Returns:
        (N, J, 3) x and y in crop pixels, and confidence 0 or 1; all three are 0 for joints that were dropped or that
        OpenPose does not find.

    Raises:
        UserError: the set has no labels, or they belong to another body model.
    """
    bodies = samples.bodies(body)
    places = project(body.joints(bodies.rotations, bodies.betas), bodies.camera, samples.size)
    # Drawn for all joints, also those that are dropped below, so that `missing` does not change the noise.
    places = places + noise_pixels * torch.randn(places.shape, generator=generator)
    found = torch.rand(places.shape[:2], generator=generator) >= missing
    # OpenPose's 13 joints in SMPL's order; the others keep confidence 0.
    known = torch.zeros(body.joint_count, dtype=torch.bool)
    known[list(OPENPOSE_JOINTS)] = True
    keypoints = torch.cat([places, torch.ones_like(places[..., :1])], dim=2) * (found & known)[..., None]
    return keypoints.numpy().astype(np.float32)
