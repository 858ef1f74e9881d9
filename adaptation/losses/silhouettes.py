"""Silhouette losses: the paper's and its baselines, per image, normalised or as plain sums.

L_S and L_T are eq. 5 of Kundu et al., NeurIPS 2021, on silhouettes and on their skeletons; B1, B2, B3
are the baselines of its Table 4; L_B, on the bones of the body, is this project's (`adaptation.losses.bones`).
The paper has plain sums over pixels. Here each sum is divided by the area it runs over, unless asked not to
be, so that a loss is a mean distance in pixels (B1: a fraction of the area) whatever the size of the person.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from adaptation.losses.bones import bone_distance
from adaptation.losses.pixel_points import pixel_points
from adaptation.losses.settings import LOSSES, LossSettings
from adaptation.support.batches import Batch
from topokernels import s2d, skeleton, topology_loss
from topokernels.mask_chamfer import mask_chamfer
from topokernels.topology_loss import TargetTopology, target_topology

RIDGE_POINTS = 192


@dataclass(frozen=True)
class SilhouetteTarget(Batch):
    """The fixed side of the losses, computed once per mask. B masks of H x W pixels.

    Attributes:
        mask: (B, 1, H, W) of 0 and 1.
        distance: (B, 1, H, W) distance out of the mask.
        topology: skeleton and distance out of it, (B, 1, H, W) each.
        ridge: (B, 192, 2) pixels of the skeleton, as `pixel_points` takes them.
        area: (B,) pixels of the mask, at least 1.
        length: (B,) pixels of the skeleton, at least 1.
    """

    mask: Tensor
    distance: Tensor
    topology: TargetTopology
    ridge: Tensor
    area: Tensor
    length: Tensor

    @classmethod
    def of(cls, mask: Tensor, iterations: int | None = None) -> SilhouetteTarget:
        """From masks (B, 1, H, W) of 0 and 1."""
        topology = target_topology(mask, iterations=iterations)
        return cls(
            mask=mask,
            distance=s2d(1 - mask, iterations=iterations),
            topology=topology,
            ridge=pixel_points(topology.skeleton, RIDGE_POINTS),
            area=mask.sum((1, 2, 3)).clamp(min=1),
            length=topology.skeleton.sum((1, 2, 3)).clamp(min=1),
        )


@dataclass(frozen=True)
class SilhouetteTerms:
    """The two parts of a loss, (B,) each, weighted: of silhouettes, and of their skeletons."""

    silhouette: Tensor
    topology: Tensor


def silhouette_terms(
    silhouette: Tensor, target: SilhouetteTarget, settings: LossSettings, bones: ProjectedBones | None = None
) -> SilhouetteTerms:
    """Both parts of a loss; an optimiser of its own may follow each.

    Args:
        silhouette: (B, 1, H, W) of 0 and 1, with a straight-through gradient where one is needed.
        target: of the same size.
        settings: which loss.
        bones: of the bodies; L_B needs them.

    Raises:
        ValueError: L_B has a weight and there are no bones.
    """
    topology = settings.topology_weight * skeleton_distance(silhouette, target, settings, bones)
    length = target.length if settings.normalise else 1.0
    return SilhouetteTerms(silhouette_distance(silhouette, target, settings), topology / length)


def silhouette_distance(silhouette: Tensor, target: SilhouetteTarget, settings: LossSettings) -> Tensor:
    """The weighted part of a loss that compares silhouettes, (B,): L_S, pixels, or both."""
    area = target.area if settings.normalise else 1.0
    if not LOSSES[settings.name].distances:
        return _pixel_sum(silhouette, target.mask) / area
    pull, push = mask_chamfer(
        silhouette, target.mask, target.distance, iterations=settings.iterations, backward=settings.backward
    )
    # The pull alone reaches the silhouette through a distance map.
    pull = _amplify(pull, settings.gain)
    loss = settings.distance_weight * (settings.pull_weight * pull + push).flatten() / area
    if settings.pixel_weight:
        loss = loss + settings.pixel_weight * _pixel_sum(silhouette, target.mask) / area
    return loss


@dataclass(frozen=True)
class ProjectedBones:
    """Bones as they are seen.

    Attributes:
        joints: (B, J, 2) pixels.
        tree: parent of each joint, -1 for the root.
    """

    joints: Tensor
    tree: tuple[int, ...]


def skeleton_distance(
    silhouette: Tensor, target: SilhouetteTarget, settings: LossSettings, bones: ProjectedBones | None = None
) -> Tensor:
    """The part of a loss that compares skeletons, (B,): a sum over pixels, not weighted; zeros where there is none.

    Raises:
        ValueError: L_B has a weight and there are no bones.
    """
    kind = LOSSES[settings.name].skeletons
    if kind is None:
        return torch.zeros_like(target.area)
    if kind == "pixels":
        ridges = skeleton(silhouette, iterations=settings.iterations, backward=settings.backward)
        return _pixel_sum(_amplify(ridges, settings.gain), target.topology.skeleton)
    distance = topology_loss(
        silhouette,
        target.topology,
        pull_weight=settings.pull_weight,
        reduction="none",
        iterations=settings.iterations,
        backward=settings.backward,
    )
    distance = _amplify(distance.flatten(), settings.gain)
    if not settings.bone_weight:
        return distance
    if bones is None:
        raise ValueError("bone_weight needs the joints of the body")
    away = bone_distance(bones.joints, bones.tree, target.ridge, farthest=settings.iterations + 1)
    return distance + settings.bone_weight * away * target.length


def silhouette_loss(
    silhouette: Tensor, target: SilhouetteTarget, settings: LossSettings, bones: ProjectedBones | None = None
) -> Tensor:
    """The loss per image, (B,), the sum of both parts; arguments as for `silhouette_terms`."""
    terms = silhouette_terms(silhouette, target, settings, bones)
    return terms.silhouette + terms.topology


def _pixel_sum(image: Tensor, target: Tensor) -> Tensor:
    return (image - target).square().sum((1, 2, 3))


def topology_agreement(silhouette: Tensor, target: SilhouetteTarget) -> Tensor:
    """L_T alone, (B,), of binary silhouettes (B, 1, H, W): mean pixels between the two skeletons.

    Normalised, pull and push alike, at any distance: whatever loss was minimised, figures compare.
    """
    return topology_loss(silhouette, target_topology(target.mask), reduction="none").flatten() / target.length


def _amplify(value: Tensor, gain: float) -> Tensor:
    """The same value with ``gain`` times the gradient."""
    return value.detach() + gain * (value - value.detach())
