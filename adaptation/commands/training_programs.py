"""The training programs behind ``topo-adapt``: each reads top to bottom."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from adaptation.adapting.algorithm1 import AdaptSettings, Teaching, adapt, choose_teacher, taught
from adaptation.adapting.presets import Preset
from adaptation.adapting.teacher import TEACHES_WITHIN
from adaptation.bodies.body import Body
from adaptation.bodies.poses import sample_poses
from adaptation.commands.fit_programs import summarise, write_results
from adaptation.data.keypoints import KEYPOINT_JOINTS, read_openpose, simulated_keypoints, to_body_joints
from adaptation.data.samples import FRAMES, Domain, DomainSettings, make_domain
from adaptation.evaluation.scores import PROTOCOL, Scores, evaluate
from adaptation.losses.silhouettes import at_size
from adaptation.priors.gaussian import pose_prior
from adaptation.priors.latent import LatentPosePrior
from adaptation.recording.crop_samples import domain_of_crops
from adaptation.recording.mask_files import open_masks
from adaptation.recording.pipeline import (
    FitOptions,
    FitOutcome,
    FittedPerson,
    choose_detections,
    cut_crops,
    make_fitter,
)
from adaptation.recording.predict import predict_person
from adaptation.recording.tracking import find_people
from adaptation.recording.video import Frames, open_frames
from adaptation.regressors.files import LoadedNetwork, load_imagenet, load_network
from adaptation.regressors.hmr import Regressor
from adaptation.regressors.mirrored import Mirrored
from adaptation.reports.adaptation import build_adaptation_report, write_adaptation_report
from adaptation.support.devices import usable_device
from adaptation.support.errors import UserError
from adaptation.support.files import MARKER, check_file, result_folder, writing
from adaptation.support.progress import Progress
from adaptation.synthetic.shifts import low_resolution, night, perturbed
from adaptation.training.latent_prior import PriorSettings, measure_prior, train_prior
from adaptation.training.pretrain import pretrain
from adaptation.training.processes import is_first, join
from adaptation.training.runs import STATE, load_state
from adaptation.training.uap import UapSettings, craft, load_perturbation, save_perturbation

SHIFTS = ("lr-96", "lr-52", "lr-32", "uap-4", "uap-8", "uap-16", "night")


def domain(settings: DomainSettings, out: Path, *, workers: int, overwrite: bool) -> None:
    """Film a synthetic domain and write it as a folder of crops."""
    with result_folder(out, overwrite=overwrite) as folder:
        made = film(settings, workers, "Filming")
        made.save(folder, asdict(settings))
        (folder / MARKER).write_text(json.dumps(asdict(settings), indent=2) + "\n")
    Console().print(f"{len(made)} crops of {settings.size} px in {out}", highlight=False)


def film(settings: DomainSettings, workers: int, title: str) -> Domain:
    """Film a domain under a progress bar."""
    with Progress().task(title, settings.clips * FRAMES) as update:
        return make_domain(settings, workers=workers, progress=update.by)


def degrade(source: Path, shift: str, out: Path, *, delta: Path | None, overwrite: bool) -> None:
    """Write a set of crops as another camera would see it."""
    domain = Domain.load(source)
    change = shift_by_name(shift, domain.size, delta)
    with result_folder(out, overwrite=overwrite) as folder:
        shifted = shift_domain(domain, change)
        shifted.save(folder, {"source": str(source), "shift": shift})
        (folder / MARKER).write_text(json.dumps({"source": str(source), "shift": shift}, indent=2) + "\n")


def write_pictures(crops: Path, out: Path) -> None:
    """Write crops as numbered PNG files, for a detector to look at."""
    images = Domain.load(crops).images
    with result_folder(out, overwrite=False) as folder:
        for number, image in enumerate(images):
            # Not imwrite, which says nothing when the disk is full.
            _, data = cv2.imencode(".png", cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2BGR))
            (folder / f"{number:06d}.png").write_bytes(data.tobytes())
    Console().print(f"{len(images)} pictures in {out}", highlight=False)


def read_keypoints(crops: Path, openpose: Path) -> None:
    """Keep a detector's keypoints beside the crops that it has seen."""
    domain, found = Domain.load(crops), to_body_joints(read_openpose(openpose))
    if len(found) != len(domain):
        raise UserError(f"{openpose} has {len(found)} JSON files for {len(domain)} crops in {crops}; wanted one each")
    _keep_keypoints(domain, crops, found)


def simulate_keypoints(crops: Path, *, noise: float, missing: float, seed: int) -> None:
    """Keep keypoints that are made from a set's labels beside its crops."""
    domain = Domain.load(crops)
    _keep_keypoints(domain, crops, simulated_keypoints(domain, noise, missing, torch.Generator().manual_seed(seed)))


