"""The program that measures systems, and writes a record and a table."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from adaptation.bodies.body import Body
from adaptation.priors.named import pose_prior
from systems.methods import METHODS, Figures, measure
from systems.people import people

_TITLES = ("MPJPE", "PA-MPJPE", "PCK@150", "IoU", "overlap", "s/person")
_FORMATS = (".1f", ".1f", ".1f", ".3f", ".1f", ".3f")


def run(
    work: Annotated[Path, typer.Option("--work", help="Folder for crops and the record.")],
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Number of seeds.")] = 3,
    count: Annotated[int, typer.Option("--count", min=12, help="Crops of each of two families, per seed.")] = 48,
    only: Annotated[str | None, typer.Option("--only", help="Names of rows, separated by commas.")] = None,
) -> None:
    """Measure the rows that the record lacks, and print the table: means over the seeds, and the range of PA-MPJPE."""
    torch.set_num_threads(1)
    body, record = Body.free(), work / "smplify.json"
    known: dict[str, dict[str, dict[str, float]]] = json.loads(record.read_text()) if record.exists() else {}
    names = list(METHODS) if only is None else only.split(",")
    for prior in ("mixture", "motion", "gaussian"):
        pose_prior(prior)  # made once and kept, so that no row pays for it
    for seed in range(seeds):
        for exact in (False, True):
            for name in names if not exact else ["keypoints"]:
                row, key = name if not exact else "exact keypoints", f"{count}/{seed}"
                if key not in known.setdefault(row, {}):
                    crowd = people(work, seed, count, body, exact=exact)
                    known[row][key] = asdict(measure(METHODS[name], crowd, body))
                    record.write_text(json.dumps(known, indent=2) + "\n")
                    print(f"seed {seed}, {row}: {known[row][key]}", flush=True)
    print("| | " + " | ".join(_TITLES) + " | PA, seeds |\n|---|" + "---:|" * (len(_TITLES) + 1))
    for row, values in known.items():
        kept = [Figures(**each) for key, each in values.items() if key.startswith(f"{count}/")]
        if not kept:
            continue
        means = [np.mean([getattr(each, field.name) for each in kept]) for field in fields(Figures)]
        cells = [format(value, form) for value, form in zip(means, _FORMATS, strict=True)]
        print(f"| {row} | {' | '.join(cells)} | {', '.join(f'{each.pa:.1f}' for each in kept)} |")


def main() -> None:
    """Run the program."""
    typer.run(run)
