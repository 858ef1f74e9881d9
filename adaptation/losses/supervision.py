"""Losses of a prediction against known bodies: SPIN's weighted terms, and the plain norm of Kundu et al.

Where a regressor has heatmaps, they are supervised beside SPIN's terms.
"""

from __future__ import annotations

from dataclasses import dataclass

import roma
import torch
from torch import Tensor

from adaptation.bodies.body import FLIP_PERMUTATION, Body
from adaptation.bodies.camera import project
from adaptation.data.samples import Domain
from adaptation.regressors.heatmaps import heatmap_loss
from adaptation.regressors.hmr import Prediction
from adaptation.support.errors import UserError

_SPREAD = 0.6  # cells


@dataclass(frozen=True)
class Truth:
    """Known bodies: rotations (B, 24, 3, 3), betas (B, 10), camera (B, 3)."""

    rotations: Tensor
    betas: Tensor
    camera: Tensor

    def select(self, index: Tensor) -> Truth:
        """Those of an index or mask (N,)."""
        return Truth(self.rotations[index], self.betas[index], self.camera[index])

    def to(self, device: str) -> Truth:
        """The same on another device."""
        return Truth(self.rotations.to(device), self.betas.to(device), self.camera.to(device))


def truth_of(domain: Domain) -> Truth:
    """The labels of a domain.

    Raises:
        UserError: it has none.
    """
    if not domain.labelled:
        raise UserError("this set of crops has no labels (pose, betas, camera)")
    rotations = roma.rotvec_to_rotmat(torch.from_numpy(domain.pose))
    return Truth(rotations, torch.from_numpy(domain.betas), torch.from_numpy(domain.camera))


def mirror(truth: Truth) -> Truth:
    """What a mirrored image shows: left and right exchanged."""
    sign = truth.rotations.new_tensor([-1.0, 1.0, 1.0])
    rotations = truth.rotations[:, list(FLIP_PERMUTATION)] * sign[:, None] * sign[None, :]
    return Truth(rotations, truth.betas, truth.camera * truth.camera.new_tensor([1.0, -1.0, 1.0]))


@dataclass(frozen=True)
class SupervisionWeights:
    """Weights of the terms; SPIN's, without its common factor of 60.

    Attributes:
        keypoints: squared distance of projected joints, the crop being [-1, 1]^2.
        joints: squared distance in space, metres, the pelvis held.
        rotations: squared differences of rotation matrices.
        betas: squared differences.
        heatmaps: divergence from Gaussians around the projected joints.
    """

    keypoints: float = 5.0
    joints: float = 5.0
    rotations: float = 1.0
    betas: float = 0.02
    heatmaps: float = 0.2


def supervision_loss(prediction: Prediction, truth: Truth, body: Body, weights: SupervisionWeights) -> Tensor:
    """Loss per image, (B,)."""
    joints = body.joints(prediction.rotations, prediction.betas)
    wanted = body.joints(truth.rotations, truth.betas)
    # A crop of two units is [-1, 1]^2 but for a shift, which the difference does not see.
    keypoints = project(joints, prediction.camera, 2) - project(wanted, truth.camera, 2)
    space = (joints - joints[:, :1]) - (wanted - wanted[:, :1])
    # SPIN's guard: a scale near zero or below it makes any projection fit.
    guard = torch.exp(-10 * prediction.camera[:, 0]).square()
    loss = (
        weights.keypoints * keypoints.square().mean((1, 2))
        + weights.joints * space.square().mean((1, 2))
        + weights.rotations * (prediction.rotations - truth.rotations).square().mean((1, 2, 3))
        + weights.betas * (prediction.betas - truth.betas).square().mean(1)
        + guard
    )
    if prediction.heatmaps is None:
        return loss
    places = project(wanted, truth.camera, prediction.heatmaps.shape[-1])
    return loss + weights.heatmaps * heatmap_loss(prediction.heatmaps, places, _SPREAD).mean(1)


def parameter_distance(prediction: Prediction, truth: Truth) -> Tensor:
    """L_Theta as Kundu et al. (NeurIPS 2021) print it: the norm of the difference of all parameters, per image (B,).

    Their parameters are shape, pose latent, and the camera with the global rotation. Fits have no latent, so that the
    rotations of all 24 joints stand for it. Unlike `supervision_loss` it weighs nothing, and does not see where joints
    end up.
    """
    pairs = (
        (prediction.rotations, truth.rotations), (prediction.betas, truth.betas), (prediction.camera, truth.camera),
    )  # fmt: skip
    return torch.cat([(one - other).flatten(1) for one, other in pairs], dim=1).norm(dim=1)
