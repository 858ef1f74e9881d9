"""What the averaged network says about crops, for the network that trains to learn from.

A mean teacher (Tarvainen and Valpola, NeurIPS 2017): the average of the weights of many steps errs less than the
weights of one, and the mean of two looks less than one. Masks do not say how deep a limb lies or which way somebody
faces; this keeps the network's better opinion of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from adaptation.body import Body
from adaptation.regressor import Prediction
from adaptation.supervision import SupervisionWeights, Truth, supervision_loss
from adaptation.training.mirrored import Views
from adaptation.training.steps import Precision


@dataclass(frozen=True)
class Lesson:
    """What a teacher says about B crops.

    Attributes:
        bodies: means over a crop and its mirror image.
        agrees: (B,) 1 where the two face one way, 0 where nothing is to be learnt.
    """

    bodies: Truth
    agrees: Tensor

    def loss(self, prediction: Prediction, body: Body) -> Tensor:
        """Of a prediction for the same crops, per image (B,)."""
        return self.agrees * supervision_loss(prediction, self.bodies, body, SupervisionWeights())


@torch.no_grad()
def teach(network: nn.Module, images: Tensor, precision: Precision) -> Lesson:
    """Ask a teacher.

    Args:
        network: a `MeshNetwork` in evaluation mode.
        images: (B, 3, S, S) in [0, 1].
        precision: of its convolutions and matrix products.
    """
    views = Views.of(network, images, precision)
    return Lesson(views.mean(), views.agree().float())
