"""What a mesh regressor is to this project, and how to make one of another network."""

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

IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Prediction(Batch):
    """What a regressor predicts for B crops.

    Attributes:
        bodies: B bodies with their cameras.
        latent: (B, 32) phi in [-1, 1], if the regressor has a pose latent.
        heatmaps: (B, J, H, W) logits of joint positions, if the regressor has heatmaps.
    """

    bodies: Bodies
    latent: Tensor | None = None
    heatmaps: Tensor | None = None


class MeshNetwork(Protocol):
    """Any network that can be adapted."""

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
    """Make a `MeshNetwork` of a network that returns (pose, betas, camera), as HMR's and SPIN's do.

    Args:
        network: maps normalised images (B, 3, S, S) to pose, betas (B, K) and a weak-perspective camera (B, 3).
        pose: form of its pose of J joints: "matrix" (B, J, 3, 3), "axis_angle" (B, 3 J) or (B, J, 3), or "rot6d"
            (B, 6 J).
        layout: order of the six numbers of "rot6d".
        mean: subtracted from RGB in [0, 1] before the network sees it.
        std: then divided by.

    Returns:
        A module; its ``network`` is the one given, whose weights training changes.
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
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Prediction:
        pose, betas, camera = self.network((images - self.mean) / self.std)[:3]
        count = len(images)
        if self.pose == "axis_angle":
            rotations = roma.rotvec_to_rotmat(pose.reshape(count, -1, 3))
        elif self.pose == "rot6d":
            rotations = rot6d_to_matrix(pose.reshape(count, -1, 6), self.layout)
        else:
            rotations = pose.reshape(count, -1, 3, 3)
        return Prediction(Bodies(rotations, betas, WeakPerspective(camera)))
