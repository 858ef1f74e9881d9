"""Write the performance table of docs/operators.md from benchmarks/results: python tools/fill_tables.py.

With --check it writes nothing and fails where the document is out of date.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "operators.md"
BEGIN, END = "<!-- begin: performance -->", "<!-- end -->"
# Also the order of the tables in the document.
OPERATORS = ("s2d", "d2t", "skeleton", "chamfer", "mask_chamfer", "topology_loss")

FIGURES = ("inward", "outward")  # kinds of masks; the results have others too

Row = dict[str, Any]


def performance(results: Path) -> str:
    """Tables of all results, per machine: our time per image, and how many times longer each baseline takes."""
    parts, devices = [], set()
    # By folder first: each holds the results of one machine.
    for path in sorted(results.rglob("*.json"), key=lambda path: (path.parent, rank(path.stem), path.stem)):
        content = json.loads(path.read_text())
        rows = [row for row in content.get("rows", []) if row.get("masks", "inward") in FIGURES]
        if path.stem not in OPERATORS or not rows:
            continue
        meta, size_of = content["meta"], lambda row: row["shape"][-1]
        devices.add(rows[0]["device"])
        parts.append(
            f"**{path.stem}** on {meta['gpu'] or meta['cpu']}, {meta['threads']} CPU thread(s), torch {meta['torch']}, "
            f"commit {meta['commit'][:10]}, `{meta['command']}`"
        )
        sizes = sorted({size_of(row) for row in rows})
        parts.append("\n".join(table(rows, sizes)))
    if "cuda" not in devices:
        parts.append("GPU: not measured.")
    return "\n\n".join(parts)


def rank(name: str) -> int:
    """Of a result file in the order of the document."""
    return OPERATORS.index(name) if name in OPERATORS else len(OPERATORS)


def table(rows: list[Row], sizes: list[int]) -> list[str]:
    """Markdown lines: one image, and the largest batch of every size."""
    lines = ["| | " + " | ".join(f"{size} px" for size in sizes) + " |", "|---|" + "---:|" * len(sizes)]
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        # Older files lack some of these fields.
        groups[tuple(row.get(key, "") for key in ("op", "pass", "masks", "clock", "threads"))].append(row)
    for (op, direction, masks, clock, threads), members in groups.items():
        title = ", ".join(filter(None, [op, direction, masks, "kernel time" if clock == "kernel" else ""]))
        title += f", {threads} threads" if threads not in ("", 1) else ""
        # The largest batch differs between sizes, since memory limits the number of pixels.
        largest = {size: max((n for n in batches(members, size) if n > 1), default=0) for size in sizes}
        lines += block(f"**{title}**, one image", members, dict.fromkeys(sizes, 1))
        lines += block(f"**{title}**, an image of (n)", members, largest)
    return lines


def block(title: str, rows: list[Row], batch: dict[int, int]) -> list[str]:
    """Our time per image, then one line per baseline, at one batch for every size."""
    chosen = {size: [row for row in rows if shape(row) == (count, size)] for size, count in batch.items()}
    times = []
    for size, found in chosen.items():
        count = f" ({batch[size]})" if batch[size] > 1 else ""
        times.append(f"{figure(found[0]['time_us'] / batch[size])} us{count}" if found else "")
    if not any(times):
        return []
    lines = [f"| {title} | " + " | ".join(times) + " |"]
    for baseline in dict.fromkeys(row["baseline"] for row in rows):
        ratios = [
            next((f"{figure(row['ratio'])}x" for row in found if row["baseline"] == baseline), "")
            for found in chosen.values()
        ]
        if any(ratios):
            lines.append(f"| {baseline} | " + " | ".join(ratios) + " |")
    return lines


def shape(row: Row) -> tuple[int, int]:
    """Batch and size."""
    return row["shape"][0], row["shape"][-1]


def batches(rows: list[Row], size: int) -> list[int]:
    """The batches measured at a size."""
    return [row["shape"][0] for row in rows if row["shape"][-1] == size]


def figure(value: float) -> str:
    """Three figures, no more carry meaning."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def filled(document: str, results: Path) -> str:
    """The document with its table made anew."""
    # Fails unless the mark occurs exactly once.
    before, rest = document.split(BEGIN)
    _, after = rest.split(END, 1)
    return f"{before}{BEGIN}\n\n{performance(results)}\n\n{END}{after}"


def main() -> None:
    """Fill or check the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    old = DOCUMENT.read_text()
    new = filled(old, args.results)
    if args.check and new != old:
        sys.exit(f"{DOCUMENT.relative_to(ROOT)} is out of date: run python tools/fill_tables.py")
    # An unchanged document keeps its time stamp.
    if new != old:
        DOCUMENT.write_text(new)


if __name__ == "__main__":
    main()
