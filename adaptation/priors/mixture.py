"""A mixture of Gaussians as pose prior: E_theta of SMPLify (Bogo et al., ECCV 2016, eqs. 4 to 6).

The negative logarithm of a sum of Gaussians is replaced by that of its largest term, so that a fit follows one
component at a time and has sums of squares to minimise.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from adaptation.bodies.joint_sets import SMPL
from adaptation.priors.gaussian import poses_with_motion
from adaptation.support.errors import UserError
from adaptation.support.files import whole_file

COMPONENTS = 8
"""Gaussians of the mixture, as in the paper."""
FORMAT = "topo-adapt mixture pose prior 1"
NUMBERS = 3 * (len(SMPL) - 1)
"""Numbers of a pose without its root: 69."""
# As in the Gaussian prior: examples are too few to determine all correlations, and no joint may be locked.
_SHRINKAGE, _FLOOR = 0.1, math.radians(5)
_ROUNDS = 15  # of expectation and maximisation; after 10 the likelihood of other poses no longer changes


class MixturePosePrior(torch.nn.Module):
    """Gaussians over the axis-angle components of all joints but the root, of which the nearest one counts.

    Args:
        means: (C, D) means in radians, D = 69.
        covariances: (C, D, D) covariances.
        weights: (C,) shares of the Gaussians, which sum to 1.
    """

    means: Tensor
    covariances: Tensor
    weights: Tensor
    roots: Tensor
    costs: Tensor

    def __init__(self, means: Tensor, covariances: Tensor, weights: Tensor) -> None:
        super().__init__()
        # In double precision: joints that hardly move make covariances nearly singular.
        roots, log_root = _whiten(covariances.double())
        # Eq. 6 with c for which the narrowest Gaussian has the factor 1, as in the public code; without (2 pi)^(D / 2).
        costs = log_root - log_root.min() - weights.double().log()
        for name, value in (
            ("means", means),
            ("covariances", covariances),
            ("weights", weights),
            ("roots", roots),
            ("costs", costs),
        ):
            self.register_buffer(name, value.float().clone())

    def energies(self, pose: Tensor) -> Tensor:
        """Compute the negative log-likelihood of each Gaussian, (B, C), up to a common constant."""
        away = pose[:, 1:].flatten(1)[:, None] - self.means
        distance = torch.einsum("cij,bcj->bci", self.roots, away).square().sum(2)
        return distance / 2 + self.costs

    def energy(self, pose: Tensor) -> Tensor:
        """Compute min_j(-log(c g_j N(pose; mu_j, Sigma_j))), eq. 6.

        Args:
            pose: (B, J, 3) axis-angle, radians; joint 0 is ignored.

        Returns:
            (B,) not negative; lower is more plausible. About half the number of components that move.
        """
        return self.energies(pose).amin(1)

    def forward(self, pose: Tensor) -> Tensor:
        """Compute the `energy`."""
        return self.energy(pose)

    def mean_pose(self) -> Tensor:
        """Return the mean of the mixture, (J, 3) axis-angle in radians, joint 0 zero: SMPLify's starting pose."""
        mean = (self.weights[:, None] * self.means).sum(0)
        return torch.cat([mean.new_zeros(1, 3), mean.view(-1, 3)])

    @classmethod
    def fit(
        cls, poses: Tensor, components: int = COMPONENTS, seed: int = 0, *, rounds: int = _ROUNDS
    ) -> MixturePosePrior:
        """Fit a mixture to example poses by expectation and maximisation.

        Args:
            poses: (N, J, 3) axis-angle, radians; joint 0 is ignored. N is at least ``components``.
            components: number of Gaussians.
            seed: seed of the means at the start.
            rounds: rounds of expectation and maximisation.
        """
        flat = poses[:, 1:].flatten(1).double()
        share = _nearest(flat, _spread_means(flat, components, torch.Generator().manual_seed(seed)))
        means, covariances, weights = _maximise(flat, share)
        for _ in range(rounds):
            roots, log_root = _whiten(covariances)
            squares = torch.stack(
                [((flat - mean) @ root.T).square().sum(1) for mean, root in zip(means, roots, strict=True)], 1
            )
            means, covariances, weights = _maximise(flat, (weights.log() - log_root - squares / 2).softmax(1))
        return cls(means, covariances, weights)

    @classmethod
    def default(cls) -> MixturePosePrior:
        """Return the prior of sampled and real poses, half each, the examples of `GaussianPosePrior.with_motion`."""
        return cls(*_default())

    def save(self, path: Path, notes: dict[str, str] | None = None) -> None:
        """Write the mixture, as float32, and notes to a safetensors file."""
        meta = {"format": FORMAT, "notes": json.dumps(notes or {})}
        arrays = {name: getattr(self, name).cpu().contiguous() for name in ("means", "covariances", "weights")}
        with whole_file(path) as file:
            file.write(save(arrays, meta))

    @classmethod
    def load(cls, path: Path) -> MixturePosePrior:
        """Read a file that `save` wrote.

        Raises:
            UserError: the file is missing, damaged or of another kind.
        """
        try:
            with safe_open(path, "pt") as file:
                if (file.metadata() or {}).get("format") != FORMAT:
                    raise UserError(f"{path} is not a mixture pose prior of topo-adapt")
                arrays = [file.get_tensor(name) for name in ("means", "covariances", "weights")]
        except FileNotFoundError:
            raise UserError(f"no such file: {path}") from None
        except (SafetensorError, OSError, KeyError) as error:
            raise UserError(f"{path} is not a mixture pose prior of topo-adapt: {error}") from None
        return checked_mixture(arrays, path)


