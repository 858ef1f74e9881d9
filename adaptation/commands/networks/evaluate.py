"""``topo-adapt evaluate``: measure the errors of a regressor on labelled crops."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adaptation.support.arguments import BodyFile, Crops, Device, Mirror, Overwrite
from adaptation.support.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console
    from torch import nn

    from adaptation.bodies.body import Body
    from adaptation.data.samples import Samples
    from adaptation.evaluation.protocol_scores import ProtocolScores
    from adaptation.evaluation.scores import Scores


def evaluate(
    model: Annotated[
        str,
        typer.Option(
            "--model",
            help="Regressor: weights with SPIN's keys (.safetensors, .pt), package.module:function, or small (the one "
            "that is included). Or a folder of results that `topo-adapt smplify` wrote for the crops.",
        ),
    ],
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
    from adaptation.support.devices import usable_device
    from adaptation.support.files import MARKER, result_folder

    usable_device(device)
    # Checked first: loading a network takes longer.
    chosen = None if protocol is None else protocol_by_name(protocol)
    if chosen is None and regressor is not None:
        raise UserError("--regressor is for --protocol, which is not given; add it, or leave --regressor out")
    shape, samples = Body.load(body) if body else Body.free(), Samples.load(crops)
    scores: Scores | ProtocolScores
    if Path(model).is_dir():
        if chosen is not None or mirror:
            raise UserError(f"{model} is a folder of results; --protocol and --mirror are for regressors")
        scores = _scores_of_results(Path(model), samples, shape)
        show_scores(Console(), {"": scores})
    elif chosen is None:
        scores = measure(_network(model, mirror, samples), samples, shape, device=device)
        show_scores(Console(), {"": scores})
    else:
        network = _network(model, mirror, samples)
        weights = None if regressor is None else load_regressor(regressor, shape)
        scores = evaluate_protocol(Subject(network, shape, weights, device), samples, chosen)
        show_figures(Console(), scores)
    # Printed before anything is written, so that a full disk does not lose the numbers.
    if out:
        with result_folder(out, overwrite=overwrite) as folder:
            scores.write(folder)
            what = {"model": model, "test": str(crops), "mirror": mirror, "protocol": protocol}
            (folder / MARKER).write_text(json.dumps(what, indent=2) + "\n")


def _network(model: str, mirror: bool, samples: Samples) -> nn.Module:
    from adaptation.regressors.files import load_network
    from adaptation.regressors.mirrored import Mirrored
    from adaptation.regressors.running import state_view

    network = load_network(model).network
    state_view(network, samples)
    return Mirrored(network) if mirror else network


def _scores_of_results(folder: Path, samples: Samples, body: Body) -> Scores:
    """Measure the bodies of a result folder whose frames count the crops of a set.

    Raises:
        UserError: the folder holds no results of these crops.
    """
    import numpy as np

    from adaptation.bodies.parameters import Bodies
    from adaptation.evaluation.scores import evaluate_bodies
    from adaptation.recording.results import PersonResult
    from adaptation.recording.view import RecordingView

    view = RecordingView.read(folder)
    people = [PersonResult.load(path) for path in sorted(folder.glob("person_*.npz"))]
    frame = np.concatenate([person.frame for person in people]) if people else np.zeros(0, np.int64)
    box = np.concatenate([person.box for person in people]) if people else np.zeros((0, 4), np.float32)
    whole = np.array([0, 0, samples.size, samples.size], np.float32)
    # Results of a recording have boxes somewhere in its frames.
    if view.size != (samples.size, samples.size) or not len(frame) or not (box == whole).all():
        raise UserError(f"{folder} holds no bodies of these crops; expected a folder that topo-adapt smplify wrote")
    if frame.max() >= len(samples):
        raise UserError(f"{folder} has bodies of crop {frame.max()}, but the set has {len(samples)} crops")
    if view.body != body.name:
        raise UserError(f"{folder} has bodies of the model {view.body!r}, not of {body.name!r}; choose it with --body")
    bodies = Bodies.cat([person.bodies(range(len(person))) for person in people])
    return evaluate_bodies(bodies, frame, samples, body)


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
