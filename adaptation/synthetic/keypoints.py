"""Keypoints made from labels: a stand-in for a detector, where none is at hand."""

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

    The body's own joints, at the 13 places that OpenPose finds, are moved by Gaussian noise and dropped at random.
    That is kinder than a real detector, whose errors grow with the shift of the domain, swap left and right, and
    come together: results with these keypoints are better than a detector's would be.

    Args:
        samples: with labels.
        body: the body model of the labels.
        noise_pixels: standard deviation in x and in y.
        missing: share of the joints that are not found.
        generator: for noise and gaps.

    Returns:
        (N, J, 3) x and y in crop pixels, and confidence 0 or 1.

    Raises:
        UserError: the set has no labels, or they belong to another body model.
    """
    bodies = samples.bodies(body)
    places = project(body.joints(bodies.rotations, bodies.betas), bodies.camera, samples.size)
    places = places + noise_pixels * torch.randn(places.shape, generator=generator)
    found = torch.rand(places.shape[:2], generator=generator) >= missing
    known = torch.zeros(body.joint_count, dtype=torch.bool)
    known[list(OPENPOSE_JOINTS)] = True
    keypoints = torch.cat([places, torch.ones_like(places[..., :1])], dim=2) * (found & known)[..., None]
    return keypoints.numpy().astype(np.float32)
