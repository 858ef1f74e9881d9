"""Terms of an objective: each maps B posed bodies and a weight to one weighted number per body, (B,).

A term holds what bodies are compared with; a stage of a fit supplies its weight. Terms multiply by the weight
themselves, before they divide by the size of what they sum over. This order keeps the rounding of the recorded results:
fits amplify a change in the last bit to centimetres.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from adaptation.fitting.posed import PosedBodies
from adaptation.losses.point_sets import mask_points, point_chamfer
from adaptation.losses.settings import LossSettings
from adaptation.losses.silhouettes import SilhouetteTarget, silhouette_distance, skeleton_loss
from adaptation.priors.base import PosePrior

Term = Callable[[PosedBodies, float], Tensor]
"""Posed bodies and a weight to weighted losses, (B,)."""


@dataclass(frozen=True)
class SilhouetteTerm:
    """The part of a silhouette loss that compares silhouettes: L_S, squared pixel differences, or both."""

    target: SilhouetteTarget
    settings: LossSettings

    def __call__(self, posed: PosedBodies, weight: float) -> Tensor:
        """Compute the weighted loss per body, (B,)."""
        return weight * silhouette_distance(posed.silhouette, self.target, self.settings)


@dataclass(frozen=True)
class SkeletonTerm:
    """The part of a silhouette loss that compares skeletons: L_T and L_B, or squared pixel differences."""

    target: SilhouetteTarget
    settings: LossSettings

    def __call__(self, posed: PosedBodies, weight: float) -> Tensor:
        """Compute the weighted loss per body, (B,)."""
        # Without a weight of L_B nothing needs bones, which vertices alone do not have.
        bones = posed.bones if self.settings.bone_weight else None
        return skeleton_loss(posed.silhouette, self.target, self.settings, bones, weight)


@dataclass(frozen=True)
class PointSetTerm:
    """Chamfer distance between the pixels of masks (B, 1, S, S) and projected vertices; nothing is rendered."""

    target: SilhouetteTarget

    def __call__(self, posed: PosedBodies, weight: float) -> Tensor:
        """Compute the weighted distance per body, (B,)."""
        return weight * point_chamfer(posed.vertices2d, mask_points(self.target.mask))


@dataclass(frozen=True)
class PriorTerm:
    """Energy of the pose under a pose prior."""

    prior: PosePrior

    def __call__(self, posed: PosedBodies, weight: float) -> Tensor:
        """Compute the weighted energy per body, (B,)."""
        return weight * self.prior.energy(posed.pose)


def shape_term(posed: PosedBodies, weight: float) -> Tensor:
    """Compute the weighted sum of squared shape coefficients, (B,): the squared distance from the mean body."""
    # Coefficients are in standard deviations, so equal weights make this a Gaussian prior.
    return weight * posed.bodies.betas.square().sum(1)
