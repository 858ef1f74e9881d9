"""Runs the grids and writes what came out; what was done before is not repeated."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from adaptation.arguments import choice
from adaptation.evidence.cells import METHODS, finished, grid, run_cells
from adaptation.evidence.document import write_document
from adaptation.evidence.materials import QUICK, TARGETS, Materials, Scale
from adaptation.training.steps import PRECISIONS


def main(
    work: Annotated[Path, typer.Option("--work", help="Folder for domains, networks and runs, about 4 GB.")],
    targets: Annotated[str, typer.Option("--targets", help="Separated by commas.")] = ",".join(TARGETS),
    methods: Annotated[str, typer.Option("--methods", help="Separated by semicolons.")] = ";".join(METHODS),
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Seeds per cell.")] = 1,
    quick: Annotated[bool, typer.Option("--quick", help="The same on little data, within 20 minutes.")] = False,
    gather: Annotated[bool, typer.Option("--gather", help="Run nothing; write what has run so far.")] = False,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Adaptations side by side, a thread each.")] = 2,
    precision: Annotated[str, typer.Option("--precision", help="float32 or bfloat16.")] = "float32",
    out: Annotated[Path, typer.Option("--out", help="JSON file to write.")] = Path("evidence.json"),
    document: Annotated[Path | None, typer.Option("--document", help="Markdown to write from it.")] = None,
) -> None:
    """Adapt one source regressor to every target with every method, measure on labelled crops, and write tables."""
    chosen = [choice("--targets", name.strip(), TARGETS) for name in targets.split(",")]
    ways = [choice("--methods", name.strip(), tuple(METHODS)) for name in methods.split(";")]
    console = Console()
    kind = choice("--precision", precision, PRECISIONS)
    materials = Materials(work, QUICK if quick else Scale(), kind, jobs)

    def say(text: str) -> None:
        console.print(text, highlight=False)

    cells = grid(chosen, ways, seeds)
    if not gather:
        run_cells(cells, materials, jobs=jobs, say=say)
    rows = finished(cells, materials)
    record = {"machine": machine(), "materials": materials.describe(), "cells": rows}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(record, indent=1) + "\n")
    console.print(f"{out}: {len(rows)} cells")
    if document:
        write_document(out, document)
        console.print(document)


def machine() -> dict[str, str]:
    """Where the figures come from."""
    return {
        "processor": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "torch": version("torch"),
    }


if __name__ == "__main__":
    typer.run(main)
