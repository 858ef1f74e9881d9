"""SMPLify's robust distance of keypoints."""

from __future__ import annotations

import pytest
import torch

from adaptation.losses.keypoints import geman_mcclure, robust_keypoint_loss


def test_penalty_by_hand() -> None:
    squares = torch.tensor([0.0, 1.0, 1e4, 1e12])
    expected = torch.tensor([0.0, 1.0, 5e3, 1e4])  # small: itself; at sigma: half of the maximum; far away: the maximum
    torch.testing.assert_close(geman_mcclure(squares, 100.0), expected, rtol=2e-4, atol=0)


def test_loss_by_hand() -> None:
    joints = torch.tensor([[[3.0, 4.0], [0.0, 0.0], [7.0, 7.0]]])
    keypoints = torch.tensor([[[0.0, 0.0, 0.5], [0.0, 10.0, 1.0], [-5.0, 99.0, 0.0]]])
    expected = 0.5 * 25 * 100 / 125 + 100 * 100 / 200
    assert robust_keypoint_loss(joints, keypoints, 10.0).item() == pytest.approx(expected)


def test_an_outlier_hardly_pulls() -> None:
    joints = torch.zeros(1, 2, 2, requires_grad=True)
    keypoints = torch.tensor([[[10.0, 0.0, 1.0], [1000.0, 0.0, 1.0]]])
    (grad,) = torch.autograd.grad(robust_keypoint_loss(joints, keypoints, 100.0).sum(), joints)
    assert abs(grad[0, 1, 0]) < 0.02 * abs(grad[0, 0, 0])


def test_gradient_against_finite_differences() -> None:
    generator = torch.Generator().manual_seed(0)
    joints = (50 * torch.randn(2, 4, 2, generator=generator)).double().requires_grad_()
    keypoints = torch.rand(2, 4, 3, generator=generator).double() * 50
    assert torch.autograd.gradcheck(lambda places: robust_keypoint_loss(places, keypoints, 30.0), [joints])
