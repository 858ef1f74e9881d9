"""``topo-adapt doctor``: show which versions, devices, renderers and body models can be used."""

from __future__ import annotations


def doctor() -> None:
    """Show versions, devices, renderers and body models."""
    from rich.console import Console

    from adaptation.reports.installation import examine

    examine(Console())
