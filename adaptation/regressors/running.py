"""Running networks: memory layout, precision, and statistics of batch norms."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from adaptation.bodies.views import View
from adaptation.regressors.base import Prediction
from adaptation.regressors.modes import Norm, Precision
from adaptation.support.errors import UserError


def channels_last(network: nn.Module) -> None:
    """Change the memory layout of the weights, in place: convolutions on CPU are then 1.4 times as fast."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing from torch's annotations


def run_in(precision: Precision, network: nn.Module, images: Tensor, *others: Any) -> Any:
    """Return a network's output, with convolutions and matrix products in a precision.

    Args:
        precision: "float32", or "bfloat16", which takes about half the time on processors that support it.
        network: a network with the memory layout of `channels_last`.
        images: (B, 3, S, S) RGB in [0, 1].
        others: further arguments of the network.
    """
    images = images.contiguous(memory_format=torch.channels_last)
    # bfloat16 rather than float16: it has float32's range, so losses need no scaling.
    with torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        return network(images, *others)


def predict_in(precision: Precision, network: nn.Module, images: Tensor, view: View | None = None) -> Prediction:
    """Return the prediction of a `MeshNetwork`.

    Args:
        precision: as for `run_in`.
        network: as for `run_in`.
        images: (B, 3, S, S) RGB in [0, 1].
        view: the crops in their frames; None takes each for a whole frame.

    Raises:
        UserError: it returns something else.
    """
    view = View.whole(len(images), images.shape[-1], images.device) if view is None else view
    prediction = run_in(precision, network, images, view)
    if not isinstance(prediction, Prediction):
        raise UserError(
            f"the network returns a {type(prediction).__name__}, expected a Prediction; "
            "adaptation.regressors.base.wrap makes one (docs/your_model.md)"
        )
    return prediction


def set_norm(network: nn.Module, norm: Norm, *, keep: bool) -> None:
    """Switch batch norms to the statistics of each batch if ``norm`` is "target".

    Args:
        network: changed in place.
        norm: "target"; "frozen" changes nothing.
        keep: whether the running statistics, which evaluation uses, follow the batches.
    """
    if norm == "target":
        # Norms alone: other layers, such as dropout, stay in evaluation mode.
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.train()
                # A momentum of 0 leaves the running statistics unchanged.
                module.momentum = 0.1 if keep else 0.0
