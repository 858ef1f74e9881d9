"""PCK, AUC, PCKh and percentiles, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from adaptation.evaluation.joint_errors import AUC_AT, JointErrors, auc, pck, pckh, percentiles


def test_roots_are_aligned() -> None:
    true = torch.randn(1, 5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    pred = true + torch.tensor([1.0, 2, 3])
    pred[0, 2, 0] += 0.03
    errors = JointErrors.of(pred, true, torch.tensor([[1.0, 2, 3]]), torch.zeros(1, 3))
    np.testing.assert_allclose(errors.rooted, [[0, 0, 30, 0, 0]], atol=1e-9)
    # A root that is off by 10 mm moves every joint.
    errors = JointErrors.of(true, true, torch.tensor([[0.0, 0.01, 0]]), torch.zeros(1, 3))
    np.testing.assert_allclose(errors.rooted, np.full((1, 5), 10), atol=1e-6)
    np.testing.assert_allclose(errors.aligned, np.zeros((1, 5)), atol=1e-6)


def test_pck_counts_errors_below_the_threshold() -> None:
    errors = np.array([[0, 149.999, 150, 151], [10, 20, 30, 400]])
    assert pck(errors) == pytest.approx(100 * 5 / 8)
    assert pck(errors, 15) == pytest.approx(100 * 2 / 8)


def test_auc_is_the_mean_over_31_thresholds() -> None:
    assert len(AUC_AT) == 31 and AUC_AT[0] == 0 and AUC_AT[-1] == 150
    # No error is below 0: the best AUC is 30 of 31.
    assert auc(np.zeros(4)) == pytest.approx(100 * 30 / 31)
    assert auc(np.array([150.0])) == 0
    # 72 mm is below 75, 80, ..., 150: 16 thresholds; 75 mm is below 15 of them.
    assert auc(np.array([72.0])) == pytest.approx(100 * 16 / 31)
    assert auc(np.array([72.0, 75.0])) == pytest.approx(100 * (16 + 15) / 2 / 31)


def test_pckh() -> None:
    true = torch.tensor([[[10.0, 10, 1], [20, 20, 0.5], [30, 30, 0]]])
    pred = torch.tensor([[[13.0, 14, 0], [20, 25.1, 0], [30, 30, 0]]])[..., :2]
    correct, distance = pckh(pred, true, torch.tensor([10.0]))
    # Distances of 5 and 5.1 pixels are 0.5 and 0.51 heads; the third joint is not annotated.
    assert correct.tolist() == [[True, False, False]]
    np.testing.assert_allclose(distance, [[0.5, 0.51, np.nan]], rtol=1e-5)


def test_percentiles() -> None:
    assert percentiles(np.arange(101)) == {"p50": 50, "p75": 75, "p90": 90, "p95": 95, "p99": 99}
    assert percentiles([1.0, 2.0])["p75"] == 1.75
