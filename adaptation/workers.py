"""How a process of a pool begins."""

from __future__ import annotations

import ctypes
import signal

import cv2
import torch

_PR_SET_PDEATHSIG = 1  # linux/prctl.h: a signal when the parent dies


def one_thread() -> None:
    """What a process of a pool begins with: its neighbours use the other cores, and it does not outlive its parent."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
