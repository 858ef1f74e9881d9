"""Two looks at every crop, as it is and mirrored: their errors are partly different ones, and their mean errs less."""

from __future__ import annotations

from dataclasses import dataclass

import roma
import torch
from torch import Tensor, nn

from adaptation.bodies.body import Body
from adaptation.evaluation.metrics import pa_mpjpe
from adaptation.losses.supervision import Truth, mirror
from adaptation.regressors.hmr import Prediction
from adaptation.regressors.running import Precision, predict_in

_AGREE = 1.0  # radians between the two orientations; beyond, one faces another way, and their mean neither


@dataclass(frozen=True)
class Views:
    """What a network sees in B crops, and in their mirror images: the latter mirrored back."""

    plain: Truth
    mirrored: Truth

    @classmethod
    def of(cls, network: nn.Module, images: Tensor, precision: Precision = "float32") -> Views:
        """By a `MeshNetwork` in evaluation mode, in images (B, 3, S, S) in [0, 1]."""
        both = predict_in(precision, network, torch.cat([images, images.flip(3)]))
        bodies, index = Truth(both.rotations, both.betas, both.camera), torch.arange(2 * len(images)).chunk(2)
        return cls(bodies.select(index[0]), mirror(bodies.select(index[1])))

    def mean(self) -> Truth:
        """Of both."""
        return Truth(
            roma.special_procrustes(self.plain.rotations + self.mirrored.rotations),
            (self.plain.betas + self.mirrored.betas) / 2,
            (self.plain.camera + self.mirrored.camera) / 2,
        )

    def agree(self) -> Tensor:
        """(B,) bool, whether the body faces one way in both."""
        return roma.rotmat_geodesic_distance(self.plain.rotations[:, 0], self.mirrored.rotations[:, 0]) < _AGREE

    def finite(self) -> bool:
        """Whether every number of both is."""
        return all(bool(torch.isfinite(part).all()) for look in vars(self).values() for part in vars(look).values())

    def apart(self, body: Body) -> Tensor:
        """(B,) millimetres between the joints of the two, PA-MPJPE of one to the other."""
        plain, mirrored = (body.joints(look.rotations, look.betas) for look in (self.plain, self.mirrored))
        return pa_mpjpe(plain, mirrored)


class Mirrored(nn.Module):
    """A `MeshNetwork` that gives the mean of another's two looks; the first alone where they face different ways."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Prediction:
        """Crops (B, 3, S, S), RGB in [0, 1], to bodies and cameras; no latent and no heatmaps."""
        views = Views.of(self.network, images)
        mean, agree = views.mean(), views.agree()
        return Prediction(
            torch.where(agree[:, None, None, None], mean.rotations, views.plain.rotations),
            torch.where(agree[:, None], mean.betas, views.plain.betas),
            torch.where(agree[:, None], mean.camera, views.plain.camera),
        )
