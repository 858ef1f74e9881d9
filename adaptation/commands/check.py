"""``topo-adapt check``: say what an input is, what it can be used for, and what to do if it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adaptation.adapting.presets import CROP_SIZE
from adaptation.recording.detections import TrackSettings
from adaptation.support.arguments import (
    Background,
    CropSize,
    MaskFolder,
    MasksFrom,
    Models,
    Range,
    check_source,
    choice,
)

if TYPE_CHECKING:
    from rich.console import Console

    from adaptation.checking.verdict import Verdict


def check(
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH",
            help="Recording, crops, weights, poses, keypoints, body model or results; or package.module:function.",
        ),
    ],
    masks: MaskFolder = None,
    masks_from: MasksFrom = None,
    models: Models = None,
    background: Background = None,
    levels: Range = None,
    min_height: Annotated[
        int, typer.Option("--min-height", min=8, help="Smallest height of a person in the frame, pixels.")
    ] = TrackSettings.min_height,
    size: CropSize = CROP_SIZE,
    kind: Annotated[
        str | None, typer.Option("--as", help="What PATH is, if it is not recognised: recording, network, poses, ...")
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option("--picture", help="JPEG to write for a recording. Default: NAME.check.jpg in the current folder."),
    ] = None,
) -> None:
    """Say what an input is, and what it can be used for.

    Looks at a recording for some seconds and draws what it finds. Exits with code 2 if PATH cannot be used.
    """
    from rich.console import Console

    from adaptation.checking.recognise import KINDS, recognise
    from adaptation.checking.recordings import RecordingInput, check_recording
    from adaptation.support.levels import Levels
    from adaptation.support.progress import Progress

    chosen = choice("--as", kind, KINDS) if kind is not None else recognise(path)
    if chosen == "recording":
        check_source(masks, background, masks_from, models)
        shown = Levels.parse(levels) if levels is not None else None
        given = RecordingInput(Path(path), masks, background, shown, min_height, models)
        verdict = check_recording(given, Progress())
    else:
        # Not before, because it takes seconds to import torch, which a recording does not need.
        from adaptation.checking.files import CHECKS, check_network

        verdict = check_network(path, size) if chosen == "network" else CHECKS[chosen](Path(path))
    console = Console()
    _print(console, path, verdict)
    if verdict.picture is not None:
        _write_picture(console, verdict, picture or Path(f"{Path(path).resolve().stem}.check.jpg"))
    if not verdict.usable:
        raise typer.Exit(2)


def _print(console: Console, path: str, verdict: Verdict) -> None:
    """Print the facts, the uses and the advice."""
    from rich.table import Table
    from rich.text import Text

    # Text throughout, since a path may contain what Rich would take for markup.
    console.print(Text(f"{path}: {verdict.what}", style="bold"), soft_wrap=True)
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in verdict.facts:
        table.add_row(Text(name), Text(value))
    for use in verdict.uses:
        state = Text("can be used" if use.possible else "cannot be used", style="green" if use.possible else "red")
        table.add_row(Text(use.command), state + Text(f": {use.note}" if use.note else ""))
    console.print(table)
    for line in verdict.advice:
        console.print(Text(f"- {line}", style="yellow"), soft_wrap=True)


def _write_picture(console: Console, verdict: Verdict, path: Path) -> None:
    import cv2
    from rich.text import Text

    from adaptation.support.files import whole_file
    from adaptation.support.image_files import to_rgb

    assert verdict.picture is not None
    # Not cv2.imwrite, which reports no error when the disk is full.
    _, data = cv2.imencode(".jpg", to_rgb(verdict.picture))
    with whole_file(path) as file:
        file.write(data.tobytes())
    console.print(Text(f"picture: {path}"), soft_wrap=True)
