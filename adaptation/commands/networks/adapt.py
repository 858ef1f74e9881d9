"""``topo-adapt adapt``: adapt a regressor to a recording or to a folder of crops."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from adaptation.adapting.presets import CROP_SIZE, PRESETS, preset
from adaptation.adapting.settings import OBJECTIVES, AdaptSettings, check_useful, layers_of
from adaptation.adapting.settings import plain_sums as as_plain_sums
from adaptation.commands.networks.adapt_job import AdaptJob, adapt_network
from adaptation.data.calibration.lens import LensOptions
from adaptation.losses.settings import LossSettings
from adaptation.recording.options import FitOptions
from adaptation.regressors.modes import NORMS, PRECISIONS
from adaptation.support.arguments import (
    Background,
    BodyFile,
    CameraName,
    Device,
    FieldOfView,
    FocalLength,
    LensFile,
    MaskFolder,
    MasksFrom,
    Model,
    Models,
    Overwrite,
    PrecisionOption,
    PresetOption,
    Range,
    RunOut,
    Seed,
    check_source,
    choice,
    command_line,
)
from adaptation.support.errors import UserError
from adaptation.synthetic.settings import MARGIN

_FOR_RECORDINGS = (
    "--size", "--every", "--fits", "--masks", "--masks-from", "--background", "--range", "--focal", "--fov",
    "--calibration",
)  # fmt: skip


def adapt(
    model: Model,
    target: Annotated[
        Path, typer.Argument(help="Recording of a static camera (video or folder of frames), or folder of crops.")
    ],
    out: RunOut,
    preset_name: PresetOption = "small",
    loss: Annotated[
        str,
        typer.Option(
            "--loss",
            help="Objective on the target. Silhouettes: b1, b2, b3 or ours. 2D keypoints: a1, a2 (a1 and fits) or weak "
            "(keypoints and ours). Upper bound: labels.",
        ),
    ] = LossSettings.name,
    plain_sums: Annotated[
        bool,
        typer.Option("--plain-sums", help="Use the losses as printed in the paper: L_S + L_T, not divided by areas."),
    ] = False,
    mask_kind: Annotated[
        str, typer.Option("--mask-kind", help="Kind of masks in a folder of crops: truth, subtracted or degraded.")
    ] = AdaptSettings.masks,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Training steps. Default: the preset's.")] = None,
    rate: Annotated[float | None, typer.Option("--rate", min=0, help="Learning rate. Default: the preset's.")] = None,
    fits_every: Annotated[
        int | None,
        typer.Option(
            "--fits-every", min=0, help="K: every K-th step trains on fits; 0: no step does. Default: the preset's."
        ),
    ] = None,
    teacher: Annotated[
        str,
        typer.Option(
            "--teacher", help="Mean teacher: yes, no, or auto (only with --source and a model that is good enough)."
        ),
    ] = "auto",
    layers: Annotated[
        str,
        typer.Option(
            "--layers", help="Layers to train: all, head, norm, or lora (low-rank updates of linear layers; lora:RANK)."
        ),
    ] = AdaptSettings.layers,
    norm: Annotated[
        str | None,
        typer.Option("--norm", help="Batch norm statistics: target, or frozen (the source's). Default: the preset's."),
    ] = None,
    precision: PrecisionOption = AdaptSettings.precision,
    pose_prior: Annotated[
        str | None,
        typer.Option("--prior", help="Pose prior: gaussian, motion, mixture, latent, a file. Default: the preset's."),
    ] = None,
    source: Annotated[Path | None, typer.Option("--source", help="Folder of labelled source crops to replay.")] = None,
    fits: Annotated[
        Path | None,
        typer.Option("--fits", help="Results of `topo-adapt fit` for the same recording, to learn from as well."),
    ] = None,
    test: Annotated[Path | None, typer.Option("--test", help="Folder of labelled crops to measure errors on.")] = None,
    masks: MaskFolder = None,
    masks_from: MasksFrom = None,
    models: Models = None,
    background: Background = None,
    levels: Range = None,
    body: BodyFile = None,
    size: Annotated[
        int | None,
        typer.Option(
            "--size",
            min=32,
            max=1024,
            help=f"For a recording: side of the crops, pixels. Default: the regressor's own, or {CROP_SIZE}.",
        ),
    ] = None,
    every: Annotated[
        int | None,
        typer.Option(
            "--every", min=1, help=f"For a recording: use one frame in this many. Default: {FitOptions.every}."
        ),
    ] = None,
    focal: FocalLength = None,
    fov: FieldOfView = None,
    calibration: LensFile = None,
    camera: CameraName = None,
    device: Device = "cpu",
    seed: Seed = AdaptSettings.seed,
    overwrite: Overwrite = False,
) -> None:
    """Adapt a regressor to a camera from silhouettes.

    Other objectives, on 2D keypoints or labels, serve for comparison.
    """
    from adaptation.adapting.teacher import TEACHINGS
    from adaptation.data.samples import MASK_KINDS, is_crop_set
    from adaptation.support.levels import Levels
    from adaptation.training.runs import resumable

    chosen = preset(choice("--preset", preset_name, PRESETS))
    objective = choice("--loss", loss, tuple(OBJECTIVES))
    check_useful(objective, teacher=teacher == "yes", fits=bool(fits_every), plain_sums=plain_sums)
    check_source(masks, background, masks_from, models)
    given = (size, every, fits, masks, masks_from, background, levels, focal, fov, calibration)
    for option, value in zip(_FOR_RECORDINGS, given, strict=True):
        if value is not None and is_crop_set(target):
            raise UserError(f"{option} is for recordings; {target} is a folder of crops")
    base = chosen.adapt if source else chosen.adapt_alone  # without replay nothing keeps the network from forgetting
    settings = OBJECTIVES[objective].apply(
        replace(
            base,
            masks=choice("--mask-kind", mask_kind, MASK_KINDS),
            **layers_of(layers),
            norm=choice("--norm", norm, NORMS) if norm else base.norm,
            precision=choice("--precision", precision, PRECISIONS),
            fit=replace(base.fit, prior=pose_prior or base.fit.prior),
            steps=base.steps if steps is None else steps,
            rate=base.rate if rate is None else rate,
            every=base.every if fits_every is None else fits_every,
            seed=seed,
        )
    )
    job = AdaptJob(
        model=model,
        target=target,
        out=out,
        settings=as_plain_sums(settings) if plain_sums else settings,
        made_for=chosen.size,
        teacher=choice("--teacher", teacher, TEACHINGS),
        size=size,
        lens=LensOptions(focal, fov, None if calibration is None else str(calibration), camera),
        options=FitOptions(size=size or CROP_SIZE, every=every or FitOptions.every, margin=MARGIN, device=device),
        source=source,
        test=test,
        fits=fits,
        masks=masks,
        models=models,
        background=background,
        levels=Levels.parse(levels) if levels is not None else None,
        body=body,
        overwrite=overwrite,
        command=command_line(),
    )
    with resumable(out):
        adapt_network(job)