def _keep_keypoints(domain: Domain, folder: Path, keypoints: npt.NDArray[np.float32]) -> None:
    replace(domain, keypoints=keypoints).save_labels(folder)
    found = (keypoints[:, list(KEYPOINT_JOINTS), 2] > 0).mean()
    Console().print(f"{folder}: keypoints of {len(domain)} crops, {found:.0%} of the joints found", highlight=False)


Shift = Callable[[Tensor, Tensor, torch.Generator], Tensor]


def shift_by_name(name: str, size: int, delta: Path | None) -> Shift:
    """A shift of images (B, 3, S, S) with masks (B, 1, S, S), by name.

    Raises:
        UserError: unknown, or a perturbation is needed and missing or of another size.
    """
    kind, _, number = name.partition("-")
    if name not in SHIFTS:
        raise UserError(f"--shift must be one of {', '.join(SHIFTS)}, got {name!r}")
    if delta is not None and kind != "uap":
        raise UserError(f"--delta is for uap-4, uap-8 and uap-16, not for {name}")
    if kind == "lr":
        # The widths are those of 224-pixel crops.
        width = max(1, round(int(number) * size / 224))
        return lambda images, _masks, _generator: low_resolution(images, width)
    if kind == "uap":
        if delta is None:
            raise UserError(f"{name} needs --delta, a perturbation made by `topo-adapt uap`")
        scaled = load_perturbation(delta, size, float(number))
        return lambda images, _masks, _generator: perturbed(images, scaled)
    return lambda images, masks, generator: night(images, masks, generator)


def shift_domain(domain: Domain, change: Shift) -> Domain:
    """All images of a set, shifted; masks and labels stay, keypoints go: they were found in other images."""
    generator = torch.Generator().manual_seed(0)
    images = np.empty_like(domain.images)
    for index in torch.arange(len(domain)).split(256):
        part = index.numpy()
        shifted = change(domain.image_batch(part), domain.mask_batch(part), generator)
        images[part] = (255 * shifted).round().byte().permute(0, 2, 3, 1).numpy()
    return replace(domain, images=images, keypoints=None)


def prior(out: Path, settings: PriorSettings, *, poses: Path | None) -> None:
    """Train the latent pose prior on poses of a file, or on sampled ones."""
    check_file(out)
    if poses is None:
        every = sample_poses(60000, torch.Generator().manual_seed(settings.seed + 1))
    else:
        every = read_poses(poses)
    held_out = every[::20]
    training = every[torch.arange(len(every)) % 20 != 0]
    with Progress().task("Training the prior", settings.steps) as update:
        trained = train_prior(training, settings, progress=update.by)
    figures = measure_prior(trained, training, held_out)
    trained.save(out, {"settings": json.dumps(asdict(settings)), "figures": json.dumps(asdict(figures))})
    Console().print(
        f"{out}: reconstruction {figures.degrees:.1f} degrees, {figures.millimetres:.1f} mm; Gaussian energy "
        f"{figures.data_energy:.0f} of poses, {figures.between_energy:.0f} half way between two, "
        f"{figures.random_energy:.0f} of random phi",
        highlight=False,
    )


def read_poses(path: Path) -> Tensor:
    """Poses (N, 24, 3) of an npz with ``poses`` (N, 72 or more), as AMASS has them, or ``pose`` (N, 24, 3).

    Raises:
        UserError: missing, or without such an array.
    """
    try:
        with np.load(path, allow_pickle=False) as data:
            array = data["poses"] if "poses" in data else data["pose"]
        flat = array.reshape(len(array), -1).astype(np.float32)
    except Exception as error:  # np.load has no common error of its own
        raise UserError(f"{path} has no poses: {error}") from None
    if flat.shape[1] < 66 or not np.isfinite(flat).all() or len(flat) < 40:
        raise UserError(f"{path}: wanted at least 40 finite poses of 66 numbers or more, got {array.shape}")
    pose = np.zeros((len(flat), 24, 3), np.float32)
    # SMPL-H and SMPL-X share the first 22 joints with SMPL; theirs have fingers where SMPL has hands.
    count = 24 if flat.shape[1] == 72 else 22
    pose[:, :count] = flat[:, : 3 * count].reshape(-1, count, 3)
    return torch.from_numpy(pose)


