"""The training commands of ``topo-adapt``, from `domain`, which films crops to train on, to `evaluate`."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from adaptation.support.arguments import Device, Out, Overwrite, Seed, choice
from adaptation.support.errors import UserError

RunOut = Annotated[Path, typer.Option("--out", help="Folder of the run; a run that was stopped in it goes on.")]
FileOut = Annotated[Path, typer.Option("--out", help="File to write.")]
PresetOption = Annotated[str, typer.Option("--preset", help="tiny (seconds), small (two CPU cores) or paper (GPU).")]
Model = Annotated[
    str,
    typer.Option(
        "--model", help="Weights with SPIN's keys (.safetensors, .pt), package.module:function, or small: shipped."
    ),
]
PrecisionOption = Annotated[
    str, typer.Option("--precision", help="float32, or bfloat16 where the processor has it: half the time.")
]
Crops = Annotated[Path, typer.Argument(help="Folder of crops, as `topo-adapt domain` makes them.")]
Recording = Annotated[Path, typer.Argument(help="Video file, or folder of frames, of a camera that stands still.")]
MaskFolder = Annotated[Path | None, typer.Option("--masks", help="Folder of PNG masks instead of subtraction.")]
BodyFile = Annotated[Path | None, typer.Option("--body", help="Body model: SMPL .pkl or .npz. Default: the free body.")]
Every = Annotated[int, typer.Option("--every", min=1, help="Use one frame in this many of a recording.")]
Mirror = Annotated[bool, typer.Option("--mirror", help="See mirror images too, give the mean: twice the time.")]
Size = Annotated[int, typer.Option("--size", min=32, max=1024, help="Side of the crops that the model takes, pixels.")]


def domain(
    out: Out,
    family: Annotated[
        str, typer.Option("--family", help="source; style: no look in common; site: style, one camera per --seed.")
    ] = "source",
    split: Annotated[str, typer.Option("--split", help="train, adapt or test; they share nobody.")] = "train",
    count: Annotated[int, typer.Option("--count", min=1, help="Crops, rounded up to clips of 12.")] = 1200,
    size: Annotated[int, typer.Option("--size", min=32, max=512, help="Side of the crops in pixels.")] = 96,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes.")] = 1,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Film a synthetic domain: crops of people with masks and poses."""
    from adaptation.data.samples import DomainSettings
    from adaptation.training import programs

    settings = DomainSettings(family, split, count, size, seed)  # type: ignore[arg-type]
    programs.domain(settings, out, workers=workers, overwrite=overwrite)


