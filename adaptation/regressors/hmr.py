"""The mesh regressor: one image crop to pose, shape and camera.

The form is HMR's (Kanazawa et al., CVPR 2018) as in SPIN, without its dropout: ResNet features, and a
head that corrects a mean estimate three times. State-dict keys are SPIN's, so that its checkpoints
load. The pose is either SPIN's 24 rotations of six numbers, or, as in Kundu et al. (NeurIPS 2021), a
latent phi = tanh(z) in [-1, 1]^32 that a frozen pose prior decodes, beside the global rotation.

A small network does not learn from averaged features where limbs are. One with heatmaps looks for each joint first, and
its head sees where the joints are and the features there, as integral regression does (Sun et al., ECCV 2018).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import roma
import torch
from torch import Tensor, nn

from adaptation.bodies.body import Body, BodyOutput
from adaptation.bodies.rotations import Layout, rot6d_to_matrix
from adaptation.regressors.heatmaps import expected_places, heatmap_shares
from adaptation.regressors.resnet import FeaturePyramid, ResNet

LATENT = 32
IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Prediction:
    """What a regressor says about B crops.

    Attributes:
        rotations: (B, 24, 3, 3), joint 0 the global orientation in camera axes.
        betas: (B, 10).
        camera: (B, 3) weak perspective (s, tx, ty) over the crop.
        latent: (B, 32) phi in [-1, 1], where the regressor has one.
        heatmaps: (B, 24, H, W) logits of where the joints are, where the regressor has them.
    """

    rotations: Tensor
    betas: Tensor
    camera: Tensor
    latent: Tensor | None = None
    heatmaps: Tensor | None = None

    def body(self, model: Body) -> BodyOutput:
        """Vertices and joints of these bodies."""
        return model(self.rotations, self.betas)

    @property
    def pose(self) -> Tensor:
        """Axis-angle, (B, 24, 3), with no gradient worth taking: the sign is free at half a turn."""
        return roma.rotmat_to_rotvec(self.rotations)


class MeshNetwork(Protocol):
    """Any network that can be adapted: RGB crops (B, 3, S, S) in [0, 1] to a `Prediction`."""

    def __call__(self, images: Tensor) -> Prediction:
        """Bodies and cameras of crops."""


PoseDecoder = Callable[[Tensor], Tensor]
"""phi (B, 32) to the rotations of joints 1 to 23, (B, 23, 3, 3)."""


class Regressor(ResNet):
    """The project's regressor.

    Args:
        blocks: of the ResNet.
        width: of the ResNet.
        hidden: units of the head's two layers; 1024 in SPIN.
        decoder: of the latent; None for SPIN's rotations. It belongs to the caller: its weights are neither
            trained nor saved here.
        heatmaps: whether the head sees joints found by heatmaps too, and has rectifiers. SPIN's does not.
        rounds: corrections of the mean estimate.
    """

    init_pose: Tensor
    init_shape: Tensor
    init_cam: Tensor
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        blocks: Sequence[int] = (3, 4, 6, 3),
        width: int = 64,
        hidden: int = 1024,
        decoder: PoseDecoder | None = None,
        heatmaps: bool = False,
        rounds: int = 3,
    ) -> None:
        super().__init__(blocks, width)
        self._decoder = (decoder,)  # in a tuple, so that a module is not registered as part of this one
        self.rounds = rounds
        numbers = 24 * 6 if decoder is None else LATENT + 6
        self.joints = JointFinder(self.channels[1:]) if heatmaps else None
        features = self.channels[-1] + (self.joints.features if self.joints else 0)
        self.fc1 = nn.Linear(features + numbers + 13, hidden)
        self.fc2 = nn.Linear(hidden, hidden)
        self.decpose = nn.Linear(hidden, numbers)
        self.decshape = nn.Linear(hidden, 10)
        self.deccam = nn.Linear(hidden, 3)
        for layer in (self.decpose, self.decshape, self.deccam):
            nn.init.xavier_uniform_(layer.weight, gain=0.01)
        # An upright body that faces the camera: its y axis points up, the image's down.
        upright = torch.tensor([1.0, 0.0, 0.0, -1.0, 0.0, 0.0])
        identity = torch.tensor([1.0, 0.0, 0.0, 1.0, 0.0, 0.0])
        rest = identity.repeat(23) if decoder is None else torch.zeros(LATENT)
        parts = (upright, rest) if decoder is None else (rest, upright)
        self.register_buffer("init_pose", torch.cat(parts)[None])
        self.register_buffer("init_shape", torch.zeros(1, 10))
        self.register_buffer("init_cam", torch.tensor([[0.9, 0.0, 0.0]]))
        self.register_buffer("mean", torch.tensor(IMAGE_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGE_STD).view(1, 3, 1, 1), persistent=False)

    @property
    def decoder(self) -> PoseDecoder | None:
        """Of the latent, where there is one."""
        return self._decoder[0]

    def forward(self, images: Tensor) -> Prediction:
        """Crops (B, 3, S, S), RGB in [0, 1], to bodies and cameras."""
        stages = self.stages((images - self.mean) / self.std)
        features, heatmaps, bend = stages[-1].mean((2, 3)), None, nn.Identity()
        if self.joints is not None:
            heatmaps, found = self.joints(stages[1:])
            features, bend = torch.cat([features.float(), found], dim=1), nn.ReLU()
        count = len(images)
        pose, betas, camera = (mean.expand(count, -1) for mean in (self.init_pose, self.init_shape, self.init_cam))
        for _ in range(self.rounds):
            x = bend(self.fc2(bend(self.fc1(torch.cat([features, pose, betas, camera], dim=1)))))
            pose, betas, camera = pose + self.decpose(x), betas + self.decshape(x), camera + self.deccam(x)
        decoder = self.decoder
        if decoder is None:
            return Prediction(rot6d_to_matrix(pose.view(count, 24, 6)), betas, camera, heatmaps=heatmaps)
        latent = torch.tanh(pose[:, :LATENT])
        whole = rot6d_to_matrix(pose[:, None, LATENT:])
        return Prediction(torch.cat([whole, decoder(latent)], dim=1), betas, camera, latent, heatmaps)


class JointFinder(nn.Module):
    """A heatmap per joint over a feature pyramid, and what the pyramid holds at the joints.

    Args:
        stages: channels of the ResNet's stages, fine to coarse.

    Attributes:
        features: numbers that it gives per image.
    """

    _PYRAMID = 48
    _LOCAL = 16

    def __init__(self, stages: Sequence[int]) -> None:
        super().__init__()
        self.pyramid = FeaturePyramid(stages, self._PYRAMID)
        self.maps = nn.Conv2d(self._PYRAMID, 24, 1)
        self.local = nn.Conv2d(self._PYRAMID, self._LOCAL, 1)
        self.features = 24 * (2 + self._LOCAL)

    def forward(self, stages: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """What the stages give to logits (B, 24, H, W), and places and local features (B, features) in float32."""
        merged = self.pyramid(stages)
        logits, local = self.maps(merged).float(), self.local(merged).float()
        shares = heatmap_shares(logits)
        # Sums over cells want float32: places are finer than eight bits.
        with torch.autocast(logits.device.type, enabled=False):
            there = torch.einsum("bjhw,bchw->bjc", shares, local)
            places = expected_places(shares)
        return logits, torch.cat([places.flatten(1), there.flatten(1)], dim=1)


PoseForm = Literal["matrix", "axis_angle", "rot6d"]


def wrap(
    network: nn.Module,
    *,
    pose: PoseForm = "matrix",
    layout: Layout = "interleaved",
    mean: Sequence[float] = IMAGE_MEAN,
    std: Sequence[float] = IMAGE_STD,
) -> nn.Module:
    """A `MeshNetwork` of somebody's network that returns (pose, betas, camera), as HMR's and SPIN's do.

    Args:
        network: images (B, 3, S, S), normalised, to pose, betas (B, 10) and camera (B, 3) of weak perspective.
        pose: what its pose is: "matrix" (B, 24, 3, 3), "axis_angle" (B, 72) or (B, 24, 3), or "rot6d" (B, 144).
        layout: of "rot6d".
        mean: subtracted from RGB in [0, 1] before the network sees it.
        std: divided by.

    Returns:
        A module; ``network`` in it is the one given, whose weights are what training changes.
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
            rotations = roma.rotvec_to_rotmat(pose.reshape(count, 24, 3))
        elif self.pose == "rot6d":
            rotations = rot6d_to_matrix(pose.reshape(count, 24, 6), self.layout)
        else:
            rotations = pose.reshape(count, 24, 3, 3)
        return Prediction(rotations, betas, camera)
