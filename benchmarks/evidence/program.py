"""The program that runs the grids and writes their results. What was done before is not repeated."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
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
from evidence.cells import Cell, adaptation_grid, run_adaptations
from evidence.document import write_document
from evidence.failures import FailureCell, failure_grid, run_failures
from evidence.fits import FitCell, fit_grid, run_fits
from evidence.known import Record, load_record, take_over
from evidence.materials import FULL, QUICK, Materials, Say, Scale
from evidence.recording import run_recording


def main(
    work: Annotated[Path, typer.Option("--work", help="Folder for domains, networks and runs, about 4 GB.")],
    only: Annotated[
        str, typer.Option("--only", help="Cells to run, such as 'adapt/style/*', 'adapt/*/ours/0' or 'fit/medium/b?'.")
    ] = "*",
    known: Annotated[
        Path | None,
        typer.Option("--known", help="Earlier JSON file; results that today's settings would give again are reused."),
    ] = None,
    video: Annotated[
        Path | None, typer.Option("--video", help="Recording of a static camera to adapt to as well.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Run a small version of the grids, within 20 minutes.")
    ] = False,
    gather: Annotated[bool, typer.Option("--gather", help="Run nothing; write the results so far.")] = False,
    preset: Annotated[
        str, typer.Option("--preset", help="small: the network that ships; paper: ResNet-50 at 224 pixels, for a GPU.")
    ] = "small",
    device: Device = "cpu",
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Number of cells that run at once, a thread each.")] = 2,
    precision: Annotated[
        str, typer.Option("--precision", help="Precision of networks: float32 or bfloat16.")
    ] = "float32",
    out: Annotated[Path, typer.Option("--out", help="JSON file to write.")] = Path("evidence.json"),
    document: Annotated[Path | None, typer.Option("--document", help="Markdown file to write from it.")] = None,
) -> None:
    """Adapt one source regressor to every target with every method, fit bodies without one, and write tables."""
    console = Console()
    try:
        kind = choice("--precision", precision, PRECISIONS)
        usable_device(device)
        scale = _scale(preset, quick=quick, video=video)
        materials = Materials(work, scale, kind, jobs, device)
        grids = Grids.of(quick=quick)
        # Taken over before anything runs, so that known cells are skipped.
        before = load_record(known) if known else None
        if before:
            count = take_over(before, grids.adaptations, grids.fits, materials)
            console.print(f"{known}: took over {count} cells")
        if not gather:
            say = _printer(console)
            grids.only(only).run(materials, jobs, say)
            if video:
                run_recording(video, materials, say)
        record = _gather(grids, materials, before)
    except UserError as error:
        console.print(f"error: {error}", style="red", highlight=False, markup=False)
        raise typer.Exit(2) from None
    _write(record, out, document, work / "pictures", console)


@dataclass(frozen=True)
class Grids:
    """The cells of the three grids."""

    adaptations: list[Cell]
    fits: list[FitCell]
    failures: list[FailureCell]

    @classmethod
    def of(cls, *, quick: bool) -> Grids:
        """All cells; arguments as for `adaptation_grid`."""
        return cls(adaptation_grid(quick=quick), fit_grid(), failure_grid())

    def only(self, pattern: str) -> Grids:
        """Return the cells whose names match a pattern.

        Raises:
            UserError: there are none.
        """
        chosen = Grids(
            [cell for cell in self.adaptations if fnmatchcase(cell.name, pattern)],
            [cell for cell in self.fits if fnmatchcase(cell.name, pattern)],
            [cell for cell in self.failures if fnmatchcase(cell.name, pattern)],
        )
        if not (chosen.adaptations or chosen.fits or chosen.failures):
            raise UserError(f"--only: no cell is named like {pattern!r}; names are like adapt/style/ours/0")
        return chosen

    def run(self, materials: Materials, jobs: int, say: Say) -> None:
        """Run the cells that have not run yet. Failures come last, since they need adaptations that have run."""
        run_adaptations(self.adaptations, materials, jobs=jobs, say=say)
        run_fits(self.fits, materials, jobs=jobs, say=say)
        run_failures(self.failures, materials, say)


def _scale(preset: str, *, quick: bool, video: Path | None) -> Scale:
    full = choice("--preset", preset, ("small", "paper")) == "paper"
    for option, given in (("--quick", quick), ("--video", video)):
        # Both use the network that ships, which "paper" has not.
        if given and full:
            raise UserError(f"{option} needs --preset small")
    return QUICK if quick else FULL if full else Scale()


def _printer(console: Console) -> Callable[[str], None]:
    def say(text: str) -> None:
        # Names of cells contain brackets and numbers, which rich would take for markup.
        console.print(text, highlight=False, markup=False)

    return say


def _gather(grids: Grids, materials: Materials, before: Record | None) -> Record:
    """Collect the results so far.

    Args:
        grids: all cells.
        materials: where their results are stored.
        before: earlier record that what was not made here is taken from.

    Raises:
        UserError: nothing has run yet.
    """
    record: Record = {
        "machine": machine(materials.device),
        "materials": materials.describe(),
        "adaptations": [materials.result(cell.name) for cell in grids.adaptations if materials.has_run(cell.name)],
        "detector": materials.detector_quality(),
        "fits": [materials.result(cell.name) for cell in grids.fits if materials.has_run(cell.name)],
        "failures": [materials.result(cell.name) for cell in grids.failures if materials.has_run(cell.name)],
        "recordings": materials.results("recording"),
    }
    if before:
        # New measurements replace earlier ones by name.
        record["detector"] = {**before["detector"], **record["detector"]}
        record["recordings"] = record["recordings"] or before["recordings"]
    if not any(record[part] for part in ("adaptations", "fits", "recordings")):
        raise UserError(f"{materials.folder}: nothing has run yet")
    return record


def _write(record: Record, out: Path, document: Path | None, pictures: Path, console: Console) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    # The document is made from the file, so that both always agree.
    out.write_text(dumps(record))
    done = ", ".join(f"{len(rows)} {part}" for part, rows in record.items() if isinstance(rows, list))
    console.print(f"{out}: {done}")
    if document:
        write_document(out, document)
        for picture in pictures.glob("*.jpg"):
            shutil.copy(picture, document.parent / "pictures" / picture.name)
        console.print(document)


def dumps(record: dict[str, Any]) -> str:
    """Return JSON with one cell per line, so that a version control system shows which cells have changed."""
    parts = []
    for name, value in record.items():
        lines = "[\n" + ",\n".join(f"  {json.dumps(row)}" for row in value) + "\n ]" if isinstance(value, list) else ""
        parts.append(f' "{name}": {lines or json.dumps(value)}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def machine(device: str) -> dict[str, str | None]:
    """Return what the results were computed on and with."""
    return {
        "processor": platform.processor() or platform.machine(),
        "gpu": None if device == "cpu" else torch.cuda.get_device_name(device),
        "python": platform.python_version(),
        "torch": version("torch"),
    }
