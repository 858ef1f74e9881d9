"""``topo-adapt dataset``: crop the people of a data set of the field, with its labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adaptation.adapting.presets import CROP_SIZE
from adaptation.support.arguments import Out, Overwrite, command_line
from adaptation.support.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from adaptation.data.samples import Samples
    from adaptation.recording.datasets.set_labels import Models

_BODY_HELP = "SMPL file of {} bodies, .pkl or .npz, for cameras, joints and the name of the labels' body model."


def dataset(
    name: Annotated[
        str,
        typer.Argument(
            metavar="FORMAT", help="spin, 3dpw, h36m, 3dhp, coco, mpii, lsp, lspet, surreal or up3d (docs/datasets.md)."
        ),
    ],
    path: Annotated[Path, typer.Argument(help="File or folder of the data set.")],
    out: Out,
    images: Annotated[
        Path | None, typer.Option("--images", help="Folder that the set's image paths start from. Default: PATH.")
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", help="Split of 3dpw, 3dhp, lsp or up3d. Default: test; all for up3d.")
    ] = None,
    every: Annotated[
        int | None,
        typer.Option(
            "--every", min=1, help="Keep one frame in this many of h36m (default 5), 3dhp (10 of train) or surreal (1)."
        ),
    ] = None,
    masks: Annotated[
        Path | None, typer.Option("--masks", help="Folder of UPi-S1h, with masks and parts of LSP (lsp, spin).")
    ] = None,
    size: Annotated[int, typer.Option("--size", min=32, max=1024, help="Side of the crops in pixels.")] = CROP_SIZE,
    enlarge: Annotated[
        float,
        typer.Option(
            "--enlarge", min=0.2, max=5, help="Multiply the side of the set's boxes, which are SPIN's, by this."
        ),
    ] = 1.0,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Keep at most this many people, spread over the set.")
    ] = None,
    labelled: Annotated[
        bool,
        typer.Option(
            "--labelled", help="Keep only people with pose, shape and camera, as training and replay need them."
        ),
    ] = False,
    body: Annotated[Path | None, typer.Option("--body", help=_BODY_HELP.format("neutral"))] = None,
    male: Annotated[Path | None, typer.Option("--male", help=_BODY_HELP.format("male"))] = None,
    female: Annotated[Path | None, typer.Option("--female", help=_BODY_HELP.format("female"))] = None,
    regressor: Annotated[
        Path | None,
        typer.Option(
            "--regressor",
            help="SPIN's J_regressor_h36m.npy: replace 3D joints by those of the labels' meshes, as 3DPW is measured.",
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Crop the people of a data set, with its labels.

    Writes a crop set that `evaluate --protocol`, `adapt` and others read, with what the data set knows of each person:
    keypoints, 3D joints, poses, masks, parts, boxes and cameras.
    """
    import json

    from rich.console import Console

    from adaptation.data.sets.formats import Request, read_people
    from adaptation.recording.datasets.set_crops import CropSettings, crop_set
    from adaptation.support.files import MARKER, result_folder
    from adaptation.support.progress import Progress

    models = _models(body, male, female, regressor)
    people = read_people(name, Request(path, split, every, masks))
    root = images or (path if path.is_dir() else path.parent)
    with result_folder(out, overwrite=overwrite) as folder:
        with Progress().task("Cropping people") as update:
            samples = crop_set(people, root, folder, CropSettings(size, enlarge, limit, labelled), models, update.to)
        made = {"dataset": name, "path": str(path), "split": split, "every": every, "size": size, "enlarge": enlarge}
        samples.save(folder, made)
        (folder / MARKER).write_text(json.dumps({**made, "command": command_line()}, indent=2) + "\n")
    _say(Console(soft_wrap=True), out, samples)


def _models(body: Path | None, male: Path | None, female: Path | None, regressor: Path | None) -> Models:
    """Load the body models and the regressor that were given."""
    from adaptation.bodies.body import Body
    from adaptation.bodies.joint_regressor import load_regressor
    from adaptation.recording.datasets.set_labels import Models

    bodies = [None if file is None else Body.load(file) for file in (body, male, female)]
    given = next((each for each in bodies if each is not None), None)
    if regressor is not None and given is None:
        raise UserError("--regressor needs the body models of the labels: --body, or --male and --female")
    weights = load_regressor(regressor, given) if regressor is not None and given is not None else None
    return Models(neutral=bodies[0], male=bodies[1], female=bodies[2], regressor=weights)


def _say(console: Console, out: Path, samples: Samples) -> None:
    """Print how many people there are, and how many of them have each label."""
    parts = ("keypoints", "joints3d", "pose", "camera", "masks", "parts", "intrinsics")
    counts = {part: int(samples.has(part).sum()) for part in parts if getattr(samples, part) is not None}
    known = ", ".join(f"{part} {count}" for part, count in counts.items()) or "no labels"
    line = f"{len(samples)} crops of {samples.size} px in {out}: {known}"
    line += f"; joints {samples.joint_set!r}, body {samples.body!r}"
    console.print(line, markup=False, highlight=False)
