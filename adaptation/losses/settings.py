"""The silhouette losses by name, and the weights of all losses.

Nothing here imports torch, so that ``--help`` is quick.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from topokernels import BackwardMode

LossName = Literal["b1", "b2", "b3", "ours"]


@dataclass(frozen=True)
class SilhouetteLoss:
    """The parts of a silhouette loss.

    Attributes:
        text: description of what it compares, for ``--help`` and tables.
        distances: whether silhouettes are compared by distances (L_S); otherwise by squared pixel differences.
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
    """A silhouette loss and its weights.

    Attributes:
        name: b1 pixel L2; b2 L_S; b3 L_S and pixel L2 of the skeletons; ours L_S, L_T and L_B.
        distance_weight: weight of L_S; with 0 only L_T remains.
        topology_weight: weight of the part that compares skeletons.
        bone_weight: weight of L_B within that part: ``topology_weight`` multiplies L_T + bone_weight * L_B.
            0 in the paper.
        pixel_weight: weight of b1 when it is added to another loss.
        pull_weight: weight of the terms that pull the body to parts of the mask it misses; 1 in the paper. Background
            subtraction removes more of a person than it adds, and the missing parts push limbs out of place.
        iterations: thinning steps; must exceed the displacement, in pixels, that the loss is to correct.
        gain: factor on gradients that reach the silhouette through a distance map. S2D's subgradient puts half of
            the gradient on each side of the outline, and a rendered silhouette passes on only the outer half.
        normalise: whether to divide by the numbers of pixels of mask and skeleton. False gives the paper's plain
            sums, which are that many times as large; the weights of priors must then grow with them.
        backward: backward mode of distance maps and skeletons, as in `topokernels.s2d`.
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
    """Return settings for crops ``ratio`` times as large.

    Distances and their cap, ``iterations``, are in pixels and grow with the crop, so weights of distances shrink.
    """
    # pixel_weight stays: b1 is a share of pixels.
    resized = replace(
        settings,
        distance_weight=settings.distance_weight / ratio,
        iterations=max(1, round(settings.iterations * ratio)),
    )
    # b3 compares the share of differing pixels, which does not grow with the crop.
    if LOSSES[settings.name].skeletons == "distances":
        # L_B is within this weight; it is a distance in pixels, too.
        resized = replace(resized, topology_weight=settings.topology_weight / ratio)
    return resized


@dataclass(frozen=True)
class SupervisionWeights:
    """Weights of the supervised terms: SPIN's, without its common factor of 60, but for betas (0.001 there).

    Attributes:
        keypoints: weight of the squared distances of projected joints, in crop coordinates [-1, 1].
        joints: weight of the squared distances of 3D joints, metres, with the pelvises aligned.
        rotations: weight of the squared differences of rotation matrices.
        betas: weight of the squared differences of shape coefficients.
        heatmaps: weight of the divergence from Gaussians around the projected joints.
    """

    keypoints: float = 5.0
    joints: float = 5.0
    rotations: float = 1.0
    betas: float = 0.02
    heatmaps: float = 0.2
