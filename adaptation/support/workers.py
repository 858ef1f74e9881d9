"""Parallel processes with one thread each."""

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

_PR_SET_PDEATHSIG = 1  # linux/prctl.h: signal to receive when the parent dies


def one_thread() -> None:
    """Initialise a process of a pool: it uses one thread, and it ends when its parent does."""
    # The other processes use the other cores.
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    # A parent that is killed cannot end its children.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def side_by_side(function: Callable[[Job], Result], jobs: Sequence[Job], count: int) -> Iterator[Result]:
    """Yield the results of a function for all jobs, in order, computed by parallel processes.

    An error or Ctrl-C ends the processes immediately and without output from them.

    Args:
        function: Picklable function of one job.
        jobs: Picklable arguments.
        count: Number of processes.
    """
    # Spawned, not forked: a forked child inherits locks held by threads that do not exist in it.
    pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), initializer=one_thread)
    # A terminal sends Ctrl-C to every process. Signals that are blocked while the processes start stay blocked in them,
    # so only this process handles it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    futures = [pool.submit(function, job) for job in jobs]
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    try:
        for future in futures:
            yield future.result()
    except BaseException:
        # Ending the pool alone would wait for all jobs that have been submitted.
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown()
