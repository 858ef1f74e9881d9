"""``topo-adapt degrade``: apply a domain shift to crops."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adaptation.support.arguments import Crops, Out, Overwrite
from adaptation.synthetic.settings import SHIFTS


def degrade(
    crops: Crops,
    out: Out,
    shift: Annotated[str, typer.Option("--shift", help=f"Domain shift: one of {', '.join(SHIFTS)}.")],
    delta: Annotated[
        Path | None,
        typer.Option("--delta", help="For uap-4, uap-8 and uap-16: perturbation file written by `topo-adapt uap`."),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Apply a domain shift to crops.

    Writes them as a worse camera would record them. Masks and labels stay; keypoints are dropped.
    """
    import json

    from adaptation.data.samples import Samples
    from adaptation.support.files import MARKER, result_folder
    from adaptation.synthetic.shifted import shift_by_name, shift_samples

    # Crops and shift are checked before the folder is made.
    samples = Samples.load(crops)
    change = shift_by_name(shift, samples.size, delta)
    with result_folder(out, overwrite=overwrite) as folder:
        settings = {"source": str(crops), "shift": shift}
        shift_samples(samples, change).save(folder, settings)
        (folder / MARKER).write_text(json.dumps(settings, indent=2) + "\n")
