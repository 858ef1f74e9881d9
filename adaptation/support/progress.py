"""Progress bars of the commands: one line per stage."""

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
    """Handle to one progress bar."""

    bars: Bars
    task: TaskID

    def by(self, steps: int) -> None:
        """Advance the bar by a number of steps."""
        self.bars.advance(self.task, steps)

    def to(self, done: int, total: int) -> None:
        """Set the number of steps done and their total."""
        self.bars.update(self.task, completed=done, total=total)


class Progress:
    """Progress bars on stderr, so that stdout can be piped; no output if stderr is not a terminal."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)

    @contextmanager
    def task(self, name: str, total: int | None = None) -> Iterator[Update]:
        """Show a bar during one stage.

        Args:
            name: Name of the stage.
            total: Number of steps; None if it is unknown until :meth:`Update.to` is called.
        """
        bars = Bars(
            TextColumn(f"{name:<18}"),  # padded, so that the bars of all stages are aligned
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        with bars:
            yield Update(bars, bars.add_task(name, total=total))
