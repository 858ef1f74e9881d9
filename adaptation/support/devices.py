"""Where to compute, by name."""

from __future__ import annotations

import re

import cv2
import torch

from adaptation.support.errors import UserError


def usable_device(name: str) -> torch.device:
    """A device that can be computed on.

    Raises:
        UserError: the name is none of a device, or there is no such device here.
    """
    if re.fullmatch(r"cpu|cuda(:\d+)?", name) is None:
        raise UserError(f"device must be cpu, cuda or cuda:N, got {name!r}")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device {name!r} cannot be used: {str(error).splitlines()[0]}") from None


def use_threads(count: int | None) -> None:
    """Limit the CPU threads of torch and OpenCV; None leaves them as they are."""
    if count:
        torch.set_num_threads(count)
        cv2.setNumThreads(count)
