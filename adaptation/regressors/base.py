"""The interface of mesh regressors, and an adapter for other networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import roma
import torch
from torch import Tensor, nn

from adaptation.bodies.camera import WeakPerspective
from adaptation.bodies.parameters import Bodies
from adaptation.bodies.rotations import Layout, rot6d_to_matrix
from adaptation.support.batches import Batch

# ImageNet's statistics of RGB in [0, 1], which pretrained ResNets expect.
IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Prediction(Batch):
    """A regressor's predictions for B crops.

    Attributes:
        bodies: B bodies with their cameras.
        latent: (B, 32) pose latent phi in [-1, 1]; None for regressors without one.
        heatmaps: (B, J, H, W) logits of joint positions; None for regressors without heatmaps.
    """

    bodies: Bodies
    latent: Tensor | None = None
    heatmaps: Tensor | None = None


class MeshNetwork(Protocol):
    """The interface of networks that can be adapted."""

    def __call__(self, images: Tensor) -> Prediction:
        """Predict bodies and cameras for RGB crops (B, 3, S, S) in [0, 1]."""


PoseForm = Literal["matrix", "axis_angle", "rot6d"]


def wrap(
    network: nn.Module,
    *,
    pose: PoseForm = "matrix",
    layout: Layout = "interleaved",
    mean: Sequence[float] = IMAGE_MEAN,
    std: Sequence[float] = IMAGE_STD,
) -> nn.Module:
    """Turn a network that returns (pose, betas, camera), as those of HMR and SPIN do, into a `MeshNetwork`.

    Args:
        network: maps normalised images (B, 3, S, S) to pose, betas (B, K) and a weak-perspective camera (B, 3).
        pose: form of its pose of J joints: "matrix" (B, J, 3, 3), "axis_angle" (B, 3 J) or (B, J, 3), or "rot6d"
            (B, 6 J).
        layout: order of the six numbers of "rot6d".
        mean: channel means that are subtracted from RGB in [0, 1].
        std: channel standard deviations that the result is divided by.

    Returns:
        A module whose ``network`` is the given network; training changes its weights.
    """
    return _Wrapped(network, pose, layout, mean, std)


class _Wrapped(nn.Module):
    mean: Tensor
    std: Tensor

    def __init__(
        self, network: nn.Module, pose: PoseForm, layout: Layout, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__()
        self.network, self.pose, self.layout = network, pose, layout
        # Not persistent: they describe the given network's input and do not belong to its weights.
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Prediction:
        # Networks may return more than these three.
        pose, betas, camera = self.network((images - self.mean) / self.std)[:3]
        count = images.shape[0]  # not len(), which would fix the number of crops in an exported network
        if self.pose == "axis_angle":
            rotations = roma.rotvec_to_rotmat(pose.reshape(count, -1, 3))
        elif self.pose == "rot6d":
            rotations = rot6d_to_matrix(pose.reshape(count, -1, 6), self.layout)
        else:
            rotations = pose.reshape(count, -1, 3, 3)
        return Prediction(Bodies(rotations, betas, WeakPerspective(camera)))