def degrade(
    crops: Crops,
    out: Out,
    shift: Annotated[str, typer.Option("--shift", help="lr-96, lr-52, lr-32, uap-4, uap-8, uap-16 or night.")],
    delta: Annotated[Path | None, typer.Option("--delta", help="Perturbation for uap, from `topo-adapt uap`.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Write crops as a worse camera would see them."""
    from adaptation.training import programs

    programs.degrade(crops, shift, out, delta=delta, overwrite=overwrite)


def keypoints(
    crops: Crops,
    openpose: Annotated[
        Path | None, typer.Option("--from", help="Folder of OpenPose's JSON files, one per crop, in their order.")
    ] = None,
    simulate: Annotated[bool, typer.Option("--simulate", help="Make them from the labels, with noise.")] = False,
    pictures: Annotated[
        Path | None, typer.Option("--pictures", help="Write the crops as PNG into this folder, for a detector.")
    ] = None,
    noise: Annotated[float, typer.Option("--noise", min=0, help="Of --simulate, standard deviation in pixels.")] = 2.0,
    missing: Annotated[
        float, typer.Option("--missing", min=0, max=1, help="Of --simulate, share of joints not found.")
    ] = 0.1,
    seed: Seed = 0,
) -> None:
    """Give crops 2D keypoints: a detector's, or stand-ins made from the labels."""
    from adaptation.training import programs

    if sum((openpose is not None, simulate, pictures is not None)) != 1:
        raise UserError("keypoints wants one of --from FOLDER, --simulate and --pictures FOLDER")
    if pictures is not None:
        programs.write_pictures(crops, pictures)
    elif openpose is not None:
        programs.read_keypoints(crops, openpose)
    else:
        programs.simulate_keypoints(crops, noise=noise, missing=missing, seed=seed)


def prior(
    out: FileOut,
    poses: Annotated[Path | None, typer.Option("--poses", help="npz of poses (AMASS); default: sampled ones.")] = None,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Training steps.")] = 12000,
    seed: Seed = 0,
) -> None:
    """Train the latent pose prior."""
    from adaptation.training import programs
    from adaptation.training.latent_prior import PriorSettings

    programs.prior(out, PriorSettings(steps=steps, seed=seed), poses=poses)


def pretrain(
    crops: Crops,
    out: RunOut,
    preset: PresetOption = "small",
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Training steps; default: the preset's.")] = None,
    pose_prior: Annotated[
        str | None, typer.Option("--prior", help="Predict a latent, not rotations: latent, or a file of `prior`.")
    ] = None,
    imagenet: Annotated[Path | None, typer.Option("--imagenet", help="Start the ResNet from these weights.")] = None,
    precision: PrecisionOption = "float32",
    device: Device = "cpu",
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Train a source regressor on labelled crops."""
    from adaptation.regressors.running import PRECISIONS
    from adaptation.training import programs
    from adaptation.training.runs import resumable

    chosen = _preset(preset)
    changes: dict[str, Any] = {"precision": choice("--precision", precision, PRECISIONS)}
    if steps is not None:
        changes["steps"] = steps
    chosen = replace(chosen, pretrain=replace(chosen.pretrain, **changes))
    with resumable(out):
        programs.train_source(
            crops, out, chosen, prior=pose_prior, imagenet=imagenet, device=device, seed=seed, overwrite=overwrite
        )


def adapt(
    model: Model,
    target: Annotated[Path, typer.Argument(help="Recording of a static camera, or folder of crops.")],
    out: RunOut,
    preset: PresetOption = "small",
    loss: Annotated[
        str,
        typer.Option(
            "--loss",
            help="b1 pixels, b2 L_S, b3, ours L_S + L_T; a1 keypoints, a2 with fits, weak ours + keypoints; or labels.",
        ),
    ] = "ours",
    plain_sums: Annotated[
        bool, typer.Option("--plain-sums", help="Losses as the paper prints them: L_S + L_T, not divided by areas.")
    ] = False,
    mask_kind: Annotated[
        str, typer.Option("--mask-kind", help="Of a folder of crops: truth, subtracted or degraded.")
    ] = "subtracted",
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Training steps; default: the preset's.")] = None,
    rate: Annotated[float | None, typer.Option("--rate", min=0, help="Learning rate; default: the preset's.")] = None,
    fits_every: Annotated[
        int | None,
        typer.Option(
            "--fits-every", min=0, help="K: one step in K learns from fits; 0: none does; default: the preset's."
        ),
    ] = None,
    teacher: Annotated[
        str, typer.Option("--teacher", help="A mean teacher: yes, no, or auto: beside --source, if the model is near.")
    ] = "auto",
    layers: Annotated[str, typer.Option("--layers", help="What trains: all, head or norm.")] = "all",
    norm: Annotated[
        str | None, typer.Option("--norm", help="Batch norm statistics: target or frozen; default: the preset's.")
    ] = None,
    precision: PrecisionOption = "float32",
    pose_prior: Annotated[
        str | None, typer.Option("--prior", help="Of poses: gaussian, latent, or a file; default: the preset's.")
    ] = None,
    source: Annotated[Path | None, typer.Option("--source", help="Labelled crops that are replayed.")] = None,
    test: Annotated[Path | None, typer.Option("--test", help="Labelled crops to measure on.")] = None,
    masks: MaskFolder = None,
    body: BodyFile = None,
    size: Annotated[
        int | None, typer.Option("--size", min=32, max=1024, help="Of a recording: side of the crops; default: 96.")
    ] = None,
    every: Annotated[
        int | None, typer.Option("--every", min=1, help="Of a recording: use one frame in this many; default: 10.")
    ] = None,
    device: Device = "cpu",
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Adapt a regressor to a camera from silhouettes alone, or from 2D keypoints to compare with."""
    from adaptation.adapting.algorithm1 import KEYPOINT_USES, TEACHINGS, AdaptSettings, with_loss
    from adaptation.data.samples import MASK_KINDS
    from adaptation.losses.silhouettes import LOSS_NAMES
    from adaptation.regressors.running import PRECISIONS
    from adaptation.training import programs
    from adaptation.training.runs import resumable

    chosen = _preset(preset)
    base = chosen.adapt if source else chosen.adapt_alone
    loss = choice("--loss", loss, (*LOSS_NAMES, *KEYPOINT_USES, "labels"))
    changes: dict[str, Any] = {
        "masks": choice("--mask-kind", mask_kind, MASK_KINDS),
        "layers": choice("--layers", layers, ("all", "head", "norm")),
        "norm": choice("--norm", norm, ("target", "frozen")) if norm else base.norm,
        "precision": choice("--precision", precision, PRECISIONS),
        "supervised": loss == "labels",
        "keypoints": loss if loss in KEYPOINT_USES else None,
        "fit": replace(base.fit, prior=pose_prior or base.fit.prior),
        "seed": seed,
    }
    for option, given, losses in (
        ("--teacher yes", teacher == "yes", ("a1", "a2", "labels")),
        ("--fits-every", bool(fits_every), ("a1", "labels")),
        ("--plain-sums", plain_sums, ("a1", "labels")),
    ):
        if given and loss in losses:
            raise UserError(f"{option} changes nothing with --loss {loss}")
    for option, value in (("--size", size), ("--every", every), ("--masks", masks)):
        if value is not None and programs.is_crops(target):
            raise UserError(f"{option} is for recordings; {target} is a folder of crops")
    if loss in LOSS_NAMES:
        base = with_loss(base, loss)
    if loss == "a2":  # its fits are what it adds to a1
        changes["every"] = base.every or AdaptSettings().every
    if plain_sums:
        changes["loss"] = replace(base.loss, normalise=False, topology_weight=1.0, pull_weight=1.0)
        changes["fit_distance"] = "plain"
    given = {"steps": steps, "rate": rate, "every": fits_every}
    changes |= {name: value for name, value in given.items() if value is not None}
    with resumable(out):
        programs.adapt_network(
            model,
            target,
            out,
            replace(base, **changes),
            made_for=chosen.size,
            teacher=choice("--teacher", teacher, TEACHINGS),
            options=_options(size or 96, every or 10, device),
            source=source,
            test=test,
            masks=masks,
            body=body,
            device=device,
            overwrite=overwrite,
            command=shlex.join(["topo-adapt", *sys.argv[1:]]),
        )


def predict(
    model: Model,
    recording: Recording,
    out: Out,
    masks: MaskFolder = None,
    body: BodyFile = None,
    size: Size = 96,
    every: Every = 10,
    mirror: Mirror = False,
    device: Device = "cpu",
    overwrite: Overwrite = False,
) -> None:
    """What a regressor alone says about everyone who moves in a recording, in the files of `fit`."""
    from adaptation.training import programs

    programs.predict(
        model,
        recording,
        out,
        options=_options(size, every, device),
        masks=masks,
        body=body,
        mirror=mirror,
        overwrite=overwrite,
        command=shlex.join(["topo-adapt", *sys.argv[1:]]),
    )


def evaluate(
    model: Model,
    crops: Crops,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for scores.json and tables.")] = None,
    mirror: Mirror = False,
    device: Device = "cpu",
    overwrite: Overwrite = False,
) -> None:
    """Errors of a regressor on labelled crops: MPJPE, PA-MPJPE, IoU, joint by joint."""
    from adaptation.training import programs

    programs.measure(model, crops, out, mirror=mirror, device=device, overwrite=overwrite)


def uap(
    model: Model,
    crops: Crops,
    out: FileOut,
    strength: Annotated[float, typer.Option("--strength", min=0, help="Largest change of a pixel, in 255ths.")] = 8.0,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Steps.")] = 400,
    device: Device = "cpu",
    seed: Seed = 0,
) -> None:
    """Craft a universal adversarial perturbation on a network other than the one to be adapted."""
    from adaptation.training import programs
    from adaptation.training.uap import UapSettings

    programs.uap(model, crops, out, UapSettings(strength=strength, steps=steps, seed=seed), device=device)


def demo(
    out: Out = Path("out/demo"),
    shift: Annotated[
        str, typer.Option("--shift", help="What the camera does to the crops: lr-96, lr-52, lr-32 or night.")
    ] = "lr-32",
    count: Annotated[int, typer.Option("--count", min=24, help="Crops to adapt to.")] = 960,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Training steps.")] = 200,
    precision: PrecisionOption = "float32",
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes that film.")] = 2,
    overwrite: Overwrite = False,
) -> None:
    """Adapt the shipped regressor to a worse camera from silhouettes alone, and measure it before and after."""
    from adaptation.commands.demo_program import DemoSettings, demo
    from adaptation.regressors.running import PRECISIONS
    from adaptation.training import programs

    kind = choice("--precision", precision, PRECISIONS)
    choice("--shift", shift, tuple(name for name in programs.SHIFTS if not name.startswith("uap")))
    demo(
        out,
        DemoSettings(shift, count, steps, kind, workers),  # type: ignore[arg-type]
        overwrite=overwrite,
        command=shlex.join(["topo-adapt", *sys.argv[1:]]),
    )


COMMANDS = (demo, pretrain, prior, adapt, predict, evaluate, uap, domain, degrade, keypoints)


def _preset(name: str) -> Any:
    from adaptation.adapting.presets import PRESETS, preset

    return preset(choice("--preset", name, PRESETS))  # type: ignore[arg-type]


def _options(size: int, every: int, device: str) -> Any:
    from adaptation.data.samples import MARGIN
    from adaptation.recording.pipeline import FitOptions

    return FitOptions(every=every, size=size, margin=MARGIN, device=device)
