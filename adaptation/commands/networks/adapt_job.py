"""The program behind ``topo-adapt adapt`` and ``demo``: adapt a regressor, and report before and after."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from adaptation.adapting.settings import AdaptSettings
from adaptation.data.calibration.lens import LensOptions
from adaptation.losses.settings import at_size
from adaptation.recording.options import FitOptions, cropped_by, seen_through
from adaptation.support.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from torch import nn

    from adaptation.adapting.pseudo_labels import PseudoLabels
    from adaptation.adapting.teacher import Teaching
    from adaptation.bodies.body import Body
    from adaptation.data.samples import Samples
    from adaptation.evaluation.scores import Scores
    from adaptation.recording.footage.video import Frames
    from adaptation.recording.pipeline import FitOutcome
    from adaptation.support.levels import Levels


@dataclass(frozen=True)
class AdaptJob:
    """Inputs of an adaptation, its settings, and the folder of its results.

    Attributes:
        model: regressor, in any form that `adaptation.regressors.files.load_network` accepts.
        target: folder of crops, or a recording.
        out: folder of the run. The adapted weights are written to it in the format of ``model`` and, for a
            recording, the bodies to its subfolder ``bodies``.
        settings: settings for crops of ``made_for`` pixels; they are rescaled to the size of the target's crops.
        made_for: side, in pixels, of the crops that ``settings`` were chosen for.
        teacher: whether to use a mean teacher; "auto" leaves the choice to
            `adaptation.adapting.teacher.choose_teacher`.
        options: how people of a recording are found and drawn, and the device.
        lens: what a user says about the lens of a recording's camera.
        size: side of the crops of a recording that a user asked for; None for the network's own, or ``options``.
        source: folder of labelled crops to replay.
        test: folder of labelled crops to measure errors on.
        fits: results of `topo-adapt fit` for the recording, whose bodies are pseudo-labels.
        masks: folder of masks of a recording, used instead of background subtraction.
        models: networks of the segmenter that makes the masks of a recording.
        background: pictures of the empty scene of a recording.
        levels: range of a recording of 16 bits.
        body: file of the body model; None for the free body.
        overwrite: whether to replace an earlier run in ``out`` instead of resuming it.
        command: command line that reproduces the result.
    """

    model: str
    target: Path
    out: Path
    settings: AdaptSettings
    made_for: int
    teacher: Teaching = "auto"
    options: FitOptions = field(default_factory=FitOptions)
    size: int | None = None
    lens: LensOptions = field(default_factory=LensOptions)
    source: Path | None = None
    test: Path | None = None
    fits: Path | None = None
    masks: Path | None = None
    models: Path | None = None
    background: Path | None = None
    levels: Levels | None = None
    body: Path | None = None
    overwrite: bool = False
    command: str = ""


def adapt_network(job: AdaptJob) -> None:
    """Adapt a regressor to a folder of crops or to a recording, and write the weights and a report.

    Args:
        job: inputs, settings and output folder.

    Raises:
        UserError: an input is missing or unusable, inputs do not fit together, or ``out`` holds another run.
    """
    from adaptation.support.reading.findings import kept_findings

    with kept_findings() as found:
        _adapt(job, found)


def _adapt(job: AdaptJob, found: Sequence[str]) -> None:
    """Adapt a regressor as `adapt_network` does; ``found`` grows as inputs are read."""
    import copy

    from rich.console import Console

    from adaptation.adapting.algorithm1 import adapt as train
    from adaptation.bodies.body import Body
    from adaptation.priors.named import pose_prior
    from adaptation.recording.fits.as_labels import result_files
    from adaptation.regressors.base import crop_rule
    from adaptation.regressors.files import load_network
    from adaptation.regressors.running import state_view
    from adaptation.support.devices import usable_device
    from adaptation.support.progress import Progress
    from adaptation.training.processes import is_first, join
    from adaptation.training.runs import Run

    console, device = Console(), job.options.device
    usable_device(device)
    join(device)
    pose_prior(job.settings.fit.prior)  # before people are searched for: an unusable prior should fail early
    if job.fits is not None:
        result_files(job.fits)  # likewise a folder without results
    loaded = load_network(job.model)
    job = replace(job, options=cropped_by(job.options, crop_rule(loaded.network), job.size))
    before = copy.deepcopy(loaded.network)  # training changes the network in place
    body = Body.load(job.body) if job.body else Body.free()
    source, test = _labelled(job.source, body, "--source"), _labelled(job.test, body, "--test")
    samples, recording = _target(job, before, body)
    labels = _pseudo_labels(job, recording, body)
    if recording is None:
        state_view(before, samples)
    settings = _with_teacher(job, before, samples, body, console)  # before the run: the choice is one of its settings
    run = Run(job.out, _describe(job, settings), overwrite=job.overwrite)
    with Progress().task("Adapting", settings.steps) as update:
        train(
            loaded.network,
            samples,
            body.to(device),
            settings,
            run,
            source=source,
            labels=labels,
            progress=update.by,
        )
    if not is_first():  # all processes hold the same weights; one writes them
        return
    # Low-rank updates of a user's own network are written without its weights.
    alone = loaded.file is None and settings.layers == "lora"
    weights = job.out / ("adapted.safetensors" if alone else f"adapted{loaded.suffix}")
    loaded.save(weights)  # in the format of the model that came, so that it fits where that one did
    console.print(f"adapted weights: {weights}", highlight=False)
    if recording is not None:
        _write_bodies(job, recording, body, (before, loaded.network), found)
    _report(job, settings, samples, test, body, (before, loaded.network), found)


def _labelled(folder: Path | None, body: Body, option: str) -> Samples | None:
    """Load the labelled crops of an option, or return None where it is not given.

    Raises:
        UserError: the crops have no labels, or labels of another body model.
    """
    from adaptation.data.samples import Samples

    if folder is None:
        return None
    samples = Samples.load(folder)
    if not samples.labelled:
        raise UserError(f"{folder} has no labels (pose, betas, camera), which --source and --test need")
    try:
        samples.check_body(body)
    except UserError as error:
        raise UserError(f"{option} {folder}: {error}") from None
    return samples


def _target(job: AdaptJob, network: nn.Module, body: Body) -> tuple[Samples, tuple[Frames, FitOutcome] | None]:
    """Load the crops to adapt to; for a recording, also return its frames and the network's predictions."""
    from rich.console import Console

    from adaptation.data.samples import Samples, is_crop_set
    from adaptation.recording.crop_sets import samples_of_crops
    from adaptation.recording.footage.empty_scene import read_background
    from adaptation.recording.footage.segmented_masks import open_given
    from adaptation.recording.footage.video import open_frames
    from adaptation.recording.predict import predict_recording
    from adaptation.reports.result_folder import say_unused
    from adaptation.support.progress import Progress
    from adaptation.training.processes import is_first

    if is_crop_set(job.target):
        samples = Samples.load(job.target)
        # Labels, if there are any, measure the result: what they cannot measure should fail before the work.
        if samples.labelled:
            samples.check_body(body)
        return samples, None
    frames = open_frames(job.target, job.levels)
    given = open_given(job.masks, job.models, frames)
    empty = read_background(job.background, frames) if job.background else ()
    options = seen_through(job.options, job.lens, frames.size)
    outcome = predict_recording(frames, body, options, network, Progress(), given, empty)
    if is_first():
        say_unused(Console(), outcome.notes)
    return samples_of_crops([crop for person in outcome.people for crop in person.crops]), (frames, outcome)


