"""Silhouette losses per image: the paper's and its baselines, normalised or as plain sums.

L_S and L_T are eq. 5 of Rakesh et al. (NeurIPS 2021) on silhouettes and on their skeletons; B1, B2 and B3 are the
baselines of its Table 4. L_B, on the bones of the body, is this project's (`adaptation.losses.bones`). The paper uses
plain sums over pixels. Here each sum is divided by the number of pixels it runs over (unless ``normalise`` is False),
so that a loss is a mean distance in pixels (B1: a fraction of the area) for people of every size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from adaptation.losses.bones import bone_distance
from adaptation.losses.pixel_points import pixel_points
from adaptation.losses.settings import LOSSES, LossSettings
from adaptation.support.batches import Batch
from topokernels import TargetTopology, mask_chamfer, s2d, skeleton, target_topology, topology_loss

# A fixed number, so that skeletons of different lengths form one batch.
RIDGE_POINTS = 192
"""Points that the skeleton of a mask is sampled at for L_B."""


@dataclass(frozen=True)
class SilhouetteTarget(Batch):
    """The fixed side of the losses, computed once per mask. B masks of H x W pixels.

    Attributes:
        mask: (B, 1, H, W) of 0 and 1.
        distance: (B, 1, H, W) distance of each pixel outside the mask to the mask, pixels; 0 inside.
        topology: skeleton of the mask, and the distance to the skeleton, (B, 1, H, W) each.
        ridge: (B, 192, 2) points of the skeleton, pixels, as `pixel_points` samples them.
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
        """Compute the target of masks (B, 1, H, W) of 0 and 1; ``iterations`` caps the distances, in pixels."""
        topology = target_topology(mask, iterations=iterations)
        return cls(
            mask=mask,
            # The outside of the image is no background to S2D: distances are to the mask alone, never to the border.
            distance=s2d(1 - mask, iterations=iterations),
            topology=topology,
            ridge=pixel_points(topology.skeleton, RIDGE_POINTS),
            # An empty mask must not divide by 0.
            area=mask.sum((1, 2, 3)).clamp(min=1),
            length=topology.skeleton.sum((1, 2, 3)).clamp(min=1),
        )


@dataclass(frozen=True)
class SilhouetteTerms:
    """The two weighted parts of a loss, (B,) each: one compares silhouettes, the other their skeletons."""

    silhouette: Tensor
    topology: Tensor


def silhouette_terms(
    silhouette: Tensor, target: SilhouetteTarget, settings: LossSettings, bones: ProjectedBones | None = None
) -> SilhouetteTerms:
    """Compute both parts of a loss separately, so that each can have its own optimiser.

    Args:
        silhouette: (B, 1, H, W) of 0 and 1, with a straight-through gradient if one is needed.
        target: B masks of the same size.
        settings: the loss and its weights.
        bones: projected bones of the B bodies; needed for L_B only.

    Raises:
        ValueError: L_B has a weight, but ``bones`` is None.
    """
    topology = skeleton_loss(silhouette, target, settings, bones, settings.topology_weight)
    return SilhouetteTerms(silhouette_distance(silhouette, target, settings), topology)


def silhouette_distance(silhouette: Tensor, target: SilhouetteTarget, settings: LossSettings) -> Tensor:
    """Compute the weighted part of a loss that compares silhouettes, (B,): L_S, squared pixel differences, or both."""
    area = target.area if settings.normalise else 1.0
    if not LOSSES[settings.name].distances:
        # No gain: this gradient reaches the silhouette without a distance map.
        return _pixel_sum(silhouette, target.mask) / area
    pull, push = mask_chamfer(
        silhouette, target.mask, target.distance, iterations=settings.iterations, backward=settings.backward
    )
    # Only the pull reaches the silhouette through a distance map: the push uses the fixed map of the target.
    pull = _amplify(pull, settings.gain)
    loss = settings.distance_weight * (settings.pull_weight * pull + push).flatten() / area
    if settings.pixel_weight:
        loss = loss + settings.pixel_weight * _pixel_sum(silhouette, target.mask) / area
    return loss


@dataclass(frozen=True)
class ProjectedBones:
    """Bones in the image plane.

    Attributes:
        joints: (B, J, 2) projected joints, pixels.
        tree: parent of each joint, -1 for the root.
    """

    joints: Tensor
    tree: tuple[int, ...]


def skeleton_loss(
    silhouette: Tensor, target: SilhouetteTarget, settings: LossSettings, bones: ProjectedBones | None, weight: float
) -> Tensor:
    """Compute `skeleton_distance` with a weight, (B,), per pixel of the target's skeleton if the settings say so."""
    distance = weight * skeleton_distance(silhouette, target, settings, bones)
    # Divided after weighting: another order would round differently, which fits amplify.
    return distance / target.length if settings.normalise else distance


def skeleton_distance(
    silhouette: Tensor, target: SilhouetteTarget, settings: LossSettings, bones: ProjectedBones | None = None
) -> Tensor:
    """Compute the part of a loss that compares skeletons: a plain sum over pixels, without its weight.

    Args:
        silhouette: (B, 1, H, W) of 0 and 1, with a straight-through gradient if one is needed.
        target: B masks of the same size.
        settings: the loss and its weights.
        bones: projected bones of the B bodies; needed for L_B only.

    Returns:
        (B,); zeros for a loss without this part.

    Raises:
        ValueError: L_B has a weight, but ``bones`` is None.
    """
    kind = LOSSES[settings.name].skeletons
    if kind is None:
        return torch.zeros_like(target.area)  # without a graph: b1 and b2 pay nothing for it
    # A skeleton is made from a distance map, so the gain applies to it although it is compared pixel by pixel.
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
    # Unlike in L_S, both terms need the gain: the push, too, reaches the silhouette through its skeleton.
    distance = _amplify(distance.flatten(), settings.gain)
    if not settings.bone_weight:
        return distance
    if bones is None:
        raise ValueError("bone_weight needs the joints of the body")
    # The largest value of a capped distance map, so that L_B saturates where L_T does.
    away = bone_distance(bones.joints, bones.tree, target.ridge, farthest=settings.iterations + 1)
    # L_B is a mean over the skeleton: times its length it is a sum like L_T.
    return distance + settings.bone_weight * away * target.length


def silhouette_loss(
    silhouette: Tensor, target: SilhouetteTarget, settings: LossSettings, bones: ProjectedBones | None = None
) -> Tensor:
    """Compute the loss per image, (B,): the sum of both parts; arguments as for `silhouette_terms`."""
    terms = silhouette_terms(silhouette, target, settings, bones)
    return terms.silhouette + terms.topology


def _pixel_sum(image: Tensor, target: Tensor) -> Tensor:
    return (image - target).square().sum((1, 2, 3))


def topology_agreement(silhouette: Tensor, target: SilhouetteTarget) -> Tensor:
    """Compute L_T as a metric, (B,), for binary silhouettes (B, 1, H, W): mean pixels between the two skeletons.

    It is always normalised, weights pull and push equally and does not cap distances, so that its values are
    comparable between all losses that may have been minimised.
    """
    return topology_loss(silhouette, target_topology(target.mask), reduction="none").flatten() / target.length


def _amplify(value: Tensor, gain: float) -> Tensor:
    """Return the same value with ``gain`` times the gradient."""
    # Not a weight: the loss remains a mean distance in pixels, comparable between settings.
    return value.detach() + gain * (value - value.detach())
