"""``topo-adapt doctor``: show what is installed and what can be used."""

from __future__ import annotations


def doctor() -> None:
    """Show versions, devices, compiled libraries and body files."""
    from rich.console import Console

    from adaptation.reports.installation import examine

    examine(Console())
