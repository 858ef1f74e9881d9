from __future__ import annotations

import numpy as np

from adaptation.detectors.people import anchors, merge


def test_anchors_are_centres_of_cells() -> None:
    centres = anchors(224)
    assert centres.shape == (2254, 2)
    np.testing.assert_allclose(centres[:4], [[0.5 / 28] * 2] * 2 + [[1.5 / 28, 0.5 / 28]] * 2, rtol=1e-6)
    np.testing.assert_allclose(centres[-1], [13 / 14, 13 / 14], rtol=1e-6)


def test_anchors_of_one_person_are_merged() -> None:
    points = np.zeros((4, 6, 2), np.float32)
    points[:, 0], points[:, 1] = [[0.3, 0.3], [0.31, 0.3], [0.8, 0.3], [0.5, 0.5]], 0.2
    points[:, 2, 0] = [1, 2, 3, 4]
    scores = np.array([0.6, 0.9, 0.7, 0.4], np.float32)
    (first, sure), (second, less) = merge(points, scores)
    assert (sure, less) == (np.float32(0.9), np.float32(0.7))
    np.testing.assert_allclose(first[2, 0], (0.6 * 1 + 0.9 * 2) / 1.5, rtol=1e-5)
    assert second[2, 0] == 3
    assert merge(points, scores * 0.5) == []
