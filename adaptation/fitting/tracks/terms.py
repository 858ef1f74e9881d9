"""Terms of a joint fit: smooth motion, bodies that stand on their feet, and joints that were seen."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from adaptation.bodies.joint_sets import SMPL
from adaptation.fitting.posed import PosedBodies
from adaptation.fitting.settings import TrackFitSettings
from adaptation.fitting.terms import Term
from adaptation.fitting.tracks.sequence import Sequence

USUAL = 10.0
"""Acceleration of a joint in usual motion, metres per second squared: the unit of the cost of motion."""
_ROUND = 0.1  # accelerations below this many `USUAL` count less than in proportion
_SIZE = 3.0  # metres: a change of size by a factor of e counts as much as such a change of place
_ANKLES = [SMPL.joints.index(f"{side}_ankle") for side in ("left", "right")]
# Shares of the body's mass (Winter, "Biomechanics and motor control of human movement"), each at the joint where the
# segment begins.
_MASS = {
    "pelvis": 0.142, "spine1": 0.139, "spine3": 0.216, "head": 0.081,
    "hip": 0.100, "knee": 0.0465, "ankle": 0.0145, "shoulder": 0.028, "elbow": 0.016, "wrist": 0.006,
}  # fmt: skip


@dataclass(frozen=True)
class MotionTerm:
    """Penalty on the accelerations of joints, of the place in the frame and of the size.

    Accelerations are second divided differences, so frames need no common distance: bodies that are far apart in time
    hardly constrain each other.
    """

    sequence: Sequence

    def __call__(self, posed: PosedBodies, weight: float) -> Tensor:
        """Compute the weighted cost per body, (B,); 0 at the ends of a sequence."""
        middle = self.sequence.middles()
        joints = posed.output.joints
        cost = joints.new_zeros(len(joints))
        if not len(middle):
            return cost
        # Crops jitter with the masks, so places are those in the frame, in metres at the person's distance.
        box, camera = self.sequence.box, posed.bodies.camera
        half = box[:, 2:3] / 2
        per_metre = camera.scale * half
        place = (box[:, :2] + (camera.offset + 1) * half) / per_metre.detach()
        relative = self._acceleration((joints - joints[:, :1]).flatten(1), middle).view(len(middle), -1, 3)
        whole = _rounded(self._acceleration(place, middle)) + _rounded(
            self._acceleration(_SIZE * per_metre.log(), middle)
        )
        return weight * cost.index_put((middle,), _rounded(relative).mean(1) + whole)

    def _acceleration(self, values: Tensor, middle: Tensor) -> Tensor:
        """Return second divided differences (T, D) of values (B, D) at the bodies ``middle`` (T,)."""
        time = self.sequence.time
        before, after = middle - 1, middle + 1
        first, second = (time[middle] - time[before])[:, None], (time[after] - time[middle])[:, None]
        change = (values[after] - values[middle]) / second - (values[middle] - values[before]) / first
        return 2 * change / (first + second)


@dataclass(frozen=True)
class BalanceTerm:
    """Penalty on bodies whose centre of mass is not above their ankles.

    Of the axes of a body this one is nearest to the vertical: within 26 degrees in nine of ten poses of everyday
    motion. The penalty is the negative logarithm of a Cauchy distribution, so that somebody who lies pays a bounded
    price.
    """

    sequence: Sequence

    def __call__(self, posed: PosedBodies, weight: float) -> Tensor:
        """Compute the weighted cost per body, (B,)."""
        return weight * imbalance(posed.output.joints, self.sequence.up, self.sequence.spread)


@dataclass(frozen=True)
class JointTerm:
    """Squared distance in the image from joints that were seen, each weighted by its trust."""

    joints: Tensor

    def __call__(self, posed: PosedBodies, weight: float) -> Tensor:
        """Compute the weighted cost per body, (B,)."""
        places = posed.bones.joints * (2 / posed.size) - 1
        return weight * off_joints(places, self.joints)


def off_joints(places: Tensor, seen: Tensor) -> Tensor:
    """Compute the mean squared distance of joints from where they were seen, (B,), in crop coordinates.

    Args:
        places: (B, J, 2) joints of bodies.
        seen: (B, J, 3) as in `Sequence.joints`.
    """
    return (seen[..., 2] * (places - seen[..., :2]).square().sum(-1)).mean(-1)


def image_terms(sequence: Sequence, settings: TrackFitSettings) -> dict[str, tuple[Term, float]]:
    """Return the terms that need no neighbours in time, with their weights, by name."""
    terms: dict[str, tuple[Term, float]] = {"balance": (BalanceTerm(sequence), settings.balance)}
    if sequence.joints is not None:
        terms["joints"] = JointTerm(sequence.joints), settings.joints
    return terms


def imbalance(joints: Tensor, up: Tensor, spread: Tensor) -> Tensor:
    """Compute the cost of leaning, (...).

    Args:
        joints: (..., J, 3) joints of SMPL's set, metres.
        up: (..., 3) unit vectors against gravity in the same axes.
        spread: (...) scale of the Cauchy distribution of the angle, radians.
    """
    centre = (joints * _masses().to(joints)[:, None]).sum(-2)
    axis = F.normalize(centre - joints[..., _ANKLES, :].mean(-2), dim=-1)
    # 2 (1 - cos a) is about the square of the angle, and smooth at 0.
    return torch.log1p(2 * (1 - (axis * up).sum(-1)) / spread.square()) / 2


def _masses() -> Tensor:
    masses = torch.tensor([_MASS.get(name.split("_")[-1], 0.0) for name in SMPL.joints])
    return masses / masses.sum()


def _rounded(acceleration: Tensor) -> Tensor:
    """Return the lengths of accelerations (..., D) in units of `USUAL`, rounded off at zero (Charbonnier)."""
    return ((acceleration / USUAL).square().sum(-1) + _ROUND**2).sqrt() - _ROUND
