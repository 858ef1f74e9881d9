"""Two views of each crop, plain and mirrored. Their errors differ in part, so their mean has a lower error."""

from __future__ import annotations

from dataclasses import dataclass

import roma
import torch
from torch import Tensor, nn

from adaptation.bodies.parameters import Bodies
from adaptation.bodies.views import View
from adaptation.regressors.base import Prediction
from adaptation.regressors.modes import Precision
from adaptation.regressors.running import predict_in

# Largest angle in radians between the orientations of two views that are averaged. Beyond it they face different ways,
# and their mean would face neither.
_AGREE = 1.0


@dataclass(frozen=True)
class Views:
    """A network's predictions for B crops and for their mirror images.

    Attributes:
        plain: bodies predicted for the crops.
        mirrored: bodies predicted for the mirror images, mirrored back.
    """

    plain: Bodies
    mirrored: Bodies

    @classmethod
    def of(cls, network: nn.Module, images: Tensor, view: View, precision: Precision = "float32") -> Views:
        """Run a `MeshNetwork` in evaluation mode on images (B, 3, S, S) in [0, 1] and their mirror images."""
        # One batch of both, which is faster than two.
        both = torch.cat([images, images.flip(3)]), View.cat([view, view.mirrored()])
        bodies = predict_in(precision, network, *both).bodies
        count = len(images)
        return cls(bodies.select(slice(count)), bodies.select(slice(count, None)).mirrored())

    def mean(self) -> Bodies:
        """Return the mean of both views; the rotations are the least-squares mean."""
        # The rotation closest to the sum of two matrices minimises the squared differences to both.
        rotations = roma.special_procrustes(self.plain.rotations + self.mirrored.rotations)
        # Unlike rotations, shapes and cameras are vectors: the plain mean will do.
        betas = (self.plain.betas + self.mirrored.betas) / 2
        return Bodies(rotations, betas, self.plain.camera.mean_with(self.mirrored.camera))

    def agree(self) -> Tensor:
        """Return whether each body faces the same way in both views, (B,) bool."""
        return roma.rotmat_geodesic_distance(self.plain.rotations[:, 0], self.mirrored.rotations[:, 0]) < _AGREE

    def finite(self) -> bool:
        """Return whether every number of both views is finite."""
        return self.plain.finite() and self.mirrored.finite()


class Mirrored(nn.Module):
    """A `MeshNetwork` that returns the mean of another's two views; the plain view if they face different ways."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, view: View | None = None) -> Prediction:
        """Predict for RGB crops (B, 3, S, S) in [0, 1]; the prediction has no latent, heatmaps and mesh."""
        view = View.whole(len(images), images.shape[-1], images.device) if view is None else view
        views = Views.of(self.network, images, view)
        return Prediction(views.mean().where(views.agree(), views.plain))
