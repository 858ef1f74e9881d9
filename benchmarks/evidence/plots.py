"""The plot of docs/evidence.md."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from evidence.statistics import estimate
from evidence.tables import Adaptations

SHOWN = ("source-only", "norms", "replay", "a1, norms", "a2, norms", "b1", "b2", "b3", "ours", "labels")


def plot_adaptations(grid: Adaptations, path: Path) -> None:
    """Bars of PA-MPJPE with their intervals, a group per target."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    methods = [name for name in SHOWN if name in grid.methods]
    figure, axes = plt.subplots(figsize=(2.2 + 1.5 * max(len(grid.targets), 2), 4), constrained_layout=True)
    colors = dict(zip(methods, plt.get_cmap("viridis")(np.linspace(0.0, 0.92, max(len(methods), 1))), strict=True))
    bars, width = {}, 0.84 / max(len(methods), 1)
    for place, target in enumerate(grid.targets):
        run = [name for name in methods if grid.of(target, name)]
        for number, method in enumerate(run):
            clips = grid.clips(target, method)
            assert clips is not None
            found = estimate(clips)
            bars[method] = axes.bar(
                place + (number + 0.5 - len(run) / 2) * width,
                found.mean,
                0.92 * width,
                yerr=found.half,
                error_kw={"lw": 0.8, "ecolor": "0.35"},
                color=colors[method],
            )
    axes.set_xticks(range(len(grid.targets)), grid.targets)
    axes.set_ylabel("PA-MPJPE, mm (less is better)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend([bars[name] for name in methods], methods, frameon=False, fontsize=8, ncols=3)
    figure.savefig(path, dpi=130)
    plt.close(figure)
