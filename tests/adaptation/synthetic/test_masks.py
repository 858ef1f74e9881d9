from __future__ import annotations

import numpy as np

from adaptation.synthetic.masks import degraded


def test_degraded_masks() -> None:
    mask = np.zeros((96, 96), bool)
    mask[20:80, 35:60] = True
    ious = []
    for seed in range(50):
        worse = degraded(mask, np.random.default_rng(seed))
        assert worse.shape == mask.shape and worse.any()
        ious.append((worse & mask).sum() / (worse | mask).sum())
    assert 0.6 < np.mean(ious) < 0.98
    dot = np.zeros((96, 96), bool)
    dot[50, 50] = True
    assert all(degraded(dot, np.random.default_rng(seed)).any() for seed in range(50))
