"""The mixture of Gaussians, and SMPLify's file of it."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from adaptation.bodies.poses import sample_poses
from adaptation.priors.gaussian import GaussianPosePrior
from adaptation.priors.mixture import MixturePosePrior
from adaptation.priors.mixture_file import read_gmm
from adaptation.priors.named import pose_prior
from adaptation.support.errors import UserError

D = 69


def two_gaussians() -> MixturePosePrior:
    """Means at 0 and at 1, with standard deviations 1 and 0.5, and shares of a quarter and three quarters."""
    means = torch.stack([torch.zeros(D), torch.ones(D)])
    return MixturePosePrior(means, torch.stack([torch.eye(D), 0.25 * torch.eye(D)]), torch.tensor([0.25, 0.75]))


def pose_of(value: float) -> Tensor:
    pose = torch.zeros(1, 24, 3)
    pose[:, 1:] = value
    return pose


def test_energy_by_hand() -> None:
    prior = two_gaussians()
    # c is such that the narrow Gaussian has the factor 1: the wide one is 0.5^69 times as dense at its mean.
    wide = D * math.log(2) - math.log(0.25)
    narrow = -math.log(0.75)
    at = {0.0: min(wide, D * 4 / 2 + narrow), 1.0: min(narrow, D / 2 + wide), -1.0: D / 2 + wide}
    for value, expected in at.items():
        assert prior.energy(pose_of(value)).item() == pytest.approx(expected, rel=1e-5)
    assert prior.energy(pose_of(1.0)).item() == pytest.approx(-math.log(0.75), rel=1e-4)
    turned = pose_of(0.3)
    turned[:, 0] = 2.0  # The global orientation does not count.
    torch.testing.assert_close(prior.energy(turned), prior.energy(pose_of(0.3)))
    assert prior.mean_pose()[0].eq(0).all() and prior.mean_pose()[1:].eq(0.75).all()


def test_energy_is_that_of_the_likeliest_gaussian() -> None:
    prior = MixturePosePrior.default()
    poses = sample_poses(20, torch.Generator().manual_seed(5)).double()
    energies = torch.stack(
        [
            -torch.distributions.MultivariateNormal(mean, covariance).log_prob(poses[:, 1:].flatten(1)) - share.log()
            for mean, covariance, share in zip(
                prior.means.double(), prior.covariances.double(), prior.weights.double(), strict=True
            )
        ],
        1,
    )
    away = energies.amin(1) - prior.energy(poses.float()).double()
    # Up to a constant.
    torch.testing.assert_close(away, away[:1].expand(20), rtol=0, atol=2e-2)


def test_gradient_against_finite_differences() -> None:
    prior = two_gaussians().double()
    pose = (0.3 * torch.randn(2, 24, 3, generator=torch.Generator().manual_seed(1))).double().requires_grad_()
    assert torch.autograd.gradcheck(prior.energy, [pose])


def test_fit_finds_two_groups() -> None:
    generator = torch.Generator().manual_seed(2)
    poses = 0.2 * torch.randn(900, 24, 3, generator=generator)
    poses[:600, 1:] += 1.0
    prior = MixturePosePrior.fit(poses, components=2)
    order = prior.means.mean(1).argsort()
    torch.testing.assert_close(prior.weights[order], torch.tensor([1 / 3, 2 / 3]), atol=0.01, rtol=0)
    torch.testing.assert_close(prior.means[order].mean(1), torch.tensor([0.0, 1.0]), atol=0.02, rtol=0)


def test_it_tells_real_poses_from_mixed_up_ones_better_than_one_gaussian() -> None:
    poses = sample_poses(2000, torch.Generator().manual_seed(3))
    unseen = sample_poses(200, torch.Generator().manual_seed(4))
    # Each component from another pose: the same variances, no correlations.
    mixed = torch.stack([unseen.roll(k, 0)[:, :, k] for k in range(3)], 2)
    one, eight = GaussianPosePrior.fit(poses), MixturePosePrior.fit(poses)
    gaps = [prior.energy(mixed).mean() - prior.energy(unseen).mean() for prior in (one, eight)]
    assert gaps[1] > gaps[0] / 2 > 0  # energies of the mixture are half of squared distances


def test_the_default_is_always_the_same() -> None:
    first, second = MixturePosePrior.default(), pose_prior("mixture")
    assert isinstance(second, MixturePosePrior) and torch.equal(first.means, second.means)
    first.means += 1  # and not shared
    assert not torch.equal(first.means, MixturePosePrior.default().means)


def test_files_survive(tmp_path: Path) -> None:
    prior = two_gaussians()
    prior.save(tmp_path / "mixture.safetensors")
    for again in (
        MixturePosePrior.load(tmp_path / "mixture.safetensors"),
        pose_prior(str(tmp_path / "mixture.safetensors")),
    ):
        torch.testing.assert_close(again.energy(pose_of(0.4)), prior.energy(pose_of(0.4)))


def gmm(count: int = 8) -> dict[str, object]:
    """The layout of gmm_08.pkl."""
    rng = np.random.default_rng(0)
    root = rng.normal(0, 0.1, (count, D, D))
    covars = root @ root.transpose(0, 2, 1) + 0.05 * np.eye(D)
    weights = rng.uniform(1, 2, count)
    return {"means": rng.normal(0, 0.3, (count, D)), "covars": covars, "weights": weights / weights.sum()}


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_smplifys_file(protocol: int, tmp_path: Path) -> None:
    held = gmm()
    path = tmp_path / "gmm_08.pkl"
    path.write_bytes(pickle.dumps(held, protocol))
    prior = pose_prior(str(path))
    assert isinstance(prior, MixturePosePrior)
    np.testing.assert_allclose(prior.means.numpy(), held["means"], rtol=1e-6)
    np.testing.assert_allclose(prior.weights.numpy(), held["weights"], rtol=1e-6)
    # By the formulas of the public code: sqrt(det) relative to the smallest, and half the squared distance.
    means, covars, weights = (np.asarray(held[key]) for key in ("means", "covars", "weights"))
    pose = np.random.default_rng(1).normal(0, 0.3, D)
    roots = np.exp(0.5 * np.linalg.slogdet(covars)[1] - 0.5 * np.linalg.slogdet(covars)[1].min())
    distances = [(pose - m) @ np.linalg.inv(c) @ (pose - m) / 2 for m, c in zip(means, covars, strict=True)]
    expected = min(d - np.log(w / r) for d, w, r in zip(distances, weights, roots, strict=True))
    asked = torch.zeros(1, 24, 3)
    asked[0, 1:] = torch.from_numpy(pose).float().view(23, 3)
    assert prior.energy(asked).item() == pytest.approx(expected, rel=1e-4)


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("executed",))


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ({**gmm(), "means": np.zeros((8, 72))}, r"expected means \(C, 69\).*found \(8, 72\)"),
        ({**gmm(), "weights": np.ones(8)}, "must be positive and sum to 1"),
        ({**gmm(), "covars": -np.eye(D) * np.ones((8, 1, 1))}, "not positive definite"),
        ({**gmm(), "means": np.full((8, D), np.nan)}, "not finite"),
        ({"means": np.zeros((8, D))}, "expected a pickled dict of the arrays means, covars, weights"),
        ([1, 2], "expected a pickled dict"),
        ({**gmm(), "extra": Harmful()}, "refused: loading it could run code"),
    ],
)
def test_bad_files_are_refused(held: object, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "gmm_08.pkl"
    path.write_bytes(pickle.dumps(held))
    with pytest.raises(UserError, match=message):
        read_gmm(path)
    assert "executed" not in capsys.readouterr().out


def test_damaged_and_missing_files(tmp_path: Path) -> None:
    path = tmp_path / "gmm_08.pkl"
    path.write_bytes(pickle.dumps(gmm())[:1000])
    with pytest.raises(UserError, match="damaged"):
        read_gmm(path)
    with pytest.raises(UserError, match="no such file"):
        pose_prior(str(tmp_path / "none.pkl"))
    (tmp_path / "other.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match="not a mixture pose prior"):
        MixturePosePrior.load(tmp_path / "other.safetensors")
