"""``topo-adapt predict``: predict bodies for the people in a recording with a regressor."""

from __future__ import annotations

from typing import Annotated

import typer

from adaptation.adapting.presets import CROP_SIZE
from adaptation.data.calibration.lens import LensOptions
from adaptation.recording.options import FitOptions, cropped_by, seen_through
from adaptation.support.arguments import (
    Background,
    BodyFile,
    CameraName,
    Device,
    Every,
    FieldOfView,
    FocalLength,
    LensFile,
    MaskFolder,
    MasksFrom,
    Mirror,
    Model,
    Models,
    Out,
    Overwrite,
    Range,
    Recording,
    check_source,
    command_line,
)


def predict(
    model: Model,
    recording: Recording,
    out: Out,
    masks: MaskFolder = None,
    masks_from: MasksFrom = None,
    models: Models = None,
    background: Background = None,
    levels: Range = None,
    body: BodyFile = None,
    size: Annotated[
        int | None,
        typer.Option(
            "--size", min=32, max=1024, help=f"Side of the crops, pixels. Default: the regressor's own, or {CROP_SIZE}."
        ),
    ] = None,
    every: Every = FitOptions.every,
    focal: FocalLength = None,
    fov: FieldOfView = None,
    calibration: LensFile = None,
    camera: CameraName = None,
    mirror: Mirror = False,
    device: Device = FitOptions.device,
    overwrite: Overwrite = False,
) -> None:
    """Predict a body for each moving person in a recording.

    Writes the same files as `topo-adapt fit`.
    """
    from rich.console import Console

    from adaptation.bodies.body import Body
    from adaptation.recording.footage.empty_scene import read_background
    from adaptation.recording.footage.segmented_masks import open_given
    from adaptation.recording.footage.video import open_frames
    from adaptation.recording.predict import predict_recording
    from adaptation.regressors.base import crop_rule
    from adaptation.regressors.files import load_network
    from adaptation.regressors.mirrored import Mirrored
    from adaptation.reports.fits import Heading
    from adaptation.reports.result_folder import summarise, write_results
    from adaptation.support.files import result_folder
    from adaptation.support.levels import Levels
    from adaptation.support.progress import Progress
    from adaptation.support.reading.findings import kept_findings
    from adaptation.synthetic.settings import MARGIN

    check_source(masks, background, masks_from, models)
    lens = LensOptions(focal, fov, None if calibration is None else str(calibration), camera)
    # The margin of the synthetic crops that the shipped network was trained on; fits use a smaller one.
    options = FitOptions(every=every, size=size or CROP_SIZE, margin=MARGIN, device=device)
    with kept_findings() as found, result_folder(out, overwrite=overwrite) as folder:
        network = load_network(model).network
        options = cropped_by(options, crop_rule(network), size)
        shape = Body.load(body) if body else Body.free()
        frames = open_frames(recording, Levels.parse(levels) if levels is not None else None)
        options = seen_through(options, lens, frames.size)
        given = open_given(masks, models, frames)
        empty = read_background(background, frames) if background else ()
        # Averaging with the mirror image lowers errors at twice the cost, so it is left to the user.
        used = Mirrored(network) if mirror else network
        outcome = predict_recording(frames, shape, options, used, Progress(), given, empty)
        heading = Heading(
            "Predicted bodies",
            frames.path.name,
            command_line(),
            found=found,
            method="A regressor predicted the bodies; nothing was fitted, so before and after are equal.",
        )
        write_results(folder, frames, shape.cpu(), outcome, options, heading)
    summarise(Console(), out, outcome)
