"""Supervised losses against known bodies: SPIN's weighted terms, and the plain norm of Rakesh et al.

If a regressor has heatmaps, they are supervised along with SPIN's terms.
"""

from __future__ import annotations

import torch
from torch import Tensor

from adaptation.bodies.body import Body
from adaptation.bodies.camera import project
from adaptation.bodies.parameters import Bodies
from adaptation.losses.settings import SupervisionWeights
from adaptation.regressors.base import Prediction
from adaptation.regressors.heatmaps import heatmap_loss

_SPREAD = 0.6  # standard deviation of the Gaussians that heatmaps are trained towards, in cells of the map


def supervision_loss(prediction: Prediction, truth: Bodies, body: Body, weights: SupervisionWeights) -> Tensor:
    """Compute SPIN's supervised loss per image.

    Args:
        prediction: B predictions.
        truth: the B known bodies.
        body: the body model of both.
        weights: weights of the terms.

    Returns:
        (B,).
    """
    predicted = prediction.bodies
    # Joints alone, without skinning: no term compares vertices.
    joints = body.joints(predicted.rotations, predicted.betas)
    known = body.joints(truth.rotations, truth.betas)
    # With a size of 2, crop pixels are crop coordinates plus 1, which cancels in the difference.
    keypoints = project(joints, predicted.camera, 2) - project(known, truth.camera, 2)
    space = (joints - joints[:, :1]) - (known - known[:, :1])  # pelvises aligned, as in SPIN
    # SPIN's guard: it keeps the camera's scale, and with it the depth, positive.
    guard = torch.exp(-10 * predicted.camera.scale[:, 0]).square()
    loss = (
        weights.keypoints * keypoints.square().mean((1, 2))
        + weights.joints * space.square().mean((1, 2))
        + weights.rotations * (predicted.rotations - truth.rotations).square().mean((1, 2, 3))
        + weights.betas * (predicted.betas - truth.betas).square().mean(1)
        + guard
    )
    if prediction.heatmaps is None:
        return loss
    # In cells of the map. Cell centres are at +0.5 as in pixels, so a map is projected to like a crop of its size.
    places = project(known, truth.camera, prediction.heatmaps.shape[-1])
    return loss + weights.heatmaps * heatmap_loss(prediction.heatmaps, places, _SPREAD).mean(1)


def parameter_distance(predicted: Bodies, truth: Bodies) -> Tensor:
    """Compute L_Theta as in Rakesh et al. (NeurIPS 2021): the norm of the difference of all parameters, (B,).

    Their parameters are shape, pose latent, and the camera with the global rotation. Fits have no latent, so the
    rotations of all joints take its place. Unlike `supervision_loss`, it has no weights and does not compare the
    positions of joints.
    """
    # Matrices, not axis-angle vectors: those jump at half a turn, which is where upright bodies are.
    pairs = (
        (predicted.rotations, truth.rotations),
        (predicted.betas, truth.betas),
        (predicted.camera.weak().parameters, truth.camera.weak().parameters),
    )
    return torch.cat([(one - other).flatten(1) for one, other in pairs], dim=1).norm(dim=1)
