"""Devices to compute on, by name."""

from __future__ import annotations

import re

import cv2
import torch

from adaptation.support.errors import UserError


def usable_device(name: str) -> torch.device:
    """Return the device of a name, after checking that tensors can be allocated on it.

    Args:
        name: "cpu", "cuda" or "cuda:N".

    Raises:
        UserError: The name has another form, or this computer has no such device.
    """
    if re.fullmatch(r"cpu|cuda(:\d+)?", name) is None:
        raise UserError(f"device must be cpu, cuda or cuda:N, got {name!r}")
    # An allocation is the only reliable check: a CUDA device may be listed but unusable.
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # a build of torch without CUDA asserts
        raise UserError(f"device {name!r} cannot be used: {str(error).splitlines()[0]}") from None


def use_threads(count: int | None) -> None:
    """Limit the CPU threads of torch and OpenCV; None leaves them as they are."""
    if count:
        torch.set_num_threads(count)
        cv2.setNumThreads(count)
