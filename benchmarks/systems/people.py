"""Synthetic people with keypoints: test splits of `style` and `site`, whose people no prior and no network saw."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from adaptation.bodies.body import Body
from adaptation.bodies.parameters import Bodies
from adaptation.data.samples import MaskKind, Samples
from adaptation.synthetic.domains import make_domain
from adaptation.synthetic.keypoints import simulated_keypoints
from adaptation.synthetic.settings import DomainSettings

FAMILIES = ("style", "site")
NOISE, MISSING = 2.0, 0.1
"""Standard deviation of the keypoints' noise in pixels of a crop of 112, in x and in y, and share of dropped joints."""


@dataclass(frozen=True)
class People:
    """N labelled crops with keypoints.

    Attributes:
        samples: the crops.
        keypoints: (N, J, 3) noisy keypoints in crop pixels, and confidence.
        truth: the bodies.
    """

    samples: Samples
    keypoints: Tensor
    truth: Bodies

    def masks(self, kind: MaskKind) -> Tensor:
        """Return the masks (N, 1, S, S)."""
        return self.samples.mask_batch(slice(None), kind)


def people(work: Path, seed: int, count: int, body: Body, *, exact: bool = False) -> People:
    """Render people, or read those of an earlier run.

    Args:
        work: folder that the crops are kept in.
        seed: seed of the crops and of the keypoints' noise.
        count: crops of each family.
        body: the free body.
        exact: whether all keypoints are found, without noise.
    """
    parts = []
    for family in FAMILIES:
        folder = work / f"{family}-{count}-{seed}"
        if not (folder / "domain.json").exists():
            make_domain(DomainSettings(family, "test", count, 112, seed + 100)).save(folder, {})
        parts.append(Samples.load(folder))
    # Crops whose mask of background subtraction is empty cannot be fitted to silhouettes.
    joined = _joined([part.take(part.masks[:, 1].any((1, 2))) for part in parts if part.masks is not None])
    noise, missing = (0.0, 0.0) if exact else (NOISE, MISSING)
    keypoints = simulated_keypoints(joined, body, noise, missing, torch.Generator().manual_seed(seed))
    return People(joined, torch.from_numpy(keypoints), joined.bodies(body))


def _joined(parts: list[Samples]) -> Samples:
    names = ("images", "masks", "pose", "betas", "camera")
    return Samples(**{name: np.concatenate([np.array(getattr(part, name)) for part in parts]) for name in names})
