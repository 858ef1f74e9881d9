"""Progress bars of the programs: one line per stage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars


@dataclass(frozen=True)
class Update:
    """Moves one bar."""

    bars: Bars
    task: TaskID

    def by(self, steps: int) -> None:
        """Advance."""
        self.bars.advance(self.task, steps)

    def to(self, done: int, total: int) -> None:
        """Set what is done of how much."""
        self.bars.update(self.task, completed=done, total=total)


class Progress:
    """Bars on the error stream, so that results can be piped; silent where that is no terminal."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)

    @contextmanager
    def task(self, name: str, total: int | None = None) -> Iterator[Update]:
        """A bar for one stage.

        Args:
            name: what is done.
            total: steps; None until :meth:`Update.to` says.
        """
        bars = Bars(
            TextColumn(f"{name:<18}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        with bars:
            yield Update(bars, bars.add_task(name, total=total))
