"""A Gaussian pose prior."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from adaptation.bodies.body import mirror_pose
from adaptation.bodies.poses import Kind, sample_poses
from adaptation.data.pose_library import real_poses


class GaussianPosePrior(torch.nn.Module):
    """A Gaussian over the axis-angle components of all joints but the root, D = 3 (J - 1) numbers.

    Args:
        mean: (D,) mean in radians.
        precision_root: (D, D) any matrix R for which R^T R is the inverse covariance.
    """

    mean: Tensor
    precision_root: Tensor

    def __init__(self, mean: Tensor, precision_root: Tensor) -> None:
        super().__init__()
        # Cloned: the tensors of the default prior are cached, and priors must not share them.
        self.register_buffer("mean", mean.clone())
        self.register_buffer("precision_root", precision_root.clone())

    @classmethod
    def fit(cls, poses: Tensor, shrinkage: float = 0.1, floor: float = math.radians(5)) -> GaussianPosePrior:
        """Fit a prior to example poses.

        Args:
            poses: (N, J, 3) axis-angle, radians; joint 0 is ignored.
            shrinkage: share of the covariance that is replaced by its diagonal, because the examples
                are too few to determine all correlations.
            floor: least standard deviation of a component in radians, so that joints that do not
                move in the examples are stiff, not locked.

        Returns:
            A float32 prior.
        """
        # In double precision: joints that hardly move make the covariance nearly singular.
        flat = poses[:, 1:].flatten(1).double()
        covariance = flat.T.cov(correction=0)
        variance = covariance.diagonal()
        covariance = (1 - shrinkage) * covariance + (shrinkage * variance).diag()
        # Shrinkage has kept the diagonal, so `variance` is still that of the covariance.
        covariance += (floor**2 - variance).clamp(min=0).diag()
        # With covariance = L L^T, the energy is |L^-1 (x - mean)|^2: no inverse covariance is formed.
        lower = torch.linalg.cholesky(covariance)
        # Inverted once, so that each energy is one product.
        root = torch.linalg.solve_triangular(lower, torch.eye(len(lower)).to(lower), upper=False)
        return cls(flat.mean(dim=0).float(), root.float())

    @classmethod
    def default(cls, without: Kind | None = None) -> GaussianPosePrior:
        """Return the prior of sampled poses, mostly walking and standing (`sample_poses`); it is always the same.

        Args:
            without: a kind of poses to leave out of the examples.
        """
        return cls(*_default(without))

    @classmethod
    def with_motion(cls) -> GaussianPosePrior:
        """Return the prior of sampled poses and of real ones, half each: the examples of `default` and CMU's poses.

        The real ones are those that come with the package (`adaptation.data.pose_library.real_poses`) and their mirror
        images.
        """
        return cls(*_with_motion())

    def energy(self, pose: Tensor) -> Tensor:
        """Compute the squared Mahalanobis distance: about 1 per component that moves in the examples.

        Args:
            pose: (B, J, 3) axis-angle, radians; joint 0 is ignored.

        Returns:
            (B,); lower is more plausible.
        """
        away = pose[:, 1:].flatten(1) - self.mean
        return (away @ self.precision_root.T).square().sum(dim=1)

    def forward(self, pose: Tensor) -> Tensor:
        """Compute the `energy`."""
        return self.energy(pose)

    def mean_pose(self) -> Tensor:
        """Return the most plausible pose, (J, 3) axis-angle in radians; joint 0 is zero."""
        return torch.cat([self.mean.new_zeros(1, 3), self.mean.view(-1, 3)])


# Shares of the kinds of poses that a static camera sees. With arms up as often as down, the mean would be close to a
# T-pose.
_SHARES: dict[Kind, int] = {"walking": 3, "standing": 2, "sitting": 1, "reaching": 1, "arms_up": 1}


@lru_cache  # the examples are always the same
def _default(without: Kind | None) -> tuple[Tensor, Tensor]:
    prior = GaussianPosePrior.fit(_sampled(without))
    return prior.mean, prior.precision_root


@lru_cache
def _with_motion() -> tuple[Tensor, Tensor]:
    prior = GaussianPosePrior.fit(poses_with_motion())
    return prior.mean, prior.precision_root


def poses_with_motion() -> Tensor:
    """Return example poses (N, J, 3): sampled ones, and as many real ones of the package with their mirror images."""
    sampled, real = _sampled(None), real_poses()
    both = torch.cat([real, mirror_pose(real)])
    # Repeated, so that real poses weigh as much as sampled ones.
    return torch.cat([sampled, both.repeat(len(sampled) // len(both), 1, 1)])


def _sampled(without: Kind | None) -> Tensor:
    # Kinds are drawn with equal chances, so repetition is what gives them their shares.
    kinds = [kind for kind, share in _SHARES.items() for _ in range(share) if kind != without]
    return sample_poses(4000, torch.Generator().manual_seed(0), kinds)
