"""``topo-adapt domain``: render a synthetic crop set."""

from __future__ import annotations

from typing import Annotated

import typer

from adaptation.adapting.presets import CROP_SIZE
from adaptation.support.arguments import Out, Overwrite, Seed, Workers
from adaptation.synthetic.settings import DomainSettings


def domain(
    out: Out,
    family: Annotated[
        str,
        typer.Option(
            "--family", help="source; style (another appearance); or site (style, with one fixed camera per --seed)."
        ),
    ] = DomainSettings.family,
    split: Annotated[
        str, typer.Option("--split", help="train, adapt or test; no person appears in two splits.")
    ] = DomainSettings.split,
    count: Annotated[
        int, typer.Option("--count", min=1, help="Number of crops, rounded up to whole clips of 12.")
    ] = DomainSettings.count,
    size: Annotated[int, typer.Option("--size", min=32, max=512, help="Side of the crops in pixels.")] = CROP_SIZE,
    workers: Workers = 1,
    seed: Seed = DomainSettings.seed,
    overwrite: Overwrite = False,
) -> None:
    """Render a synthetic crop set with masks and labels."""
    import json
    from dataclasses import asdict

    from rich.console import Console

    from adaptation.support.files import MARKER, result_folder
    from adaptation.support.progress import Progress
    from adaptation.synthetic.domains import make_domain

    settings = DomainSettings(family, split, count, size, seed)  # type: ignore[arg-type]  # make_domain checks the split
    with result_folder(out, overwrite=overwrite) as folder:
        with Progress().task("Rendering crops", settings.filmed) as update:
            made = make_domain(settings, workers=workers, progress=update.by)
        made.save(folder, asdict(settings))
        (folder / MARKER).write_text(json.dumps(asdict(settings), indent=2) + "\n")
    Console().print(f"{len(made)} crops of {settings.size} px in {out}", highlight=False)
