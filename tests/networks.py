"""Networks small enough for tests."""

from __future__ import annotations

import torch

from adaptation.regressors.hmr import Regressor


def tiny_network(seed: int = 0) -> Regressor:
    torch.manual_seed(seed)
    return Regressor((1, 1, 1, 1), width=4, hidden=32)
