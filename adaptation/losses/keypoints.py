"""Reprojection losses of 2D keypoints."""

from __future__ import annotations

import torch
from torch import Tensor

from adaptation.bodies.body import Body
from adaptation.bodies.camera import project
from adaptation.bodies.joint_sets import OPENPOSE
from adaptation.bodies.parameters import Bodies
from adaptation.data.samples import Samples
from adaptation.support.errors import UserError


def keypoints_of(samples: Samples, body: Body) -> Tensor:
    """Return the keypoints of a crop set at a body's joints.

    Args:
        samples: N crops with keypoints.
        body: the body model, with J joints.

    Returns:
        (N, J, 3) x and y in crop pixels, and confidence; confidence 0 for joints without a keypoint.

    Raises:
        UserError: the set has no keypoints, or none with a positive confidence.
    """
    if samples.keypoints is None or not samples.has("keypoints").any():
        raise UserError("the target has no 2D keypoints, which this loss needs; `topo-adapt keypoints` adds them")
    placed, keypoints = samples.joints, samples.keypoints
    if not set(placed.joints) <= set(body.joint_set.joints):
        # Annotators' head and pelvis are other points than the body's; limbs and neck are close to its joints.
        placed, keypoints = OPENPOSE, placed.placed_in(OPENPOSE, keypoints)
    # Confidence 0 takes the joints that the set lacks out of the loss.
    return torch.from_numpy(placed.placed_in(body.joint_set, keypoints))


def keypoint_loss(bodies: Bodies, keypoints: Tensor, body: Body, size: int) -> Tensor:
    """Compute SPIN's keypoint loss: squared distances of projected joints, weighted by confidence.

    Distances are in crop coordinates, [-1, 1] across the crop.

    Args:
        bodies: B predicted bodies.
        keypoints: (B, J, 3) x and y in crop pixels, and confidence.
        body: the body model of the predictions.
        size: side of the crops in pixels.

    Returns:
        (B,) means over the J joints and two coordinates; a joint that was not found counts as 0.
    """
    joints = project(body.joints(bodies.rotations, bodies.betas), bodies.camera, size)
    away = (joints - keypoints[..., :2]) * (2 / size)  # pixels to crop coordinates
    # Not divided by the confidences: a crop in which few joints were found weighs less.
    return (keypoints[..., 2:] * away.square()).mean((1, 2))


def geman_mcclure(squares: Tensor, sigma: float) -> Tensor:
    """Compute rho(e) = sigma^2 e^2 / (sigma^2 + e^2) of squared distances: e^2 for small ones, sigma^2 at most."""
    return sigma**2 * squares / (sigma**2 + squares)


def robust_keypoint_loss(joints: Tensor, keypoints: Tensor, sigma: float) -> Tensor:
    """Compute SMPLify's reprojection loss E_J (Bogo et al., ECCV 2016, eq. 2): sum_i w_i rho(|joint_i - keypoint_i|).

    rho is Geman and McClure's penalty, for which a keypoint far away costs no more than sigma squared.

    Args:
        joints: (B, J, 2) projected joints, pixels.
        keypoints: (B, J, 3) x and y, pixels, and the weight w, 0 for joints without a keypoint.
        sigma: distance, pixels, at which the penalty is half of its maximum.

    Returns:
        (B,) sums, pixels squared.
    """
    squares = (joints - keypoints[..., :2]).square().sum(2)
    # A keypoint that was not found may hold any place; its weight is 0.
    return (keypoints[..., 2] * geman_mcclure(squares, sigma)).sum(1)