def _pseudo_labels(job: AdaptJob, recording: tuple[Frames, FitOutcome] | None, body: Body) -> PseudoLabels | None:
    """Read the bodies of ``job.fits`` for the crops of a recording."""
    from adaptation.recording.fits.as_labels import labels_of_results

    if job.fits is None or recording is None:
        return None
    crops = [crop for person in recording[1].people for crop in person.crops]
    return labels_of_results(job.fits, crops, body)


def _with_teacher(job: AdaptJob, network: nn.Module, samples: Samples, body: Body, console: Console) -> AdaptSettings:
    """Scale the settings to the size of the crops, and add the mean teacher where it is used."""
    from adaptation.adapting.abilities import check_able
    from adaptation.adapting.teacher import TEACHES_WITHIN, choose_teacher, taught
    from adaptation.training.processes import is_first

    check_able(
        network,
        samples,
        job.settings,
        source=job.source is not None,
        labels=job.fits is not None,
        device=job.options.device,
    )
    settings = replace(job.settings, loss=at_size(job.settings.loss, samples.size / job.made_for))
    if job.teacher == "yes":
        return taught(settings)
    if job.teacher == "no" or job.source is None:
        return settings
    settings, apart = choose_teacher(settings, network, samples, body, job.options.device)
    if apart is not None and is_first():
        console.print(
            f"teacher: {'yes' if settings.teacher_weight else 'no'}, since bodies predicted for crops and for their "
            f"mirror images are {apart:.0f} mm apart (limit {TEACHES_WITHIN:.0f})",
            highlight=False,
            soft_wrap=True,
        )
    return settings


