"""Turns the JSON of the grids into docs/evidence.md and its plot. Every number in them is read from the JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from adaptation.evidence.cells import METHODS
from adaptation.evidence.materials import TARGETS
from adaptation.training.evaluate import PROTOCOL

Record = dict[str, Any]
Row = dict[str, Any]

# PA-MPJPE and MPJPE that the paper's adaptation removes, in percent, where it gives them.
PAPER = {"style": (29.0, None), "lr-32": (10.5, 25.0), "uap-16": (13.0, 23.0)}


def write_document(record_path: Path, path: Path) -> None:
    """Write the Markdown file, and its plot as ``evidence.png`` in the folder ``pictures`` beside it."""
    record: Record = json.loads(record_path.read_text())
    picture = path.parent / "pictures" / "evidence.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    run = {row["target"] for row in record["cells"]}
    targets = [name for name in TARGETS if name in run]
    plot(record, targets, picture)
    parts = [
        "# Does silhouette topology recover pose?",
        _answer(record, targets),
        f"![PA-MPJPE by method and target](pictures/{picture.name})",
        _protocol(record),
        *(_table(record, target) for target in targets),
        _methods(record),
    ]
    path.write_text("\n\n".join(part for part in parts if part) + "\n")


def rows_of(record: Record, target: str, method: str) -> list[Row]:
    """The seeds of a cell."""
    return [row for row in record["cells"] if row["target"] == target and row["method"] == method]


def mean_of(record: Record, target: str, method: str, measure: str) -> float | None:
    """Mean over seeds; None where the cell was not run."""
    rows = rows_of(record, target, method)
    return _mean(rows, measure) if rows else None


def _mean(rows: list[Row], measure: str, part: str = "mean") -> float:
    return float(np.mean([row[measure][part] for row in rows]))


def _answer(record: Record, targets: list[str]) -> str:
    changes, gaps = [], []
    for target in targets:
        before, after = (mean_of(record, target, method, "pa_mpjpe") for method in ("source-only", "ours"))
        ceiling = mean_of(record, target, "labels", "pa_mpjpe")
        if before is None or after is None:
            continue
        changes.append(f"{100 * (after - before) / before:+.0f} % on `{target}` ({before:.0f} to {after:.0f} mm)")
        if ceiling is not None and ceiling < before:
            gaps.append(f"{100 * (before - after) / (before - ceiling):.0f} % on `{target}`")
    best = [
        f"`{min(scores, key=lambda name: scores[name])}` on `{target}`"
        for target in targets
        if (scores := _losses(record, target))
    ]
    sentences = [
        f"Adapting a regressor from silhouettes alone, with L_S and L_T, changes its PA-MPJPE by {', '.join(changes)}.",
        f"Of what full supervision on the same crops would gain, that is {', '.join(gaps)}." if gaps else "",
        f"The silhouette loss with the lowest error is {', '.join(best)}." if best else "",
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _losses(record: Record, target: str) -> dict[str, float]:
    means = {name: mean_of(record, target, name, "pa_mpjpe") for name in ("b1", "b2", "b3", "ours")}
    return {name: value for name, value in means.items() if value is not None}


def _protocol(record: Record) -> str:
    scale, machine = record["materials"], record["machine"]
    commits = ", ".join(sorted({row["commit"] for row in record["cells"]}))
    seeds = len({row["seed"] for row in record["cells"]})
    return (
        f"One source regressor, trained for {scale['pretrain_steps']} steps on {scale['train']} labelled crops of the "
        f"source, is adapted to {scale['adapt']} crops of each target with masks from background subtraction, "
        "found in the frames before a shift degrades them, and "
        f"measured on {scale['test']} others, of other people in other places. Seeds per cell: {seeds}. "
        f"Behind ±: half of a 95 % interval over the clips of the test set, not over seeds. {PROTOCOL}.\n\n"
        f"Measured at commit {commits}, Python {machine['python']}, torch {machine['torch']}, "
        f"{scale['precision']}. Any row again: "
        f"`python -m adaptation.evidence --work DIR --precision {scale['precision']} --targets TARGET "
        "--methods 'METHOD'`."
    )


def _table(record: Record, target: str) -> str:
    before = {m: mean_of(record, target, "source-only", m) for m in ("mpjpe", "pa_mpjpe")}
    ceiling = mean_of(record, target, "labels", "pa_mpjpe")
    lines = [
        f"## {target}",
        "",
        "| method | PA-MPJPE mm | change | of the gap | MPJPE mm | change | IoU | minutes |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for method in METHODS:
        rows = rows_of(record, target, method)
        if not rows:
            continue
        pa, mp, iou = (_mean(rows, measure) for measure in ("pa_mpjpe", "mpjpe", "iou"))
        half = _mean(rows, "pa_mpjpe", "half_interval")
        spread = f" (seeds {np.std([row['pa_mpjpe']['mean'] for row in rows], ddof=1):.1f})" if len(rows) > 1 else ""
        first, first_mp = before["pa_mpjpe"], before["mpjpe"]
        changes = ["", ""]
        if first and first_mp and method != "source-only":
            changes = [f"{100 * (pa - first) / first:+.1f} %", f"{100 * (mp - first_mp) / first_mp:+.1f} %"]
        gap = ""
        if first and ceiling and ceiling < first and method != "source-only":
            gap = f"{100 * (first - pa) / (first - ceiling):.0f} %"
        minutes = np.mean([row["seconds"] for row in rows]) / 60
        lines.append(
            f"| {method} | {pa:.1f} ± {half:.1f}{spread} | {changes[0]} | {gap} | {mp:.1f} | {changes[1]} "
            f"| {iou:.3f} | {minutes:.1f} |"
        )
    if target in PAPER:
        pa_gain, mp_gain = PAPER[target]
        other = f" and of MPJPE {mp_gain:g} %" if mp_gain else ""
        lines += ["", f"The paper's reduction on its own data, for this kind of shift: PA-MPJPE {pa_gain:g} %{other}."]
    return "\n".join(lines)


def _methods(record: Record) -> str:
    run = {row["method"] for row in record["cells"]}
    return "\n".join(["## Methods", "", *(f"- **{name}**: {text}." for name, text in METHODS.items() if name in run)])


def plot(record: Record, targets: list[str], path: Path) -> None:
    """Bars of PA-MPJPE, a group per target."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    run = {row["method"] for row in record["cells"]}
    methods = [name for name in METHODS if name in run]
    figure, axes = plt.subplots(figsize=(1.2 + 2.4 * len(targets), 4), constrained_layout=True)
    colors = plt.get_cmap("viridis")(np.linspace(0.0, 0.92, len(methods)))
    width = 0.84 / len(methods)
    named: set[str] = set()
    for number, method in enumerate(methods):
        for place, target in enumerate(targets):
            rows = rows_of(record, target, method)
            if rows:
                axes.bar(
                    place - 0.42 + (number + 0.5) * width,
                    _mean(rows, "pa_mpjpe"),
                    0.92 * width,
                    yerr=_mean(rows, "pa_mpjpe", "half_interval"),
                    error_kw={"lw": 0.8, "ecolor": "0.35"},
                    color=colors[number],
                    label=None if method in named else method,
                )
                named.add(method)
    axes.set_xticks(range(len(targets)), targets)
    axes.set_ylabel("PA-MPJPE, mm (less is better)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, ncols=2)
    figure.savefig(path, dpi=130)
    plt.close(figure)