def train_source(
    source: Path,
    out: Path,
    preset: Preset,
    *,
    prior: str | None,
    imagenet: Path | None,
    device: str,
    seed: int,
    overwrite: bool,
) -> None:
    """Train a source regressor; ``out/model.safetensors`` is the result."""
    usable_device(device)
    join(device)
    domain = Domain.load(source)
    settings = replace(preset.pretrain, seed=seed)
    torch.manual_seed(seed)
    decoder = LatentPosePrior.named(prior) if prior else None
    network = Regressor(preset.blocks, preset.width, preset.hidden, decoder, preset.heatmaps)
    if imagenet:
        load_imagenet(network, imagenet)
    describe = {
        "source": str(source),
        "imagenet": str(imagenet),
        "network": {
            "blocks": preset.blocks,
            "width": preset.width,
            "hidden": preset.hidden,
            "heatmaps": preset.heatmaps,
            "prior": str(prior),
        },
    }
    with Progress().task("Training", settings.steps) as update:
        pretrain(
            network,
            domain,
            Body.free(),
            settings,
            out,
            describe=describe,
            device=device,
            overwrite=overwrite,
            progress=update.by,
        )
    if not is_first():
        return
    LoadedNetwork(network, ".safetensors", {}, None).save(out / "model.safetensors")
    Console().print(f"{out / 'model.safetensors'}: {settings.steps} steps on {len(domain)} crops", highlight=False)


def adapt_network(
    model: str,
    target: Path,
    out: Path,
    settings: AdaptSettings,
    *,
    made_for: int,
    teacher: Teaching = "auto",
    options: FitOptions,
    source: Path | None,
    test: Path | None,
    masks: Path | None,
    body: Path | None,
    device: str,
    overwrite: bool,
    command: str,
) -> None:
    """Adapt a regressor to a set of crops or to a recording, and report before and after.

    ``out`` gets the weights in the format that ``model`` has and, of a recording, ``bodies`` with results and report.
    Settings made for crops of a size, in pixels, are brought to that of the target's; whether there is a teacher is
    decided by `choose_teacher` where it is not said.
    """
    usable_device(device)
    join(device)
    console = Console()
    pose_prior(settings.fit.prior)  # first: what is wrong with it is to be said at once
    loaded = load_network(model)
    before = copy.deepcopy(loaded.network)
    shape = Body.load(body) if body else Body.free()
    replayed, measured = (Domain.load(folder) if folder else None for folder in (source, test))
    for folder, crops in ((source, replayed), (test, measured)):
        if crops is not None and not crops.labelled:
            raise UserError(f"{folder} has no labels (pose, betas, camera), which --source and --test need")
    if is_crops(target):
        domain, frames, outcome = Domain.load(target), None, None
    else:
        frames = open_frames(target)
        outcome = find_crops(frames, shape, options, before, masks=masks)
        domain = domain_of_crops([crop for person in outcome.people for crop in person.crops])
    settings = replace(settings, loss=at_size(settings.loss, domain.size / made_for))
    if teacher == "yes":
        settings = taught(settings)
    elif teacher == "auto" and replayed is not None:
        settings, apart = choose_teacher(settings, before, domain, shape, device)
        if apart is not None and is_first():
            console.print(
                f"teacher: {'yes' if settings.teacher_weight else 'no'}, since bodies seen in crops and in their "
                f"mirror images are {apart:.0f} mm apart (limit {TEACHES_WITHIN:.0f})",
                highlight=False,
                soft_wrap=True,
            )
    with Progress().task("Adapting", settings.steps) as update:
        adapt(
            loaded.network,
            domain,
            shape,
            settings,
            out,
            source=replayed,
            describe={
                "model": model,
                "target": str(target),
                "replay": str(source),
                "body": str(body),
                "recording": None if frames is None else {"masks": str(masks), "crops": asdict(options)},
            },
            device=device,
            overwrite=overwrite,
            progress=update.by,
        )
    if not is_first():
        return
    weights = out / f"adapted{loaded.suffix}"
    loaded.save(weights)
    console.print(f"adapted weights: {weights}", highlight=False)
    if frames is not None and outcome is not None:
        after = predictions(outcome, loaded.network, shape, options, before=before)
        with result_folder(out / "bodies", overwrite=True) as folder:
            title = "Bodies before and after adaptation"
            write_results(folder, frames, shape.cpu(), after, options, title=title, command=command)
        summarise(console, out / "bodies", after)
    measured = domain if measured is None else measured
    scores = None
    if measured.pose is not None:
        scores = tuple(evaluate(network, measured, shape, device=device) for network in (before, loaded.network))
        named = dict(zip(("before", "after"), scores, strict=True))
        show_scores(console, named)
        comparison = {"protocol": PROTOCOL, **{name: each.summary() for name, each in named.items()}}
        with writing(out):
            scores[1].write(out)
            (out / "comparison.json").write_text(json.dumps(comparison, indent=2) + "\n")
    report = build_adaptation_report(
        target=target.name,
        model=model,
        domain=domain,
        adapt=settings,
        before=before,
        after=loaded.network,
        fitter=make_fitter(shape, options),
        curve=load_state(out / STATE)["curve"],
        scores=scores,
        measured=str(test or target),
        settings=json.loads((out / MARKER).read_text()),
        command=command,
    )
    with result_folder(out / "report", overwrite=True) as folder:
        write_adaptation_report(folder / "index.html", report)
        (folder / MARKER).write_text(json.dumps({"command": command}, indent=2) + "\n")
    console.print(f"report: {out / 'report' / 'index.html'}", markup=False, highlight=False, soft_wrap=True)


