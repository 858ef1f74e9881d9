"""Plots of result files: time per image over size, one line per implementation, quartiles shaded.

    python benchmarks/plots.py benchmarks/results

draws a PNG next to each JSON file in the folder that has rows to plot, and one per operator of a `gpu_suite.json`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

COLOURS = ("#0b6e4f", "#c1440e", "#3565a8", "#8a4fa3", "#b58900", "#4c8c8a", "#999999", "#d1719f", "#5c4033")


def load(folder: Path) -> dict[str, dict]:
    """Results that have rows to plot, by name, from the files of single benchmarks and of whole suites."""
    found: dict[str, dict] = {}
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_text())
        suite = content.get("results")
        found |= {path.stem: content} if suite is None else {f"{path.stem}_{name}": suite[name] for name in suite}
    return {name: result for name, result in found.items() if any("clock" in row for row in result.get("rows", []))}


def panels(rows: list[dict]) -> dict[tuple[str, str, str], list[dict]]:
    """Rows with several sizes by operator, pass and kind of mask, each at the batch size that has the most rows."""
    groups: dict[tuple[str, str, str], list[dict]] = {}
    for row in rows:
        if row["clock"] == "wall" and "thread" not in row["baseline"] and row["masks"]:
            groups.setdefault((row["op"], row["pass"], row["masks"]), []).append(row)
    for key, group in groups.items():
        counts = [row["shape"][0] for row in group]
        fullest = max(counts, key=lambda count: (counts.count(count), count))
        groups[key] = [row for row in group if row["shape"][0] == fullest]
    return {key: group for key, group in groups.items() if len({row["shape"][-1] for row in group}) > 1}


def lines(rows: list[dict]) -> dict[str, list[tuple[int, float, float, float]]]:
    """Points of each implementation: size, and the median and quartiles of the microseconds per image."""
    found: dict[str, list[tuple[int, float, float, float]]] = {}
    # Ours was timed once against each baseline; the median of these measurements is drawn.
    for size in sorted({row["shape"][-1] for row in rows}):
        here = sorted((row for row in rows if row["shape"][-1] == size), key=lambda row: row["time_us"])
        for name, kind, row in [("topokernels", "time", here[len(here) // 2])] + [
            (row["baseline"], "baseline", row) for row in here
        ]:
            times = (row[f"{kind}_{quartile}us"] / row["shape"][0] for quartile in ("", "low_", "high_"))
            found.setdefault(name, []).append((size, *times))
    return found


def layout(keys: list[tuple[str, str, str]]) -> list[list[tuple[str, str, str]]]:
    """The grid of panels: a row per operator, or per operator and pass if there are more than two kinds of masks."""
    ops, passes, kinds = (list(dict.fromkeys(parts)) for parts in zip(*keys, strict=True))
    if len(kinds) > 2:
        return [[(op, direction, kind) for kind in kinds] for op in ops for direction in passes]
    return [[(op, direction, kind) for direction in passes for kind in kinds] for op in ops]


def plot(result: dict, path: Path) -> None:
    """Draw the rows of one result as a PNG, or print a line if matplotlib is not installed."""
    try:
        import matplotlib
    except ImportError:
        print("no plot: matplotlib is not installed (python benchmarks/plots.py DIR draws them later)")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import NullFormatter, ScalarFormatter

    groups = panels(result["rows"])
    if not groups:
        return
    grid = layout(list(groups))
    height, width = len(grid), len(grid[0])
    figure, axes = plt.subplots(
        height, width, figsize=(3.6 * width + 1.8, 2.9 * height + 0.6), squeeze=False, sharex=True
    )
    first = ("topokernels", "stacked conv")  # these two have the same colours in every plot
    names = list(dict.fromkeys([*first, *(name for group in groups.values() for name in lines(group))]))
    colours = dict(zip(names, COLOURS * 3, strict=False))
    sizes = sorted({row["shape"][-1] for group in groups.values() for row in group})
    for axis, key in zip(axes.flat, (key for row in grid for key in row), strict=True):
        group = groups.get(key)
        if group is None:
            axis.axis("off")
            continue
        for name, points in lines(group).items():
            size, middle, low, high = zip(*points, strict=True)
            ours = name == "topokernels"
            axis.plot(size, middle, "o-", ms=3, lw=2.2 if ours else 1.3, color=colours[name], zorder=3 if ours else 2)
            axis.fill_between(size, low, high, color=colours[name], alpha=0.25, lw=0)
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.set_xticks(sizes)
        axis.xaxis.set_major_formatter(ScalarFormatter())
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.tick_params(which="both", labelsize=8, labelbottom=True)
        axis.grid(True, which="major", color="#dddddd", lw=0.6)
        axis.set_title(f"{', '.join(key)}, batch {group[0]['shape'][0]}", fontsize=8.5)
        if key in [row[0] for row in grid]:
            axis.set_ylabel("microseconds per image", fontsize=8.5)
        if key in grid[-1]:
            axis.set_xlabel("size, px", fontsize=8.5)
    handles = [plt.Line2D([], [], color=colours[name], lw=2, label=name) for name in names]
    figure.legend(handles=handles, loc="center right", fontsize=8.5, frameon=False)
    meta = result["meta"]
    machine = meta["gpu"] or f"{meta['cpu']}, {meta['threads']} thread(s)"
    figure.suptitle(f"{machine}, torch {meta['torch']}, commit {meta['commit'][:10]}", fontsize=9)
    figure.tight_layout(rect=(0, 0, 1 - 1.9 / figure.get_figwidth(), 0.99))
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    for name, result in load(folder).items():
        plot(result, folder / f"{name}.png")


if __name__ == "__main__":
    main()
