"""Colours and fonts of the pictures in the documents."""

from __future__ import annotations

INK, PAPER, BLUE, RED = "#1f2733", "#ffffff", "#2b6cb0", "#d9480f"
GREY, LIGHT = "#c3cad4", "#e9edf2"
STYLE = {
    # It comes with Matplotlib, so pictures look the same on every machine.
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.titlesize": 10,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
}
