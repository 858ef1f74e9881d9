"""Silhouette losses: the paper's and its baselines, per image, normalised or as plain sums.

L_S and L_T are eq. 5 of Kundu et al., NeurIPS 2021, on silhouettes and on their skeletons; B1, B2, B3
are the baselines of its Table 4; L_B, on the bones of the body, is this project's (`adaptation.losses.bones`).
The paper has plain sums over pixels. Here each sum is divided by the
area it runs over, unless asked not to be, so that a loss is a mean distance in pixels (B1: a fraction of
the area) whatever the size of the person.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from adaptation.losses.bones import bone_distance
from adaptation.losses.pixel_points import pixel_points
from topokernels import s2d, skeleton, topology_loss
from topokernels._registration import BackwardMode
from topokernels.mask_chamfer import mask_chamfer
from topokernels.topology_loss import TargetTopology, target_topology

RIDGE_POINTS = 192
LossName = Literal["b1", "b2", "b3", "ours"]
LOSS_NAMES: tuple[LossName, ...] = ("b1", "b2", "b3", "ours")


@dataclass(frozen=True)
class SilhouetteTarget:
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

    def repeat(self, times: int) -> SilhouetteTarget:
        """Each image ``times`` times in a row."""
        return self.select(torch.arange(len(self.area), device=self.area.device).repeat_interleave(times))

    def select(self, index: Tensor) -> SilhouetteTarget:
        """The images of an index (N,)."""
        topology = TargetTopology(*(part[index] for part in self.topology))
        return SilhouetteTarget(
            self.mask[index], self.distance[index], topology, self.ridge[index], self.area[index], self.length[index]
        )


@dataclass(frozen=True)
class LossSettings:
    """Which loss, and its weights.

    Attributes:
        name: b1 pixel L2; b2 L_S; b3 L_S and pixel L2 of the skeletons; ours L_S, L_T and L_B.
        distance_weight: of L_S; 0 leaves L_T alone.
        topology_weight: of what compares skeletons.
        bone_weight: of L_B beside L_T, the sum of which has the weight before; 0 in the paper.
        pixel_weight: of b1 added to the others.
        pull_weight: of the terms that pull the body to parts of the mask it misses; 1 in the paper. Background
            subtraction loses more of a person than it adds, and what it lost pushes limbs away from where they are.
        iterations: thinning steps; must exceed the displacement, in pixels, that the loss is to correct.
        gain: on gradients that reach the silhouette through a distance map. S2D's subgradient leaves half on each
            side of the outline, and a rendered silhouette answers only outside of it.
        normalise: divide by the numbers of pixels of mask and skeleton. False: the paper's plain sums, that many
            times as large; the weights of priors beside them must grow as well.
        backward: of distance maps and skeletons, as `topokernels.s2d` explains it.
    """

    name: LossName = "ours"
    distance_weight: float = 1.0
    topology_weight: float = 0.5
    bone_weight: float = 0.0
    pixel_weight: float = 0.0
    pull_weight: float = 1.0
    iterations: int = 64
    gain: float = 2.0
    normalise: bool = True
    backward: BackwardMode = "subgradient"


def at_size(settings: LossSettings, ratio: float) -> LossSettings:
    """The same for crops ``ratio`` times as large: distances and their cap are in pixels, and grow with them."""
    resized = replace(
        settings,
        distance_weight=settings.distance_weight / ratio,
        iterations=max(1, round(settings.iterations * ratio)),
    )
    if settings.name == "ours":  # b3 compares skeletons by shares of pixels
        resized = replace(resized, topology_weight=settings.topology_weight / ratio)
    return resized


@dataclass(frozen=True)
class SilhouetteTerms:
    """The two parts of a loss, (B,) each, weighted: L_S or pixels, and what compares skeletons."""

    silhouette: Tensor
    topology: Tensor


def silhouette_loss(
    silhouette: Tensor, target: SilhouetteTarget, settings: LossSettings, joints: Tensor | None = None
) -> Tensor:
    """Loss per image.

    Args:
        silhouette: (B, 1, H, W) of 0 and 1, with a straight-through gradient where one is wanted.
        target: of the same size.
        settings: which loss.
        joints: (B, 24, 2) of the body, projected, in pixels; L_B needs them.

    Returns:
        (B,).

    Raises:
        ValueError: L_B has a weight and there are no joints.
    """
    terms = silhouette_terms(silhouette, target, settings, joints)
    return terms.silhouette + terms.topology


def silhouette_terms(
    silhouette: Tensor, target: SilhouetteTarget, settings: LossSettings, joints: Tensor | None = None
) -> SilhouetteTerms:
    """The parts of `silhouette_loss`, which has the same arguments; optimisers of their own may follow each."""
    nothing = torch.zeros_like(target.area)
    area, length = (target.area, target.length) if settings.normalise else (1.0, 1.0)
    if settings.name == "b1":
        return SilhouetteTerms(_pixel_sum(silhouette, target.mask) / area, nothing)
    pull, push = mask_chamfer(
        silhouette, target.mask, target.distance, iterations=settings.iterations, backward=settings.backward
    )
    pull = _amplify(pull, settings.gain)  # it alone reaches the silhouette through a distance map
    loss = settings.distance_weight * (settings.pull_weight * pull + push).flatten() / area
    if settings.pixel_weight:
        loss = loss + settings.pixel_weight * _pixel_sum(silhouette, target.mask) / area
    if settings.name == "b2":
        return SilhouetteTerms(loss, nothing)
    if settings.name == "b3":
        ridges = skeleton(silhouette, iterations=settings.iterations, backward=settings.backward)
        topology = _pixel_sum(_amplify(ridges, settings.gain), target.topology.skeleton)
    else:
        topology = topology_loss(
            silhouette,
            target.topology,
            pull_weight=settings.pull_weight,
            reduction="none",
            iterations=settings.iterations,
            backward=settings.backward,
        )
        topology = _amplify(topology.flatten(), settings.gain)
        if settings.bone_weight:
            if joints is None:
                raise ValueError("bone_weight needs the joints of the body")
            bones = bone_distance(joints, target.ridge, farthest=settings.iterations + 1)
            topology = topology + settings.bone_weight * bones * target.length
    return SilhouetteTerms(loss, settings.topology_weight * topology / length)


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
