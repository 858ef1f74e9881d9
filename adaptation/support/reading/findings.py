"""What readers found in files, where it is unusual: a guess that nobody sees cannot be corrected.

Readers call `found` with one line. The command line prints these lines, and reports list them. A program that imports
this package gets them from the logger ``adaptation.found``, level INFO.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from adaptation.support.errors import one_line

_LOGGER = logging.getLogger("adaptation.found")


def found(text: str) -> None:
    """State in one line what was found in an input and how it is understood.

    Args:
        text: the line, such as "masks: palette PNG with indices 0, 1, 2; each but 0 is a person".
    """
    _LOGGER.info("%s", one_line(text))  # names of files may hold anything


@contextmanager
def kept_findings() -> Iterator[list[str]]:
    """Collect the findings of a block, each line once, in the order of their first appearance."""
    with _handled(_Keeper()) as keeper:
        yield keeper.lines


@contextmanager
def findings_of_success() -> Iterator[None]:
    """Hold the findings of a block back until it ends without an error: an input that is refused gets one line."""
    held: list[logging.LogRecord] = []

    def hold(record: logging.LogRecord) -> bool:
        held.append(record)
        return False

    _LOGGER.addFilter(hold)
    try:
        yield
    finally:
        _LOGGER.removeFilter(hold)
    for record in held:
        _LOGGER.handle(record)


@contextmanager
def printed_findings(console: Console) -> Iterator[None]:
    """Print the findings of a block as they appear, each line once."""
    with _handled(_Printer(console)):
        yield


class _Keeper(logging.Handler):
    """Keeps the text of each different record."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        # Some readers run once per frame or file, and find the same each time.
        if (line := record.getMessage()) not in self.lines:
            self.lines.append(line)
            self.seen(line)

    def seen(self, line: str) -> None:
        """React to a line that is seen for the first time."""


class _Printer(_Keeper):
    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console = console

    def seen(self, line: str) -> None:
        """Print the line."""
        self.console.print(f"found: {line}", style="cyan", markup=False, highlight=False, soft_wrap=True)


@contextmanager
def _handled(handler: _Keeper) -> Iterator[_Keeper]:
    """Attach a handler to the logger of findings for the duration of a block."""
    level = _LOGGER.level
    _LOGGER.setLevel(logging.INFO)
    _LOGGER.addHandler(handler)
    try:
        yield handler
    finally:
        _LOGGER.removeHandler(handler)
        _LOGGER.setLevel(level)
