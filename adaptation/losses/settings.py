"""Which losses there are, and their weights. Nothing here imports torch, so that ``--help`` is quick."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from topokernels import BackwardMode

LossName = Literal["b1", "b2", "b3", "ours"]


@dataclass(frozen=True)
class SilhouetteLoss:
    """Which parts a loss has.

    Attributes:
        text: what it compares, for ``--help`` and tables.
        distances: whether silhouettes are compared by distances (L_S); by squared differences of pixels otherwise.
        skeletons: how skeletons are compared: "pixels" by squared differences, "distances" by L_T, None not at all.
    """

    text: str
    distances: bool
    skeletons: Literal["pixels", "distances"] | None


LOSSES: dict[LossName, SilhouetteLoss] = {
    "b1": SilhouetteLoss("squared pixel differences of silhouettes", False, None),
    "b2": SilhouetteLoss("L_S", True, None),
    "b3": SilhouetteLoss("L_S and squared pixel differences of skeletons", True, "pixels"),
    "ours": SilhouetteLoss("L_S and L_T", True, "distances"),
}
"""The paper's loss and the baselines of its Table 4."""
LOSS_NAMES: tuple[LossName, ...] = tuple(LOSSES)


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
    """Return settings for crops ``ratio`` times as large: distances and their cap are in pixels, and grow with them."""
    resized = replace(
        settings,
        distance_weight=settings.distance_weight / ratio,
        iterations=max(1, round(settings.iterations * ratio)),
    )
    if LOSSES[settings.name].skeletons == "distances":  # shares of pixels do not grow
        resized = replace(resized, topology_weight=settings.topology_weight / ratio)
    return resized


@dataclass(frozen=True)
class SupervisionWeights:
    """Weights of the terms; SPIN's, without its common factor of 60.

    Attributes:
        keypoints: squared distance of projected joints, the crop being [-1, 1]^2.
        joints: squared distance in space, metres, with the pelvises aligned.
        rotations: squared differences of rotation matrices.
        betas: squared differences.
        heatmaps: divergence from Gaussians around the projected joints.
    """

    keypoints: float = 5.0
    joints: float = 5.0
    rotations: float = 1.0
    betas: float = 0.02
    heatmaps: float = 0.2
