from __future__ import annotations

import pytest
import torch

from adaptation.bodies.body import mirror_pose
from adaptation.bodies.poses import perturb, sample_poses, standing, walking
from adaptation.data.pose_library import real_poses
from adaptation.priors.gaussian import GaussianPosePrior
from adaptation.priors.named import pose_prior


def examples(n: int, scale: torch.Tensor, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.cat([torch.zeros(n, 1, 3), scale * torch.randn(n, 23, 3, generator=generator)], dim=1)


def test_energy_by_hand_for_a_diagonal_gaussian() -> None:
    prior = GaussianPosePrior(torch.full((69,), 0.5), 2 * torch.eye(69))
    pose = torch.zeros(2, 24, 3)
    pose[:, 1:] = 0.5
    pose[0, 0] = 7.0  # The global orientation does not count.
    pose[1, 5, 2] += 0.25
    torch.testing.assert_close(prior.energy(pose), torch.tensor([0.0, 0.25]))
    torch.testing.assert_close(prior(pose), prior.energy(pose))


def test_fit_without_shrinkage_is_mahalanobis() -> None:
    mixing = 0.2 * torch.randn(69, 69, generator=torch.Generator().manual_seed(3)) + torch.eye(69)
    poses = examples(2000, torch.tensor(1.0))
    poses[:, 1:] = (poses[:, 1:].flatten(1) @ mixing.T + 0.3).view(-1, 23, 3)
    prior = GaussianPosePrior.fit(poses, shrinkage=0.0, floor=0.0)
    flat = poses[:, 1:].flatten(1).double()
    away = flat - flat.mean(dim=0)
    inverse = torch.linalg.inv(away.T @ away / len(away))
    expected = torch.einsum("bi,ij,bj->b", away, inverse, away)
    torch.testing.assert_close(prior.energy(poses).double(), expected, rtol=1e-3, atol=1e-3)
    # By construction the mean of the energies is the dimension.
    assert prior.energy(poses).mean().item() == pytest.approx(69, rel=1e-3)


def test_shrinkage_removes_correlations_and_floor_stiffens_what_does_not_move() -> None:
    poses = examples(50, torch.tensor(1.0))  # Fewer examples than dimensions.
    poses[:, 2] = poses[:, 1]
    poses[:, 23] = 0
    prior = GaussianPosePrior.fit(poses, shrinkage=1.0, floor=0.1)
    precision = prior.precision_root.T @ prior.precision_root
    deviation = poses[:, 1:].flatten(1).std(dim=0, correction=0).clamp(min=0.1)
    torch.testing.assert_close(precision, deviation.pow(-2).diag(), rtol=1e-4, atol=1e-4)


def test_default_tells_usual_from_unusual_poses() -> None:
    prior = GaussianPosePrior.default()
    generator = torch.Generator().manual_seed(5)
    poses = sample_poses(300, generator)
    usual = prior.energy(poses).mean()
    assert 30 < usual < 90
    energies = [prior.energy(perturb(poses, span, generator)).mean() for span in ((10, 20), (20, 40), (40, 70))]
    assert usual < energies[0] < energies[1] < energies[2]
    backwards = walking(0.7)[None].clone()
    backwards[:, 4:6, 0] *= -1  # Knees that bend to the front.
    assert prior.energy(backwards) > prior.energy(walking(0.7)[None]) + 10
    tpose = torch.zeros(1, 24, 3)
    assert prior.energy(standing()[None]) < prior.energy(tpose)


def test_default_is_symmetric_and_is_not_shared() -> None:
    prior = GaussianPosePrior.default()
    poses = sample_poses(50, torch.Generator().manual_seed(1))
    torch.testing.assert_close(prior.energy(mirror_pose(poses)), prior.energy(poses), rtol=0.15, atol=2)
    prior.mean.zero_()
    assert GaussianPosePrior.default().mean.abs().max() > 0.5


def test_mean_pose_has_no_energy() -> None:
    prior = GaussianPosePrior.default()
    assert prior.mean_pose().shape == (24, 3)
    assert prior.energy(prior.mean_pose()[None]).item() == pytest.approx(0, abs=1e-6)


def test_motion_makes_unseen_real_poses_plausible_and_keeps_sampled_ones() -> None:
    """Energies of real poses that the prior did not see, by leaving one in five out of its real examples."""
    real, sampled = real_poses(), sample_poses(300, torch.Generator().manual_seed(5))
    held_out = torch.arange(len(real)) % 5 == 0
    kept = real[~held_out]
    examples = sample_poses(2000, torch.Generator().manual_seed(0))
    without = GaussianPosePrior.fit(examples)
    beside = GaussianPosePrior.fit(torch.cat([examples, kept.repeat(5, 1, 1)]))
    assert beside.energy(real[held_out]).median() < 0.6 * without.energy(real[held_out]).median()
    assert beside.energy(sampled).median() < 1.1 * without.energy(sampled).median()


def test_prior_with_motion_is_symmetric_and_known_by_name() -> None:
    prior = pose_prior("motion")
    poses = torch.cat([real_poses()[:50], sample_poses(50, torch.Generator().manual_seed(5))])
    both = prior.energy(poses), prior.energy(mirror_pose(poses))
    # Sampled poses are mirrored at random, so that their two sides differ by chance.
    assert ((both[0] - both[1]).abs() / both[0]).median() < 0.1
    assert prior.energy(poses).mean() < GaussianPosePrior.default().energy(poses).mean()
