"""The bar chart of docs/evidence.md."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from evidence.methods import A1_NORMS, A2_NORMS, B1, B2, B3, LABELS, NORMS, OURS, REPLAY, SOURCE_ONLY
from evidence.statistics import estimate
from evidence.tables import Adaptations

SHOWN = (SOURCE_ONLY, NORMS, REPLAY, A1_NORMS, A2_NORMS, B1, B2, B3, OURS, LABELS)


def plot_adaptations(grid: Adaptations, path: Path) -> None:
    """Draw bars of PA-MPJPE with their 95 % intervals, one group per target.

    Args:
        grid: results.
        path: PNG file to write.
    """
    import matplotlib

    # The grids run on machines without a display.
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    methods = [method for method in SHOWN if method in grid.methods]
    figure, axes = plt.subplots(figsize=(2.2 + 1.5 * max(len(grid.targets), 2), 4), constrained_layout=True)
    # Not to the end of the map, whose yellow is hard to see on white.
    shades = plt.get_cmap("viridis")(np.linspace(0.0, 0.92, max(len(methods), 1)))
    colors = dict(zip(methods, shades, strict=True))
    bars, width = {}, 0.84 / max(len(methods), 1)
    for place, target in enumerate(grid.targets):
        run = [method for method in methods if grid.of(target, method)]
        for number, method in enumerate(run):
            clips = grid.clips(target, method)
            assert clips is not None
            found = estimate(clips)
            bars[method] = axes.bar(
                # Centred on the bars that were run: targets have different numbers of methods.
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
    names = [method.name for method in methods]
    axes.legend([bars[method] for method in methods], names, frameon=False, fontsize=8, ncols=3)
    figure.savefig(path, dpi=130)
    plt.close(figure)
