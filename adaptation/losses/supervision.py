"""Losses of a prediction against known bodies: SPIN's weighted terms, and the plain norm of Kundu et al.

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

_SPREAD = 0.6  # cells


def supervision_loss(prediction: Prediction, truth: Bodies, body: Body, weights: SupervisionWeights) -> Tensor:
    """The loss per image, (B,), of a prediction against B known bodies."""
    predicted = prediction.bodies
    joints = body.joints(predicted.rotations, predicted.betas)
    known = body.joints(truth.rotations, truth.betas)
    # A crop of two units is [-1, 1]^2 but for a shift, which cancels in the difference.
    keypoints = project(joints, predicted.camera, 2) - project(known, truth.camera, 2)
    space = (joints - joints[:, :1]) - (known - known[:, :1])
    # SPIN's guard: a scale near zero or below it makes any projection fit.
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
    places = project(known, truth.camera, prediction.heatmaps.shape[-1])
    return loss + weights.heatmaps * heatmap_loss(prediction.heatmaps, places, _SPREAD).mean(1)


def parameter_distance(predicted: Bodies, truth: Bodies) -> Tensor:
    """L_Theta as Kundu et al. (NeurIPS 2021) print it: the norm of the difference of all parameters, per image (B,).

    Their parameters are shape, pose latent, and the camera with the global rotation. Fits have no latent, so the
    rotations of all joints stand for it. Unlike `supervision_loss` it weighs nothing, and does not see where joints
    end up.
    """
    pairs = (
        (predicted.rotations, truth.rotations),
        (predicted.betas, truth.betas),
        (predicted.camera.weak().parameters, truth.camera.weak().parameters),
    )
    return torch.cat([(one - other).flatten(1) for one, other in pairs], dim=1).norm(dim=1)
