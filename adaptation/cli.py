"""The ``topo-adapt`` command: demo, fit and doctor here, what trains in `adaptation.commands.training_commands`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from adaptation.commands.training_commands import COMMANDS
from adaptation.support.arguments import Device, Out, Overwrite, Prior, Seed, choice
from adaptation.support.errors import UserError

app = typer.Typer(
    name="topo-adapt",
    help="Fit and adapt 3D human bodies from the silhouettes of a static camera.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Loss = Annotated[
    str, typer.Option("--loss", help="b1 pixels, b2 L_S, b3 L_S + skeleton pixels, ours L_S + L_T + bones + pixels.")
]
Steps = Annotated[int, typer.Option("--steps", min=1, help="Optimisation steps of a fit.")]
Renderer = Annotated[str, typer.Option("--renderer", help="topokernels, or pytorch3d where it is installed.")]
Threads = Annotated[int | None, typer.Option("--threads", min=1, help="CPU threads; all where not given.")]


@app.command()
def fit(
    recording: Annotated[Path, typer.Argument(help="Video file, or folder of frames, of a camera that stands still.")],
    out: Out,
    frames: Annotated[
        str | None, typer.Option("--frames", help="Frames to fit, from 0: 10,20,30-40. Default: one in --every.")
    ] = None,
    every: Annotated[int, typer.Option("--every", min=1, help="Fit one frame in this many.")] = 10,
    masks: Annotated[
        Path | None, typer.Option("--masks", help="Folder of PNG masks, 0 and 255, instead of background subtraction.")
    ] = None,
    method: Annotated[str, typer.Option("--method", help="Background subtraction: median, mog2 or knn.")] = "median",
    body: Annotated[
        Path | None, typer.Option("--body", help="Body model: SMPL .pkl or .npz. Default: the free body.")
    ] = None,
    loss: Loss = "ours",
    steps: Steps = 150,
    prior: Prior = "gaussian",
    size: Annotated[int, typer.Option("--size", min=32, max=1024, help="Side of the crops in pixels.")] = 112,
    min_height: Annotated[int, typer.Option("--min-height", min=8, help="Least height of a person in pixels.")] = 40,
    renderer: Renderer = "topokernels",
    device: Device = "cpu",
    threads: Threads = None,
    overwrite: Overwrite = False,
) -> None:
    """Fit a body to everyone who moves in a recording.

    Writes an npz per person, overlays and a report.
    """
    from adaptation.bodies.renderer import BACKENDS
    from adaptation.commands import fit_programs as programs
    from adaptation.losses.silhouettes import LOSS_NAMES
    from adaptation.recording.background import METHODS
    from adaptation.recording.video import parse_frames

    programs.fit(
        recording,
        out,
        options=programs.options(
            frames=parse_frames(frames) if frames is not None else None,
            every=every,
            method=choice("--method", method, METHODS),
            loss=choice("--loss", loss, LOSS_NAMES),
            steps=steps,
            prior=prior,
            size=size,
            min_height=min_height,
            renderer=choice("--renderer", renderer, BACKENDS),
            device=device,
        ),
        masks=masks,
        body=body,
        threads=threads,
        overwrite=overwrite,
        command=shlex.join(["topo-adapt", *sys.argv[1:]]),
    )


@app.command()
def demo_fit(
    out: Out = Path("out/demo-fit"),
    loss: Loss = "ours",
    steps: Steps = 150,
    prior: Prior = "gaussian",
    renderer: Renderer = "topokernels",
    device: Device = "cpu",
    threads: Threads = None,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Fit bodies to a clip that is rendered first.

    Two people walk past a camera; their silhouettes are found, bodies are fitted, and compared with the truth.
    """
    from adaptation.bodies.renderer import BACKENDS
    from adaptation.commands import fit_programs as programs
    from adaptation.losses.silhouettes import LOSS_NAMES

    programs.demo(
        out,
        options=programs.options(
            loss=choice("--loss", loss, LOSS_NAMES),
            steps=steps,
            prior=prior,
            renderer=choice("--renderer", renderer, BACKENDS),
            device=device,
            every=5,
        ),
        seed=seed,
        threads=threads,
        overwrite=overwrite,
        command=shlex.join(["topo-adapt", *sys.argv[1:]]),
    )


@app.command()
def doctor() -> None:
    """Show versions, devices, compiled libraries and body files."""
    from adaptation.commands.doctor import examine

    examine(Console())


for command in COMMANDS:
    app.command()(command)


def main() -> None:
    """Run the command; bad input ends in one line and exit code 2, Ctrl-C in one line and 130."""
    try:
        app()
    except UserError as error:
        Console(stderr=True, soft_wrap=True).print(f"topo-adapt: {error}", style="red", markup=False, highlight=False)
        sys.exit(error.code)
    except SystemExit as stop:
        if stop.code == 130:  # how Typer reports Ctrl-C
            Console(stderr=True).print("topo-adapt: interrupted, nothing was written", style="red")
        raise


if __name__ == "__main__":
    main()
