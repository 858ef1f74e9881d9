"""Pose priors by their names in commands and settings."""

from __future__ import annotations

import torch

from adaptation.priors.base import PosePrior
from adaptation.priors.gaussian import GaussianPosePrior
from adaptation.priors.latent import LatentPosePrior


def pose_prior(name: str, device: str | torch.device = "cpu") -> PosePrior:
    """Return a pose prior by name.

    Args:
        name: "gaussian" (of sampled poses), "motion" (a Gaussian of sampled and real poses), "latent" (which comes with
            the package), or a file written by ``topo-adapt prior``.
        device: device to compute on.

    Raises:
        UserError: the name is none of these, or the file is not a pose prior.
    """
    if name == "gaussian":
        return GaussianPosePrior.default().to(device)
    if name == "motion":
        return GaussianPosePrior.with_motion().to(device)
    return LatentPosePrior.named(name).to(device)
