"""``topo-adapt smplify``: fit bodies to 2D keypoints, as SMPLify does, and to silhouettes beside them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from adaptation.fitting.smplify.settings import PRESETS, SmplifySettings, with_steps
from adaptation.recording.options import FitOptions
from adaptation.recording.smplify.options import SmplifyOptions
from adaptation.recording.tilt.options import TiltOptions
from adaptation.support.arguments import (
    Background,
    BodyFile,
    Calibration,
    CameraName,
    Device,
    MaskFolder,
    MasksFrom,
    Models,
    Out,
    Overwrite,
    Renderer,
    Threads,
    Up,
    check_source,
    choice,
    command_line,
)


def smplify(
    source: Annotated[
        Path,
        typer.Argument(
            help="Folder of images or video, with --keypoints; or a folder of crops with keypoints, as "
            "`topo-adapt keypoints` writes it.",
            metavar="RECORDING",
        ),
    ],
    out: Out,
    keypoints: Annotated[
        Path | None,
        typer.Option(
            "--keypoints",
            help="Folder of OpenPose JSON files, one per frame; everybody in them is fitted. Or the crops that "
            "`topo-adapt keypoints RECORDING` cut out of the same recording.",
        ),
    ] = None,
    silhouettes: Annotated[
        bool,
        typer.Option(
            "--silhouettes",
            help="Fit to silhouettes beside keypoints: those of --masks, of the crops, or of background subtraction.",
        ),
    ] = False,
    masks: MaskFolder = None,
    masks_from: MasksFrom = None,
    models: Models = None,
    background: Background = None,
    mask_kind: Annotated[
        str, typer.Option("--mask-kind", help="Kind of masks in a folder of crops: truth, subtracted or degraded.")
    ] = "subtracted",
    frames: Annotated[
        str | None, typer.Option("--frames", help="Frames to fit, counted from 0, such as 10,20,30-40. Default: all.")
    ] = None,
    every: Annotated[int, typer.Option("--every", min=1, help="Fit one frame in this many.")] = 1,
    preset: Annotated[
        str,
        typer.Option("--preset", help="tiny (a first look), small, or paper (weights of the public code, many steps)."),
    ] = "small",
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, help="Optimisation steps of each stage. Default: the preset's.")
    ] = None,
    prior: Annotated[
        str,
        typer.Option(
            "--prior",
            help="Pose prior: mixture, gaussian, motion, latent, a file written by `topo-adapt prior`, or SMPLify's "
            "gmm_08.pkl.",
        ),
    ] = SmplifySettings.prior,
    focal: Annotated[
        float | None,
        typer.Option("--focal", min=1, help="Focal length, pixels of the frame. Default: weak perspective."),
    ] = None,
    calibration: Calibration = None,
    camera: CameraName = None,
    up: Up = None,
    size: Annotated[int, typer.Option("--size", min=32, max=1024, help="Side of the crops, pixels.")] = FitOptions.size,
    body: BodyFile = None,
    renderer: Renderer = FitOptions.renderer,
    device: Device = FitOptions.device,
    threads: Threads = None,
    overwrite: Overwrite = False,
) -> None:
    """Fit a body to the 2D keypoints of each person, frame by frame (SMPLify).

    Writes the same files as `topo-adapt fit`.
    """
    import time

    from rich.console import Console

    from adaptation.bodies.body import Body
    from adaptation.bodies.renderer import BACKENDS
    from adaptation.data.samples import MASK_KINDS
    from adaptation.recording.footage.frame_numbers import parse_frames
    from adaptation.recording.smplify.program import SmplifyProgram
    from adaptation.recording.smplify.sources import MaskSource, open_source
    from adaptation.reports.fits import Heading
    from adaptation.reports.result_folder import summarise, write_results
    from adaptation.support.devices import use_threads
    from adaptation.support.errors import UserError
    from adaptation.support.files import result_folder
    from adaptation.support.progress import Progress
    from adaptation.support.reading.findings import kept_findings

    started = time.monotonic()
    check_source(masks, background, masks_from, models)
    if focal is not None and calibration is not None:
        raise UserError("--focal and --calibration both give the focal length; give one of them")
    settings = replace(PRESETS[choice("--preset", preset, tuple(PRESETS))], prior=prior)
    options = SmplifyOptions(
        recording=FitOptions(
            every=every,
            frames=parse_frames(frames) if frames is not None else None,
            size=size,
            renderer=choice("--renderer", renderer, BACKENDS),
            device=device,
            tilt=TiltOptions(calibration=str(calibration) if calibration is not None else None, camera=camera, up=up),
        ),
        smplify=settings if steps is None else with_steps(settings, steps),
        silhouettes=silhouettes,
        focal=focal,
    )
    given = MaskSource(masks, models, background, choice("--mask-kind", mask_kind, MASK_KINDS))
    use_threads(threads)
    with kept_findings() as found, result_folder(out, overwrite=overwrite) as folder:
        model = Body.load(body) if body else Body.free()
        # Before people are searched for: an unusable device or prior should fail early.
        program = SmplifyProgram.of(model, options)
        opened, seen, tilt = open_source(source, keypoints, given, options, model, Progress())
        bodies = sum(map(len, seen.crops))
        with Progress().task("Fitting bodies", bodies) as update:
            outcome = program.run(seen, tilt, update.by)
        evidence = "keypoints and silhouettes" if silhouettes else "keypoints"
        method = (
            f"Bodies were fitted to {evidence} (SMPLify). Before: a mean body whose camera and orientation fit the "
            "torso. After: the fitted body."
        )
        heading = Heading(f"Bodies fitted to {evidence}", opened.path.name, command_line(), found=found, method=method)
        write_results(folder, opened, model.cpu(), outcome, options, heading)
    summarise(Console(), out, outcome, time.monotonic() - started)
