"""The terms of SMPLify's objective (Bogo et al., ECCV 2016, eq. 1) that other fits do not have.

The pose prior (eqs. 4 to 6) and the bending prior (eq. 3) are `PriorTerm`s of `adaptation.priors`, and the shape prior
(eq. 8) is `adaptation.fitting.terms.shape_term`: SMPL's coefficients are in standard deviations, so that beta^T
Sigma^-1 beta is their sum of squares.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from adaptation.bodies.joint_sets import SMPL
from adaptation.fitting.posed import PosedBodies
from adaptation.fitting.smplify.capsules import Capsules, interpenetration
from adaptation.fitting.smplify.settings import PIXELS
from adaptation.losses.keypoints import robust_keypoint_loss

TORSO: tuple[int, ...] = tuple(
    SMPL.joints.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("shoulder", "hip")
)
"""Left shoulder, left hip, right shoulder and right hip among SMPL's joints."""


@dataclass(frozen=True)
class KeypointTerm:
    """E_J (eq. 2): robust distances of projected joints and keypoints (B, J, 3), x and y in pixels, and weight."""

    keypoints: Tensor
    sigma: float

    def __call__(self, posed: PosedBodies, weight: float) -> Tensor:
        """Compute the weighted loss per body, (B,)."""
        ratio = PIXELS / posed.size
        keypoints = self.keypoints * self.keypoints.new_tensor([ratio, ratio, 1.0])
        return weight * robust_keypoint_loss(posed.joints2d * ratio, keypoints, self.sigma)


@dataclass(frozen=True)
class TorsoTerm:
    """Squared distances of the torso's joints and their keypoints (B, J, 3), which place camera and orientation."""

    keypoints: Tensor

    def __call__(self, posed: PosedBodies, weight: float) -> Tensor:
        """Compute the weighted sum per body, (B,)."""
        torso = self.keypoints[:, TORSO]
        away = (posed.joints2d[:, TORSO] - torso[..., :2]) * (PIXELS / posed.size)
        return weight * (torso[..., 2] * away.square().sum(2)).sum(1)


@dataclass(frozen=True)
class InterpenetrationTerm:
    """E_sp (eq. 7) on the capsules of the body. It does not act on the shape, which would make bodies thin."""

    capsules: Capsules
    tightness: float

    def __call__(self, posed: PosedBodies, weight: float) -> Tensor:
        """Compute the weighted sum per body, (B,)."""
        axes, joints = posed.frames
        # The places of the joints still depend on the shape a little; the public code leaves that out as well.
        spheres = self.capsules(axes, joints, posed.bodies.betas.detach())
        return weight * interpenetration(spheres, self.capsules.pairs, self.tightness)
