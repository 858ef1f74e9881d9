"""A Gaussian pose prior."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from adaptation.bodies.poses import Kind, sample_poses


class GaussianPosePrior(torch.nn.Module):
    """A Gaussian on the axis-angle components of all joints but the root, D = 3 (J - 1) numbers.

    Args:
        mean: (D,).
        precision_root: (D, D), any R with R^T R = the inverse covariance.
    """

    mean: Tensor
    precision_root: Tensor

    def __init__(self, mean: Tensor, precision_root: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean.clone())
        self.register_buffer("precision_root", precision_root.clone())

    @classmethod
    def fit(cls, poses: Tensor, shrinkage: float = 0.1, floor: float = math.radians(5)) -> GaussianPosePrior:
        """From examples.

        Args:
            poses: (N, J, 3) axis-angle; joint 0 is ignored.
            shrinkage: share of the covariance that is replaced by its diagonal, for fewer examples
                than would determine all correlations.
            floor: least standard deviation of a component in radians, so that joints that do not
                move in the examples are stiff, not locked.

        Returns:
            A float32 prior.
        """
        flat = poses[:, 1:].flatten(1).double()
        covariance = flat.T.cov(correction=0)
        variance = covariance.diagonal()
        covariance = (1 - shrinkage) * covariance + (shrinkage * variance).diag()
        covariance += (floor**2 - variance).clamp(min=0).diag()
        # With covariance = L L^T the energy is |L^-1 (x - mean)|^2.
        lower = torch.linalg.cholesky(covariance)
        root = torch.linalg.solve_triangular(lower, torch.eye(len(lower)).to(lower), upper=False)
        return cls(flat.mean(dim=0).float(), root.float())

    @classmethod
    def default(cls, without: Kind | None = None) -> GaussianPosePrior:
        """Of sampled poses, mostly walking and standing (`sample_poses`); always the same.

        Args:
            without: a kind of poses that the examples lack.
        """
        return cls(*_default(without))

    def energy(self, pose: Tensor) -> Tensor:
        """Squared Mahalanobis distance: about one per component that moves in the examples.

        Args:
            pose: (B, J, 3) axis-angle; joint 0 is ignored.

        Returns:
            (B,).
        """
        away = pose[:, 1:].flatten(1) - self.mean
        return (away @ self.precision_root.T).square().sum(dim=1)

    def forward(self, pose: Tensor) -> Tensor:
        """The same as `energy`."""
        return self.energy(pose)

    def mean_pose(self) -> Tensor:
        """The most plausible pose, (J, 3) axis-angle, joint 0 zero."""
        return torch.cat([self.mean.new_zeros(1, 3), self.mean.view(-1, 3)])


# What a static camera sees: with arms up as often as down, the mean would come near a T-pose.
_SHARES: dict[Kind, int] = {"walking": 3, "standing": 2, "sitting": 1, "reaching": 1, "arms_up": 1}


@lru_cache
def _default(without: Kind | None) -> tuple[Tensor, Tensor]:
    kinds = [kind for kind, share in _SHARES.items() for _ in range(share) if kind != without]
    prior = GaussianPosePrior.fit(sample_poses(4000, torch.Generator().manual_seed(0), kinds))
    return prior.mean, prior.precision_root