def is_crops(target: Path) -> bool:
    """Whether a target is a folder of crops; if not, it is a recording."""
    return target.is_dir() and (target / "images.npy").exists()


def find_crops(
    frames: Frames, body: Body, options: FitOptions, network: nn.Module, *, masks: Path | None
) -> FitOutcome:
    """People of a recording with the crops asked for, and what a network says about them."""
    progress = Progress()
    fitter = make_fitter(body, options)  # first: what is wrong with the device is to be said at once
    given = open_masks(masks, frames) if masks else None
    with progress.task("Finding people") as update:
        tracks = find_people(frames, method=options.method, masks=given, settings=options.tracks, progress=update.to)
    chosen, notes = choose_detections(tracks, options)
    with progress.task("Cutting crops", sum(len(detections) for _, detections in chosen)) as update:
        crops = cut_crops(frames, chosen, options, update.by)
    people = [
        FittedPerson(track, person, predict_person(person, network, fitter))
        for (track, _), person in zip(chosen, crops, strict=True)
    ]
    return FitOutcome(people, notes, frames.warning)


def predictions(
    outcome: FitOutcome, network: nn.Module, body: Body, options: FitOptions, *, before: nn.Module
) -> FitOutcome:
    """The same crops, seen by a network after its adaptation and before."""
    fitter = make_fitter(body, options)
    people = [
        FittedPerson(p.track, p.crops, predict_person(p.crops, network, fitter, before=before)) for p in outcome.people
    ]
    return replace(outcome, people=people)


def predict(
    model: str,
    recording: Path,
    out: Path,
    *,
    options: FitOptions,
    masks: Path | None,
    body: Path | None,
    mirror: bool,
    overwrite: bool,
    command: str,
) -> None:
    """What a regressor alone says about everyone who moves in a recording, as ``fit`` writes it."""
    network = load_network(model).network
    shape = Body.load(body) if body else Body.free()
    frames = open_frames(recording)
    with result_folder(out, overwrite=overwrite) as folder:
        outcome = find_crops(frames, shape, options, Mirrored(network) if mirror else network, masks=masks)
        write_results(folder, frames, shape.cpu(), outcome, options, title="Bodies as predicted", command=command)
    summarise(Console(), out, outcome)


def measure(model: str, test: Path, out: Path | None, *, mirror: bool, device: str, overwrite: bool) -> None:
    """Errors of a regressor on a labelled set of crops; ``mirror``: of its mean over them and their mirror images."""
    usable_device(device)
    network = load_network(model).network
    scores = evaluate(Mirrored(network) if mirror else network, Domain.load(test), Body.free(), device=device)
    show_scores(Console(), {"": scores})
    if out:
        with result_folder(out, overwrite=overwrite) as folder:
            scores.write(folder)
            what = {"model": model, "test": str(test), "mirror": mirror}
            (folder / MARKER).write_text(json.dumps(what, indent=2) + "\n")


def show_scores(console: Console, scores: dict[str, Scores]) -> None:
    """A table of means."""
    table = Table("", "MPJPE mm", "PA-MPJPE mm", "IoU", box=None)
    for name, each in scores.items():
        row = each.summary()
        table.add_row(name, f"{row['mpjpe']:.1f}", f"{row['pa_mpjpe']:.1f}", f"{row['iou']:.3f}")
    console.print(table)
    console.print(PROTOCOL, style="dim", highlight=False)


def uap(model: str, images: Path, out: Path, settings: UapSettings, *, device: str) -> None:
    """Craft a universal perturbation on a network and write it as npy."""
    check_file(out)
    usable_device(device)
    network, domain = load_network(model).network, Domain.load(images)
    with Progress().task("Crafting", settings.steps) as update:
        delta = craft(network, domain, settings, device=device, progress=update.by)
    save_perturbation(out, delta)
    Console().print(f"{out}: at most {settings.strength:g}/255 per pixel", highlight=False)
