"""Processes that work side by side, a thread each."""

from __future__ import annotations

import ctypes
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

import cv2
import torch

Job = TypeVar("Job")
Result = TypeVar("Result")

_PR_SET_PDEATHSIG = 1  # linux/prctl.h: a signal when the parent dies


def one_thread() -> None:
    """What a process of a pool begins with: its neighbours use the other cores, and it does not outlive its parent."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def side_by_side(function: Callable[[Job], Result], jobs: Sequence[Job], count: int) -> Iterator[Result]:
    """What a function gives for each job, in their order, from so many processes.

    An error or Ctrl-C ends them at once, without a word from them.
    """
    # Not forked: a child would inherit the locks of threads that it does not have.
    pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), initializer=one_thread)
    # What is blocked while they start stays blocked in them: a terminal sends Ctrl-C to every process.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    futures = [pool.submit(function, job) for job in jobs]
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    try:
        for future in futures:
            yield future.result()
    except BaseException:
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown()