def _describe(job: AdaptJob, settings: AdaptSettings) -> dict[str, object]:
    """Return all settings and inputs that the result depends on; a run resumes only if they are equal."""
    from adaptation.data.samples import is_crop_set

    recording = None if is_crop_set(job.target) else {"masks": str(job.masks), "crops": asdict(job.options)}
    if recording is not None:  # only where they are given: runs without them can still be resumed
        recording |= {"lens": asdict(job.lens)} if job.lens != LensOptions() else {}
        recording |= {"background": str(job.background)} if job.background else {}
        recording |= {"models": str(job.models)} if job.models else {}
        recording |= {"levels": asdict(job.levels)} if job.levels else {}
    described: dict[str, object] = {} if job.fits is None else {"fits": str(job.fits)}
    return described | {
        "adapt": asdict(settings),
        "model": job.model,
        "target": str(job.target),
        "replay": str(job.source),
        "body": str(job.body),
        "recording": recording,
    }


def _write_bodies(
    job: AdaptJob,
    recording: tuple[Frames, FitOutcome],
    body: Body,
    networks: tuple[nn.Module, nn.Module],
    found: Sequence[str],
) -> None:
    """Write the bodies of a recording before and after the adaptation, and their report."""
    from rich.console import Console

    from adaptation.recording.pipeline import make_fitter
    from adaptation.recording.predict import predict_again
    from adaptation.reports.fits import Heading
    from adaptation.reports.result_folder import summarise, write_results
    from adaptation.support.files import result_folder

    (frames, outcome), (before, after) = recording, networks
    again = predict_again(outcome, make_fitter(body, job.options), before=before, after=after)
    with result_folder(job.out / "bodies", overwrite=True) as folder:  # a resumed run writes them again
        heading = Heading(
            "Bodies before and after adaptation",
            frames.path.name,
            job.command,
            found=found,
            method="Before and after are the bodies that the source regressor and the adapted one predict.",
        )
        options = seen_through(job.options, job.lens, frames.size)
        write_results(folder, frames, body.cpu(), again, options, heading)
    summarise(Console(), job.out / "bodies", again)


def _report(
    job: AdaptJob,
    settings: AdaptSettings,
    samples: Samples,
    test: Samples | None,
    body: Body,
    networks: tuple[nn.Module, nn.Module],
    found: Sequence[str],
) -> None:
    """Measure errors if there are labels, and write the report."""
    import json

    from rich.console import Console

    from adaptation.recording.pipeline import make_fitter
    from adaptation.reports.adaptation import Adapted, build_adaptation_report, write_adaptation_report
    from adaptation.support.files import MARKER, result_folder
    from adaptation.training.runs import STATE, load_state

    measured = samples if test is None else test  # a target with labels can measure itself
    adapted = Adapted(
        target=job.target.name,
        model=job.model,
        samples=samples,
        settings=settings,
        before=networks[0],
        after=networks[1],
        curve=load_state(job.out / STATE)["curve"],  # also the checks before a run was resumed
        scores=_measure(job, measured, body, networks) if measured.labelled else None,
        measured=str(job.test or job.target),
        described=json.loads((job.out / MARKER).read_text()),
        command=job.command,
        found=found,
    )
    report = build_adaptation_report(adapted, make_fitter(body, job.options))
    with result_folder(job.out / "report", overwrite=True) as folder:  # a resumed run writes it again
        write_adaptation_report(folder / "index.html", report)
        (folder / MARKER).write_text(json.dumps({"command": job.command, "found": list(found)}, indent=2) + "\n")
    page = job.out / "report" / "index.html"
    Console().print(f"report: {page}", markup=False, highlight=False, soft_wrap=True)


def _measure(
    job: AdaptJob, samples: Samples, body: Body, networks: tuple[nn.Module, nn.Module]
) -> tuple[Scores, Scores]:
    """Measure the errors before and after the adaptation, print them and write them to the run's folder."""
    import json

    from rich.console import Console

    from adaptation.commands.networks.evaluate import show_scores
    from adaptation.evaluation.scores import PROTOCOL, evaluate
    from adaptation.support.files import writing

    before, after = (evaluate(network, samples, body, device=job.options.device) for network in networks)
    show_scores(Console(), {"before": before, "after": after})
    comparison = {"protocol": PROTOCOL, "before": before.summary(), "after": after.summary()}
    with writing(job.out):
        after.write(job.out)
        (job.out / "comparison.json").write_text(json.dumps(comparison, indent=2) + "\n")
    return before, after
