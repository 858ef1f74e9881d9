"""``topo-adapt evaluate``: measure the errors of a regressor on labelled crops."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adaptation.support.arguments import BodyFile, Crops, Device, Mirror, Model, Overwrite

if TYPE_CHECKING:
    from rich.console import Console

    from adaptation.evaluation.scores import Scores


def evaluate(
    model: Model,
    crops: Crops,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for scores.json, images.csv and joints.csv.")
    ] = None,
    mirror: Mirror = False,
    body: BodyFile = None,
    device: Device = "cpu",
    overwrite: Overwrite = False,
) -> None:
    """Measure a regressor on labelled crops.

    Prints MPJPE, PA-MPJPE and IoU; --out also writes the errors of each image and each joint.
    """
    import json

    from rich.console import Console

    from adaptation.bodies.body import Body
    from adaptation.data.samples import Samples
    from adaptation.evaluation.scores import evaluate as measure
    from adaptation.regressors.files import load_network
    from adaptation.regressors.mirrored import Mirrored
    from adaptation.support.devices import usable_device
    from adaptation.support.files import MARKER, result_folder

    usable_device(device)
    network = load_network(model).network
    shape = Body.load(body) if body else Body.free()
    scores = measure(Mirrored(network) if mirror else network, Samples.load(crops), shape, device=device)
    # Printed before anything is written, so that a full disk does not lose the numbers.
    show_scores(Console(), {"": scores})
    if out:
        with result_folder(out, overwrite=overwrite) as folder:
            scores.write(folder)
            what = {"model": model, "test": str(crops), "mirror": mirror}
            (folder / MARKER).write_text(json.dumps(what, indent=2) + "\n")


def show_scores(console: Console, scores: dict[str, Scores]) -> None:
    """Print a table of mean errors, one row per name.

    Args:
        console: console to print to.
        scores: scores by the name of their row.
    """
    # Imported here, like all that is slow to import: the module is loaded for every `--help`.
    from rich.table import Table

    from adaptation.evaluation.scores import PROTOCOL

    table = Table("", "MPJPE mm", "PA-MPJPE mm", "IoU", box=None)
    for name, each in scores.items():
        row = each.summary()
        table.add_row(name, f"{row['mpjpe']:.1f}", f"{row['pa_mpjpe']:.1f}", f"{row['iou']:.3f}")
    console.print(table)
    console.print(PROTOCOL, style="dim", highlight=False)
