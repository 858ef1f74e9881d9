"""How networks are run: memory layout, precision, statistics of batch norms."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from adaptation.regressors.base import Prediction
from adaptation.regressors.modes import Norm, Precision


def channels_last(network: nn.Module) -> None:
    """Lay the weights out, in place, as convolutions on CPU want them: 1.4 times as fast as the default."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def run_in(precision: Precision, network: nn.Module, images: Tensor) -> Any:
    """What a network gives, with convolutions and matrix products in a precision.

    Args:
        precision: bfloat16 takes about half the time on processors that have it.
        network: laid out by `channels_last`.
        images: (B, 3, S, S).
    """
    images = images.contiguous(memory_format=torch.channels_last)
    with torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        return network(images)


def predict_in(precision: Precision, network: nn.Module, images: Tensor) -> Prediction:
    """The prediction of a `MeshNetwork`; arguments as for `run_in`."""
    prediction: Prediction = run_in(precision, network, images)
    return prediction


def set_norm(network: nn.Module, norm: Norm, *, keep: bool) -> None:
    """Let batch norms use a batch's own statistics ("target"), and keep them for later or not."""
    if norm == "target":
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.train()
                module.momentum = 0.1 if keep else 0.0
