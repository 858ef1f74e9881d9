"""Stops a training after some steps, as if the machine went down."""

from __future__ import annotations

from collections.abc import Callable


class Stop(Exception):
    """Stands for the machine going down between two steps."""


def stop_after(steps: int) -> Callable[[int], None]:
    """A progress report that raises `Stop` once so many steps are done."""
    done = 0

    def progress(count: int) -> None:
        nonlocal done
        done += count
        if done >= steps:
            raise Stop

    return progress
