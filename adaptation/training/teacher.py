"""What the averaged network says about crops and their mirror images, for the network that trains to learn from.

A mean teacher (Tarvainen and Valpola, NeurIPS 2017): the average of the weights of many steps errs less than the
weights of one. It looks at every crop twice, as it is and mirrored, and what it says is the mean of both: their errors
are partly different ones. Masks cannot say how deep a limb lies or which way somebody faces; this keeps the network's
better opinion of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import roma
import torch
from torch import Tensor, nn

from adaptation.body import Body
from adaptation.regressor import Prediction
from adaptation.supervision import SupervisionWeights, Truth, mirror, supervision_loss
from adaptation.training.steps import Precision, predict_in

_AGREES = 1.0  # radians between the two orientations; beyond, one of them faces another way and their mean neither


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
    both = predict_in(precision, network, torch.cat([images, images.flip(3)]))
    bodies, index = Truth(both.rotations, both.betas, both.camera), torch.arange(2 * len(images)).chunk(2)
    seen, unmirrored = bodies.select(index[0]), mirror(bodies.select(index[1]))
    mean = Truth(
        roma.special_procrustes(seen.rotations + unmirrored.rotations),
        (seen.betas + unmirrored.betas) / 2,
        (seen.camera + unmirrored.camera) / 2,
    )
    apart = roma.rotmat_geodesic_distance(seen.rotations[:, 0], unmirrored.rotations[:, 0])
    return Lesson(mean, (apart < _AGREES).float())
