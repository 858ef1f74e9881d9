"""The prior against limbs that bend the wrong way."""

from __future__ import annotations

import math

import pytest
import torch

from adaptation.bodies.body import mirror_pose
from adaptation.bodies.joint_sets import SMPL
from adaptation.bodies.poses import sitting, standing
from adaptation.priors.bending import BendingPrior


def test_energy_by_hand() -> None:
    prior = BendingPrior()
    pose = torch.zeros(2, 24, 3)
    pose[1, SMPL.joints.index("left_knee"), 0] = 1.0  # bent
    pose[1, SMPL.joints.index("left_elbow"), 1] = 0.5  # over-extended
    expected = torch.tensor([4.0, 2 + math.exp(-2.0) + math.exp(1.0)])
    torch.testing.assert_close(prior.energy(pose), expected)


def test_limbs_that_bend_as_they_should_cost_less() -> None:
    prior, bent = BendingPrior(), sitting(elbow=90.0)[None]
    assert prior.energy(bent) < prior.energy(standing()[None]) < prior.energy(-bent)
    torch.testing.assert_close(prior.energy(mirror_pose(bent)), prior.energy(bent))


@pytest.mark.parametrize("joint", ["left_elbow", "right_elbow", "left_knee", "right_knee"])
def test_gradient_against_finite_differences(joint: str) -> None:
    prior = BendingPrior().double()
    pose = (0.4 * torch.randn(3, 24, 3, generator=torch.Generator().manual_seed(0))).double().requires_grad_()
    assert torch.autograd.gradcheck(prior.energy, [pose])
    (grad,) = torch.autograd.grad(prior.energy(pose).sum(), pose)
    # Only the bend of this joint counts, not its twist.
    assert (grad[:, SMPL.joints.index(joint)] != 0).sum() == 3
