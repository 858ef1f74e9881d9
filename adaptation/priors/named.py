"""Pose priors by their names in commands and settings."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from adaptation.priors.base import PosePrior
from adaptation.priors.gaussian import GaussianPosePrior
from adaptation.priors.latent import LatentPosePrior
from adaptation.priors.mixture import FORMAT, MixturePosePrior
from adaptation.priors.mixture_file import read_gmm


def pose_prior(name: str, device: str | torch.device = "cpu") -> PosePrior:
    """Return a pose prior by name.

    Args:
        name: "gaussian" (of sampled poses), "motion" (a Gaussian of sampled and real poses), "mixture" (eight Gaussians
            of the same poses), "latent" (which comes with the package), a file written by ``topo-adapt prior``, or
            SMPLify's ``gmm_08.pkl``.
        device: device to compute on.

    Raises:
        UserError: the name is none of these, or the file is not a pose prior.
    """
    if name == "gaussian":
        return GaussianPosePrior.default().to(device)
    if name == "motion":
        return GaussianPosePrior.with_motion().to(device)
    if name == "mixture":
        return MixturePosePrior.default().to(device)
    if name.endswith(".pkl"):
        return read_gmm(Path(name)).to(device)
    if _is_mixture(Path(name)):
        return MixturePosePrior.load(Path(name)).to(device)
    return LatentPosePrior.named(name).to(device)


def _is_mixture(path: Path) -> bool:
    try:
        with safe_open(path, "pt") as file:
            return (file.metadata() or {}).get("format") == FORMAT
    except (SafetensorError, OSError):
        return False
