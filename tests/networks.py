"""Networks small enough for tests, and their weights as one vector."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from adaptation.regressors.hmr import Regressor


def tiny_network(seed: int = 0) -> Regressor:
    torch.manual_seed(seed)
    return Regressor((1, 1, 1, 1), width=4, hidden=32)


def weights(network: nn.Module) -> Tensor:
    """All weights and buffers of a network, float64."""
    return flat(network.state_dict())


def saved_weights(folder: Path) -> Tensor:
    """Those of the network in the saved state of a run, float64."""
    return flat(saved(folder)["network"])


def saved(folder: Path) -> dict[str, object]:
    """The saved state of a run."""
    return torch.load(folder / "state.pt", weights_only=True)


def flat(values: Mapping[str, Tensor]) -> Tensor:
    return torch.cat([value.flatten().double() for value in values.values()])
