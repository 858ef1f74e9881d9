from __future__ import annotations

from dataclasses import replace

import pytest
import roma
import torch
from torch import Tensor

from adaptation.bodies.body import Body
from adaptation.bodies.poses import sample_poses
from adaptation.priors.latent import LATENT, LatentPosePrior
from adaptation.training.latent_prior import measure_prior, sliced_wasserstein, train_prior
from adaptation.training.settings import PriorSettings

TINY = PriorSettings(steps=200, batch=64, hidden=32)


@pytest.fixture(scope="module")
def poses() -> Tensor:
    return sample_poses(600, torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def trained(poses: Tensor, body: Body) -> LatentPosePrior:
    return train_prior(poses[:500], TINY, body)


def uniformity(prior: LatentPosePrior, poses: Tensor) -> float:
    """Mean distance of each phi's sorted values to those of a uniform distribution."""
    with torch.no_grad():
        phi = prior.encode(roma.rotvec_to_rotmat(poses[:, 1:])).sort(0).values
    return float((phi - torch.linspace(-1, 1, len(phi))[:, None]).abs().mean())


def test_distance_of_sets() -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(50, 5, generator=generator)
    assert sliced_wasserstein(points, points[torch.randperm(50, generator=generator)], 16) < 1e-12
    # A shift by t moves every projection by its share of t: |t|^2 / D in the mean over directions.
    shifted = sliced_wasserstein(points, points + 0.3, 4000)
    assert shifted.item() == pytest.approx(0.3**2, rel=0.1)
    narrow, wide = (sliced_wasserstein(scale * (2 * points - 1), 2 * points - 1, 64) for scale in (0.2, 0.8))
    assert narrow > 4 * wide > 0


def test_gradient_spreads_points() -> None:
    torch.manual_seed(0)
    points = (0.1 * torch.randn(64, 3)).requires_grad_()
    (gradient,) = torch.autograd.grad(sliced_wasserstein(points, 2 * torch.rand(64, 3) - 1, 64), points)
    assert (-gradient * points).sum() > 0  # downhill is outwards


def test_training_spreads_phi_over_the_cube(poses: Tensor, trained: LatentPosePrior, body: Body) -> None:
    without = train_prior(poses[:500], replace(TINY, spread_weight=0.0), body)
    assert uniformity(trained, poses[500:]) < 0.8 * uniformity(without, poses[500:])


def test_training_learns_poses(poses: Tensor, trained: LatentPosePrior, body: Body) -> None:
    untrained = train_prior(poses[:500], replace(TINY, steps=1), body)
    before, after = (measure_prior(prior, poses[:500], poses[500:], body) for prior in (untrained, trained))
    assert after.degrees < 0.7 * before.degrees and after.millimetres < 0.7 * before.millimetres
    assert after.data_energy == before.data_energy


def test_training_is_repeatable(poses: Tensor, body: Body) -> None:
    short = replace(TINY, steps=3)
    again = [train_prior(poses[:500], short, body).state_dict() for _ in range(2)]
    assert all(torch.equal(again[0][name], again[1][name]) for name in again[0])


def test_figures_of_a_prior_that_says_one_pose(poses: Tensor, body: Body) -> None:
    """Whose decoder gives the mean pose whatever phi: as usual as can be, and wrong about all others."""
    prior = LatentPosePrior(8)
    with torch.no_grad():
        for parameter in prior.decoder[-1].parameters():
            parameter.zero_()
        prior.linear.weight.zero_()
    figures = measure_prior(prior.frozen(), poses[:500], poses[500:], body)
    assert figures.random_energy == pytest.approx(figures.between_energy, rel=1e-5)
    spread = poses[500:, 1:].norm(dim=2).square().mean().sqrt().rad2deg()
    assert figures.degrees == pytest.approx(spread.item(), rel=1e-3)
    assert prior.encode(torch.eye(3).expand(2, 23, 3, 3)).shape == (2, LATENT)
