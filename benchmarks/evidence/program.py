"""Runs the grids and writes what came out; what was done before is not repeated."""

from __future__ import annotations

import json
import platform
import shutil
from fnmatch import fnmatchcase
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console

from adaptation.regressors.modes import PRECISIONS
from adaptation.support.arguments import Device, choice
from adaptation.support.devices import usable_device
from adaptation.support.errors import UserError
from evidence.cells import adaptation_grid, run_adaptations
from evidence.document import write_document
from evidence.failures import failure_grid, run_failures
from evidence.fits import fit_grid, run_fits
from evidence.known import load_record, take_over
from evidence.materials import FULL, QUICK, Materials, Scale
from evidence.recording import run_recording


def main(
    work: Annotated[Path, typer.Option("--work", help="Folder for domains, networks and runs, about 4 GB.")],
    only: Annotated[
        str, typer.Option("--only", help="Cells to run, as 'adapt/style/*', 'adapt/*/ours/0' or 'fit/medium/b?'.")
    ] = "*",
    known: Annotated[
        Path | None,
        typer.Option(
            "--known",
            help="Earlier JSON file: what today's settings would give again is not run again.",
        ),
    ] = None,
    video: Annotated[Path | None, typer.Option("--video", help="Of a static camera: adapt to it, too.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="The same on little data, within 20 minutes.")] = False,
    gather: Annotated[bool, typer.Option("--gather", help="Run nothing; write what has run so far.")] = False,
    preset: Annotated[
        str, typer.Option("--preset", help="small: the network that ships; paper: ResNet-50 at 224 pixels, for a GPU.")
    ] = "small",
    device: Device = "cpu",
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Cells side by side, a thread each.")] = 2,
    precision: Annotated[str, typer.Option("--precision", help="Of networks: float32 or bfloat16.")] = "float32",
    out: Annotated[Path, typer.Option("--out", help="JSON file to write.")] = Path("evidence.json"),
    document: Annotated[Path | None, typer.Option("--document", help="Markdown to write from it.")] = None,
) -> None:
    """Adapt one source regressor to every target with every method, fit bodies without one, and write tables."""
    console = Console()
    try:
        kind = choice("--precision", precision, PRECISIONS)
        usable_device(device)
        full = choice("--preset", preset, ("small", "paper")) == "paper"
        for option, given in (("--quick", quick), ("--video", video)):
            if given and full:
                raise UserError(f"{option} is of the preset small")
        materials = Materials(work, QUICK if quick else FULL if full else Scale(), kind, jobs, device)
        adaptations, fits, failures = adaptation_grid(quick=quick), fit_grid(), failure_grid()
        before = load_record(known) if known else None
        if before:
            console.print(f"{known}: took over {take_over(before, adaptations, fits, materials)} cells")
        if not gather:
            chosen = {cell.name for cell in [*adaptations, *fits, *failures] if fnmatchcase(cell.name, only)}
            if not chosen:
                raise UserError(f"--only: no cell is named like {only!r}; names are like adapt/style/ours/0")

            def say(text: str) -> None:
                console.print(text, highlight=False, markup=False)

            run_adaptations([cell for cell in adaptations if cell.name in chosen], materials, jobs=jobs, say=say)
            run_fits([cell for cell in fits if cell.name in chosen], materials, jobs=jobs, say=say)
            run_failures([cell for cell in failures if cell.name in chosen], materials, say)
            if video:
                run_recording(video, materials, say)
        record: dict[str, Any] = {
            "machine": machine(device),
            "materials": materials.describe(),
            "adaptations": [materials.result(cell.name) for cell in adaptations if materials.has_run(cell.name)],
            "detector": materials.detector_quality(),
            "fits": [materials.result(cell.name) for cell in fits if materials.has_run(cell.name)],
            "failures": [materials.result(cell.name) for cell in failures if materials.has_run(cell.name)],
            "recordings": materials.results("recording"),
        }
        if before:
            record["detector"] = {**before["detector"], **record["detector"]}
            record["recordings"] = record["recordings"] or before["recordings"]
        if not any(record[part] for part in ("adaptations", "fits", "recordings")):
            raise UserError(f"{work}: nothing has run yet")
    except UserError as error:
        console.print(f"error: {error}", style="red", highlight=False, markup=False)
        raise typer.Exit(2) from None
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(dumps(record))
    done = ", ".join(f"{len(rows)} {part}" for part, rows in record.items() if isinstance(rows, list))
    console.print(f"{out}: {done}")
    if document:
        write_document(out, document)
        for picture in (work / "pictures").glob("*.jpg"):
            shutil.copy(picture, document.parent / "pictures" / picture.name)
        console.print(document)


def dumps(record: dict[str, object]) -> str:
    """JSON with one cell per line, so that a version control system shows which have changed."""
    parts = []
    for name, value in record.items():
        lines = "[\n" + ",\n".join(f"  {json.dumps(row)}" for row in value) + "\n ]" if isinstance(value, list) else ""
        parts.append(f' "{name}": {lines or json.dumps(value)}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def machine(device: str) -> dict[str, str | None]:
    """Where the figures come from."""
    return {
        "processor": platform.processor() or platform.machine(),
        "gpu": None if device == "cpu" else torch.cuda.get_device_name(device),
        "python": platform.python_version(),
        "torch": version("torch"),
    }