def checked_mixture(arrays: Sequence[Tensor], path: Path) -> MixturePosePrior:
    """Return the mixture of means, covariances and weights that a file holds.

    Raises:
        UserError: their shapes do not fit together or to SMPL's poses, or they describe no Gaussians.
    """
    means, covariances, weights = arrays
    count = len(means)
    shapes = tuple(tuple(array.shape) for array in arrays)
    if shapes != ((count, NUMBERS), (count, NUMBERS, NUMBERS), (count,)) or not count:
        raise UserError(
            f"{path}: expected means (C, {NUMBERS}), covariances (C, {NUMBERS}, {NUMBERS}) and weights (C,), found "
            + ", ".join(map(str, shapes))
        )
    if not all(bool(torch.isfinite(array).all()) for array in arrays):
        raise UserError(f"{path}: the mixture holds numbers that are not finite")
    if bool((weights <= 0).any()) or abs(float(weights.sum()) - 1) > 1e-3:
        raise UserError(f"{path}: the weights of the Gaussians must be positive and sum to 1")
    try:
        return MixturePosePrior(means, covariances, weights)
    except RuntimeError:  # of the Cholesky decomposition
        raise UserError(f"{path}: a covariance is not positive definite") from None


@lru_cache  # the examples are always the same
def _default() -> tuple[Tensor, Tensor, Tensor]:
    prior = MixturePosePrior.fit(poses_with_motion())
    return prior.means, prior.covariances, prior.weights


def _whiten(covariances: Tensor) -> tuple[Tensor, Tensor]:
    """Return R with R^T R the inverse of each covariance (C, D, D), and log(det(covariance)) / 2, (C,)."""
    # With covariance = L L^T, the squared distance is |L^-1 (x - mean)|^2, and sqrt(det) multiplies L's diagonal.
    lower = torch.linalg.cholesky(covariances)
    unit = torch.eye(lower.shape[-1]).to(lower).expand_as(lower)
    log_root = lower.diagonal(dim1=1, dim2=2).log().sum(1)
    return torch.linalg.solve_triangular(lower, unit, upper=False), log_root


def _spread_means(flat: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Choose examples far from each other (k-means++: with a chance that grows with the squared distance)."""
    chosen = [flat[torch.randint(len(flat), (1,), generator=generator)]]
    while len(chosen) < count:
        away = torch.cdist(flat, torch.cat(chosen)).square().amin(1)
        chosen.append(flat[torch.multinomial(away, 1, generator=generator)])
    return torch.cat(chosen)


def _nearest(flat: Tensor, means: Tensor) -> Tensor:
    """Return shares (N, C) of 0 and 1: 1 for the nearest mean, after a few rounds of k-means."""
    for _ in range(10):
        share = torch.nn.functional.one_hot(torch.cdist(flat, means).argmin(1), len(means)).to(flat)
        means = share.T @ flat / share.sum(0)[:, None].clamp(min=1)
    return share


def _maximise(flat: Tensor, share: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the Gaussians that are likeliest for examples (N, D) of which each has a share (N, C)."""
    total = share.sum(0).clamp(min=1e-6)
    means = share.T @ flat / total[:, None]
    whole = flat.T.cov(correction=0)
    covariances = []
    for column, mean, weight in zip(share.T, means, total, strict=True):
        away = flat - mean
        # A Gaussian with few examples borrows from the covariance of all of them.
        lent = NUMBERS / (NUMBERS + float(weight))
        covariance = (1 - lent) * (column[:, None] * away).T @ away / weight + lent * whole
        variance = covariance.diagonal()
        covariance = (1 - _SHRINKAGE) * covariance + (_SHRINKAGE * variance).diag()
        covariances.append(covariance + (_FLOOR**2 - variance).clamp(min=0).diag())
    return means, torch.stack(covariances), total / total.sum()
