"""Measures of joints: errors with the pelvises aligned and after alignment, PCK, AUC and PCKh."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from adaptation.evaluation.metrics import similarity_align

Floats = npt.NDArray[np.float64]
PCK_AT = 150.0
"""Threshold of PCK in millimetres (Mehta et al., 3DV 2017)."""
AUC_AT = tuple(range(0, 151, 5))
"""Thresholds in millimetres over which AUC averages PCK: 31, with 0 (``mpii_compute_3d_pck.m`` of MPI-INF-3DHP)."""
PERCENTILES = (50, 75, 90, 95, 99)


@dataclass(frozen=True, eq=False)
class JointErrors:
    """Errors of J joints in N crops, millimetres.

    Attributes:
        rooted: (N, J) distances with the roots aligned.
        aligned: (N, J) distances after the best similarity transform over these joints, without reflection.
    """

    rooted: Floats
    aligned: Floats

    @classmethod
    def of(cls, pred: Tensor, true: Tensor, pred_root: Tensor, true_root: Tensor) -> JointErrors:
        """Measure joints.

        Args:
            pred: (N, J, 3) predicted joints, metres.
            true: (N, J, 3) true joints, metres.
            pred_root: (N, 3) predicted root, such as the pelvis; it need not be among the joints.
            true_root: (N, 3) true root.
        """
        rooted = (pred - pred_root[:, None]) - (true - true_root[:, None])
        aligned = similarity_align(pred, true) - true
        return cls(_millimetres(rooted), _millimetres(aligned))


def _millimetres(difference: Tensor) -> Floats:
    distances: Floats = 1000 * torch.linalg.vector_norm(difference.double(), dim=2).cpu().numpy()
    return distances


def pck(errors: npt.ArrayLike, threshold: float = PCK_AT) -> float:
    """Return the percentage of correct keypoints: the share of errors below a threshold, in percent.

    Args:
        errors: errors of any shape.
        threshold: threshold in the unit of the errors; an error equal to it does not count.
    """
    return float(100 * np.mean(np.asarray(errors) < threshold))


def auc(errors: npt.ArrayLike, thresholds: Sequence[float] = AUC_AT) -> float:
    """Return the area under the curve of PCK over thresholds: the mean of its values, in percent."""
    return float(np.mean([pck(errors, threshold) for threshold in thresholds]))


def pckh(pred: Tensor, true: Tensor, head: Tensor, threshold: float = 0.5) -> tuple[npt.NDArray[np.bool_], Floats]:
    """Compare projected joints with annotated ones, by the length of the head (Andriluka et al., CVPR 2014).

    Args:
        pred: (N, J, 2) projected joints, pixels.
        true: (N, J, 3) annotated joints, pixels, and confidence, 0 where there is none.
        head: (N,) lengths of the heads, pixels.
        threshold: largest distance of a correct joint in lengths of the head.

    Returns:
        (N, J) whether a joint is correct, and (N, J) distances in lengths of the head; NaN where there is no
        annotation.
    """
    distance = torch.linalg.vector_norm((pred - true[..., :2]).double(), dim=2) / head[:, None].double()
    distance = torch.where(true[..., 2] > 0, distance, torch.nan)
    return (distance <= threshold).cpu().numpy(), distance.cpu().numpy()


def percentiles(values: npt.ArrayLike) -> dict[str, float]:
    """Return the percentiles of errors per crop, linear between neighbours, by names such as "p90"."""
    return {f"p{rank}": float(np.percentile(np.asarray(values), rank)) for rank in PERCENTILES}
