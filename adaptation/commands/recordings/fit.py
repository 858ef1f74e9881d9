"""``topo-adapt fit``: fit bodies to the people in a recording, without a regressor."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from adaptation.adapting.presets import CROP_SIZE
from adaptation.fitting.settings import FitSettings, TrackFitSettings
from adaptation.losses.settings import LOSS_NAMES, LossSettings
from adaptation.recording.detections import TrackSettings
from adaptation.recording.options import TRACK_PRIOR, FitOptions, NetworkOptions, cropped_by, recording_settings
from adaptation.recording.tilt.options import TiltOptions
from adaptation.support.arguments import (
    Background,
    BodyFile,
    Calibration,
    CameraName,
    Device,
    FramesPerSecond,
    Loss,
    MaskFolder,
    MasksFrom,
    Models,
    Out,
    Overwrite,
    Pitch,
    Range,
    Recording,
    Renderer,
    Roll,
    Threads,
    Up,
    check_source,
    choice,
    command_line,
)
from adaptation.synthetic.settings import MARGIN

if TYPE_CHECKING:
    from torch import nn


def fit(
    recording: Recording,
    out: Out,
    frames: Annotated[
        str | None,
        typer.Option("--frames", help="Frames to fit, counted from 0, such as 10,20,30-40. Default: one in --every."),
    ] = None,
    every: Annotated[int, typer.Option("--every", min=1, help="Fit one frame in this many.")] = FitOptions.every,
    masks: MaskFolder = None,
    masks_from: MasksFrom = None,
    models: Models = None,
    background: Background = None,
    levels: Range = None,
    method: Annotated[
        str, typer.Option("--method", help="Method of background subtraction: median, mog2 or knn.")
    ] = FitOptions.method,
    body: BodyFile = None,
    pitch: Pitch = None,
    roll: Roll = None,
    calibration: Calibration = None,
    camera: CameraName = None,
    up: Up = None,
    fps: FramesPerSecond = None,
    network: Annotated[
        str | None,
        typer.Option("--model", help="Regressor, adapted to this camera, that takes part in the fits."),
    ] = None,
    per_frame: Annotated[
        bool, typer.Option("--per-frame", help="Fit each frame by itself, and not all frames of a person together.")
    ] = False,
    loss: Loss = LossSettings.name,
    steps: Annotated[
        int | None,
        typer.Option("--steps", min=1, help="Optimisation steps of the last fit. Default: 60; 150 with --per-frame."),
    ] = None,
    prior: Annotated[
        str | None,
        typer.Option(
            "--prior",
            help="Pose prior: gaussian, motion, mixture, latent, or a file written by `topo-adapt prior`. "
            "Default: motion; gaussian with --per-frame.",
        ),
    ] = None,
    size: Annotated[int, typer.Option("--size", min=32, max=1024, help="Side of the crops, pixels.")] = FitOptions.size,
    min_height: Annotated[
        int, typer.Option("--min-height", min=8, help="Smallest height of a person in the frame, pixels.")
    ] = TrackSettings.min_height,
    renderer: Renderer = FitOptions.renderer,
    device: Device = FitOptions.device,
    threads: Threads = None,
    overwrite: Overwrite = False,
) -> None:
    """Fit a body to each moving person in a recording.

    Writes an npz file per person, overlays and a report.
    """
    import time

    from rich.console import Console

    from adaptation.bodies.body import Body
    from adaptation.bodies.renderer import BACKENDS
    from adaptation.recording.footage.background import METHODS
    from adaptation.recording.footage.empty_scene import read_background
    from adaptation.recording.footage.frame_numbers import parse_frames
    from adaptation.recording.footage.segmented_masks import open_given
    from adaptation.recording.footage.video import open_frames
    from adaptation.recording.pipeline import fit_recording
    from adaptation.reports.fits import Heading
    from adaptation.reports.result_folder import summarise, write_results
    from adaptation.support.devices import use_threads
    from adaptation.support.errors import UserError
    from adaptation.support.files import result_folder
    from adaptation.support.levels import Levels
    from adaptation.support.progress import Progress
    from adaptation.support.reading.findings import kept_findings

    started = time.monotonic()
    check_source(masks, background, masks_from, models)
    settings = recording_settings(choice("--loss", loss, LOSS_NAMES), steps or FitSettings.steps, size)
    tilt = TiltOptions(pitch, roll, str(calibration) if calibration is not None else None, camera, up)
    if per_frame and (tilt != TiltOptions() or fps is not None or network is not None):
        others = "--pitch, --roll, --calibration, --camera, --up, --fps and --model"
        raise UserError(f"{others} have no effect with --per-frame")
    options = FitOptions(
        every=every,
        frames=parse_frames(frames) if frames is not None else None,
        method=choice("--method", method, METHODS),
        size=size,
        renderer=choice("--renderer", renderer, BACKENDS),
        device=device,
        tracks=TrackSettings(min_height=min_height),
        fit=replace(settings, prior=prior or (FitSettings.prior if per_frame else TRACK_PRIOR)),
        per_frame=per_frame,
        track_fits=TrackFitSettings(steps=steps or TrackFitSettings.steps),
        tilt=tilt,
        rate=fps,
    )
    # After the options, whose errors should come before anything is started.
    use_threads(threads)
    with kept_findings() as found, result_folder(out, overwrite=overwrite) as folder:
        seeing, options = (None, options) if network is None else _with_network(network, options)
        # Inside the folder's block, so that its errors leave no folder behind.
        opened = open_frames(recording, Levels.parse(levels) if levels is not None else None)
        given = open_given(masks, models, opened)
        empty = read_background(background, opened) if background else ()
        model = Body.load(body) if body else Body.free()
        outcome = fit_recording(opened, model, options, Progress(), given, empty, seeing)
        heading = Heading("Bodies fitted to silhouettes", opened.path.name, command_line(), found=found)
        # On the CPU, where the pictures are drawn.
        write_results(folder, opened, model.cpu(), outcome, options, heading)
    summarise(Console(), out, outcome, time.monotonic() - started)


def _with_network(model: str, options: FitOptions) -> tuple[nn.Module, FitOptions]:
    """Load a regressor, and return it with options that cut its crops beside those of the fits."""
    from adaptation.regressors.base import crop_rule
    from adaptation.regressors.files import load_network

    network = load_network(model).network
    look = cropped_by(replace(options, size=CROP_SIZE, margin=MARGIN), crop_rule(network))
    return network, replace(options, network=NetworkOptions(model, look.size, look.margin, look.aspect))
