"""The mesh regressor: one image crop to pose, shape and camera.

The architecture is HMR's (Kanazawa et al., CVPR 2018) as in SPIN, without its dropout: ResNet features, and a head
that corrects a mean estimate three times. State-dict keys are SPIN's, so that its checkpoints load. The pose is either
SPIN's 24 rotations of six numbers, or, as in Rakesh et al. (NeurIPS 2021), the global rotation and a latent
phi = tanh(z) in [-1, 1]^32 that a frozen pose prior decodes.

A small network does not learn the positions of limbs from averaged features. With heatmaps, it first finds each joint;
its head is then given the joints' positions and the features there, as in integral regression (Sun et al., ECCV 2018).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from adaptation.bodies.camera import WeakPerspective
from adaptation.bodies.joint_sets import SMPL
from adaptation.bodies.parameters import Bodies
from adaptation.bodies.rotations import rot6d_to_matrix
from adaptation.bodies.smpl_file import SHAPE_DIRECTIONS
from adaptation.bodies.views import View
from adaptation.priors.latent import LATENT
from adaptation.regressors.base import IMAGE_MEAN, IMAGE_STD, Prediction
from adaptation.regressors.heatmaps import expected_places, heatmap_shares
from adaptation.regressors.resnet import FeaturePyramid, ResNet

PoseDecoder = Callable[[Tensor], Tensor]
"""Maps phi (B, 32) to the rotations of all joints but the root, (B, J - 1, 3, 3)."""
ROTATION_NUMBERS = 6 * len(SMPL)
"""Size of SPIN's pose: six numbers per joint."""


class Regressor(ResNet):
    """The project's regressor.

    Args:
        blocks: bottlenecks in each of the ResNet's four stages.
        width: channels of the ResNet's first stage.
        hidden: units of the head's two layers; 1024 in SPIN.
        decoder: decoder of the latent; None for SPIN's rotations. It belongs to the caller: its weights are neither
            trained nor saved here.
        heatmaps: whether heatmaps find joints for the head, whose layers then have rectifiers. SPIN has neither.
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
        numbers = ROTATION_NUMBERS if decoder is None else LATENT + 6
        self.joints = JointFinder(self.channels[1:]) if heatmaps else None
        # The head sees the features and its own last estimate of pose, shape and camera.
        features = self.channels[-1] + (self.joints.features if self.joints else 0)
        self.fc1 = nn.Linear(features + numbers + SHAPE_DIRECTIONS + 3, hidden)
        self.fc2 = nn.Linear(hidden, hidden)
        self.decpose = nn.Linear(hidden, numbers)
        self.decshape = nn.Linear(hidden, SHAPE_DIRECTIONS)
        self.deccam = nn.Linear(hidden, 3)
        for layer in (self.decpose, self.decshape, self.deccam):
            nn.init.xavier_uniform_(layer.weight, gain=0.01)  # as SPIN: first predictions stay near the mean estimate
        # An upright body that faces the camera: the body's y axis points up, the camera's down.
        upright = torch.tensor([1.0, 0.0, 0.0, -1.0, 0.0, 0.0])
        identity = torch.tensor([1.0, 0.0, 0.0, 1.0, 0.0, 0.0])
        rest = identity.repeat(len(SMPL) - 1) if decoder is None else torch.zeros(LATENT)
        # SPIN's pose begins with the root; with a latent, phi comes first.
        parts = (upright, rest) if decoder is None else (rest, upright)
        # SPIN has these three in its state dict, so they are persistent; the normalisation is not.
        self.register_buffer("init_pose", torch.cat(parts)[None])
        self.register_buffer("init_shape", torch.zeros(1, SHAPE_DIRECTIONS))
        # SPIN's mean camera: a person of two metres nearly fills the crop.
        self.register_buffer("init_cam", torch.tensor([[0.9, 0.0, 0.0]]))
        self.register_buffer("mean", torch.tensor(IMAGE_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGE_STD).view(1, 3, 1, 1), persistent=False)

    @property
    def decoder(self) -> PoseDecoder | None:
        """Decoder of the latent; None for a regressor without a latent."""
        return self._decoder[0]

    def forward(self, images: Tensor, view: View | None = None) -> Prediction:
        """Predict bodies and cameras for RGB crops (B, 3, S, S) in [0, 1]; the view is not used."""
        stages = self.stages((images - self.mean) / self.std)
        features, heatmaps = stages[-1].mean((2, 3)), None
        # Without heatmaps the two layers have no nonlinearity between them: that is SPIN's head.
        bend: nn.Module = nn.Identity()
        if self.joints is not None:
            heatmaps, found = self.joints(stages[1:])
            features, bend = torch.cat([features.float(), found], dim=1), nn.ReLU()
        count = images.shape[0]  # not len(), which would fix the number of crops in an exported network
        pose, betas, camera = (mean.expand(count, -1) for mean in (self.init_pose, self.init_shape, self.init_cam))
        # Each round corrects its own last estimate from the same features (HMR's iterative error feedback).
        for _ in range(self.rounds):
            x = bend(self.fc2(bend(self.fc1(torch.cat([features, pose, betas, camera], dim=1)))))
            pose, betas, camera = pose + self.decpose(x), betas + self.decshape(x), camera + self.deccam(x)
        decoder = self.decoder
        if decoder is None:
            rotations = rot6d_to_matrix(pose.view(count, -1, 6))
            return Prediction(Bodies(rotations, betas, WeakPerspective(camera)), heatmaps=heatmaps)
        latent = torch.tanh(pose[:, :LATENT])  # the range of the prior's encoder
        whole = rot6d_to_matrix(pose[:, None, LATENT:])
        rotations = torch.cat([whole, decoder(latent)], dim=1)
        return Prediction(Bodies(rotations, betas, WeakPerspective(camera)), latent, heatmaps)


class JointFinder(nn.Module):
    """Finds joints with heatmaps over a feature pyramid, and samples the pyramid's features there.

    Args:
        stages: channels of the ResNet's stages, fine to coarse.

    Attributes:
        features: size of the resulting features per image.
    """

    _PYRAMID = 48
    _LOCAL = 16

    def __init__(self, stages: Sequence[int]) -> None:
        super().__init__()
        self.pyramid = FeaturePyramid(stages, self._PYRAMID)
        self.maps = nn.Conv2d(self._PYRAMID, len(SMPL), 1)
        self.local = nn.Conv2d(self._PYRAMID, self._LOCAL, 1)
        self.features = len(SMPL) * (2 + self._LOCAL)

    def forward(self, stages: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return logits (B, J, H, W), and positions and local features (B, features) in float32, from stages."""
        merged = self.pyramid(stages)
        logits, local = self.maps(merged).float(), self.local(merged).float()
        shares = heatmap_shares(logits)
        # Positions need more than the 8 significant bits of bfloat16, so sums over cells stay in float32.
        with torch.autocast(logits.device.type, enabled=False):
            there = torch.einsum("bjhw,bchw->bjc", shares, local)
            places = expected_places(shares)
        return logits, torch.cat([places.flatten(1), there.flatten(1)], dim=1)
