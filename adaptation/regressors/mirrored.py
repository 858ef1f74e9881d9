"""Two views of every crop, as it is and mirrored: their errors differ in part, so their mean has less error."""

from __future__ import annotations

from dataclasses import dataclass

import roma
import torch
from torch import Tensor, nn

from adaptation.bodies.parameters import Bodies
from adaptation.regressors.base import Prediction
from adaptation.regressors.modes import Precision
from adaptation.regressors.running import predict_in

_AGREE = 1.0  # radians between the two orientations; beyond, they face different ways, and their mean faces neither


@dataclass(frozen=True)
class Views:
    """What a network predicts for B crops and for their mirror images.

    Attributes:
        plain: bodies in the crops.
        mirrored: bodies in the mirror images, mirrored back.
    """

    plain: Bodies
    mirrored: Bodies

    @classmethod
    def of(cls, network: nn.Module, images: Tensor, precision: Precision = "float32") -> Views:
        """Run a `MeshNetwork` in evaluation mode on images (B, 3, S, S) in [0, 1] and their mirror images."""
        bodies = predict_in(precision, network, torch.cat([images, images.flip(3)])).bodies
        count = len(images)
        return cls(bodies.select(slice(count)), bodies.select(slice(count, None)).mirrored())

    def mean(self) -> Bodies:
        """The mean of both views, of their rotations in the sense of least squares."""
        rotations = roma.special_procrustes(self.plain.rotations + self.mirrored.rotations)
        betas = (self.plain.betas + self.mirrored.betas) / 2
        return Bodies(rotations, betas, self.plain.camera.mean_with(self.mirrored.camera))

    def agree(self) -> Tensor:
        """(B,) bool, whether the body faces the same way in both views."""
        return roma.rotmat_geodesic_distance(self.plain.rotations[:, 0], self.mirrored.rotations[:, 0]) < _AGREE

    def finite(self) -> bool:
        """Whether every number of both views is finite."""
        return self.plain.finite() and self.mirrored.finite()


class Mirrored(nn.Module):
    """A `MeshNetwork` that returns the mean of another's two views, or the plain one where they face different ways."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Prediction:
        """Predict for crops (B, 3, S, S), RGB in [0, 1]. There is no latent and there are no heatmaps."""
        views = Views.of(self.network, images)
        return Prediction(views.mean().where(views.agree(), views.plain))
