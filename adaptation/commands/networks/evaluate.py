"""``topo-adapt evaluate``: measure the errors of a regressor on labelled crops."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adaptation.support.arguments import BodyFile, Crops, Device, Mirror, Model, Overwrite
from adaptation.support.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from adaptation.evaluation.protocol_scores import ProtocolScores
    from adaptation.evaluation.scores import Scores


def evaluate(
    model: Model,
    crops: Crops,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for scores.json, images.csv and joints.csv.")
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            "--protocol",
            help="Published protocol: h36m-p1, h36m-p2, 3dpw, 3dhp, lsp or mpii; or smpl14, which needs no regressor. "
            "Default: 14 joints of the labelled bodies, and the IoU of silhouettes.",
        ),
    ] = None,
    regressor: Annotated[
        Path | None,
        typer.Option("--regressor", help="SPIN's J_regressor_h36m.npy, which most protocols regress joints with."),
    ] = None,
    mirror: Mirror = False,
    body: BodyFile = None,
    device: Device = "cpu",
    overwrite: Overwrite = False,
) -> None:
    """Measure a regressor on labelled crops.

    Prints MPJPE, PA-MPJPE and IoU, or the figures of a protocol, with the convention that they follow; --out also
    writes the errors of each image and each joint.
    """
    import json

    from rich.console import Console

    from adaptation.bodies.body import Body
    from adaptation.bodies.joint_regressor import load_regressor
    from adaptation.data.samples import Samples
    from adaptation.evaluation.protocol_scores import Subject, evaluate_protocol
    from adaptation.evaluation.protocols import protocol_by_name
    from adaptation.evaluation.scores import evaluate as measure
    from adaptation.regressors.files import load_network
    from adaptation.regressors.mirrored import Mirrored
    from adaptation.regressors.running import state_view
    from adaptation.support.devices import usable_device
    from adaptation.support.files import MARKER, result_folder

    usable_device(device)
    # Checked first: loading a network takes longer.
    chosen = None if protocol is None else protocol_by_name(protocol)
    if chosen is None and regressor is not None:
        raise UserError("--regressor is for --protocol, which is not given; add it, or leave --regressor out")
    network = load_network(model).network
    network = Mirrored(network) if mirror else network
    shape, samples = Body.load(body) if body else Body.free(), Samples.load(crops)
    state_view(network, samples)
    scores: Scores | ProtocolScores
    # Printed before anything is written, so that a full disk does not lose the numbers.
    if chosen is None:
        scores = measure(network, samples, shape, device=device)
        show_scores(Console(), {"": scores})
    else:
        weights = None if regressor is None else load_regressor(regressor, shape)
        scores = evaluate_protocol(Subject(network, shape, weights, device), samples, chosen)
        show_figures(Console(), scores)
    if out:
        with result_folder(out, overwrite=overwrite) as folder:
            scores.write(folder)
            what = {"model": model, "test": str(crops), "mirror": mirror, "protocol": protocol}
            (folder / MARKER).write_text(json.dumps(what, indent=2) + "\n")


def show_figures(console: Console, scores: ProtocolScores) -> None:
    """Print the figures of a protocol, one per line, and its convention."""
    from rich.table import Table

    table = Table(scores.protocol.name, f"{len(scores.crops)} crops", box=None)
    for name, value in scores.figures.items():
        table.add_row(name, f"{value:.3f}" if name.endswith("F1") else f"{value:.1f}")
    console.print(table)
    console.print(scores.protocol.text, style="dim", highlight=False)


def show_scores(console: Console, scores: dict[str, Scores]) -> None:
    """Print a table of mean errors, one row per name.

    Args:
        console: console to print to.
        scores: scores by the name of their row.
    """
    # Imported here, like all that is slow to import: the module is loaded for every `--help`.
    from rich.table import Table

    from adaptation.evaluation.scores import MEASURES, PROTOCOL

    table = Table("", "MPJPE mm", "PA-MPJPE mm", "IoU", box=None)
    for name, each in scores.items():
        row = {key: f"{value:.{3 if key == 'iou' else 1}f}" for key, value in each.summary().items()}
        table.add_row(name, *(row.get(key, "-") for key in MEASURES))
    console.print(table)
    console.print(PROTOCOL, style="dim", highlight=False)
