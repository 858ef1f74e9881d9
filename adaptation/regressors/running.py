"""Running networks: memory layout, precision, and statistics of batch norms."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from adaptation.bodies.views import View
from adaptation.data.samples import Samples
from adaptation.regressors.base import Prediction, uses_view
from adaptation.regressors.modes import Norm, Precision
from adaptation.support.errors import UserError
from adaptation.support.reading.findings import found


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


def state_guess(size: tuple[int, int]) -> None:
    """State the focal length that is guessed for frames of a width and a height, pixels."""
    field = math.degrees(2 * math.atan(size[1] / 2 / math.hypot(*size)))
    found(
        f"camera: nothing says the focal length, which this network uses; assumed: {math.hypot(*size):.0f} pixels, the "
        f"frame's diagonal (a vertical field of view of {field:.0f} degrees); give --focal, --fov or --calibration"
    )


def state_view(network: nn.Module, samples: Samples) -> None:
    """State what a network that uses the view of its crops has to guess about a crop set."""
    if not uses_view(network):
        return
    if samples.box is None or samples.frame_size is None:
        found("crops: nothing says where they lie in their frames, which this network uses; each is taken for a frame")
    elif samples.intrinsics is None:
        found("crops: nothing says the focal length, which this network uses; assumed: the diagonal of their frames")


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
