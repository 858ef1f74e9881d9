"""``topo-adapt demo-fit``: render a clip, fit bodies to it, and compare them with the ground truth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adaptation.fitting.settings import FitSettings, TrackFitSettings
from adaptation.losses.settings import LOSS_NAMES, LossSettings
from adaptation.recording.options import TRACK_PRIOR, FitOptions, recording_settings
from adaptation.recording.tilt.options import TiltOptions
from adaptation.support.arguments import (
    Device,
    Loss,
    Out,
    Overwrite,
    Prior,
    Renderer,
    Seed,
    Threads,
    choice,
    command_line,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from adaptation.bodies.body import Body
    from adaptation.recording.pipeline import FitOutcome
    from adaptation.reports.fits import ReportTable
    from adaptation.synthetic.hall import SyntheticClip


def demo_fit(
    out: Out = Path("out/demo-fit"),
    loss: Loss = LossSettings.name,
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, help="Optimisation steps of the last fit. Default: 60.")
    ] = None,
    prior: Prior = TRACK_PRIOR,
    renderer: Renderer = FitOptions.renderer,
    device: Device = FitOptions.device,
    threads: Threads = None,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Fit bodies to a rendered clip with known poses.

    Two people walk past a camera. Their silhouettes are found, bodies are fitted to them, and the bodies are
    compared with the ground truth.
    """
    import time

    from rich.console import Console

    from adaptation.bodies.body import Body
    from adaptation.bodies.renderer import BACKENDS
    from adaptation.recording.footage.video import open_frames
    from adaptation.recording.pipeline import fit_recording
    from adaptation.reports.fits import Heading
    from adaptation.reports.result_folder import summarise, write_results
    from adaptation.support.devices import use_threads
    from adaptation.support.files import result_folder
    from adaptation.support.progress import Progress
    from adaptation.support.reading.findings import kept_findings
    from adaptation.synthetic.hall import ClipSettings, render_clip, write_clip

    started = time.monotonic()
    settings = recording_settings(choice("--loss", loss, LOSS_NAMES), steps or FitSettings.steps)
    clip_settings = ClipSettings(seed=seed)
    options = FitOptions(
        # Three bodies per second at the 15 frames per second of the clip.
        every=5,
        renderer=choice("--renderer", renderer, BACKENDS),
        device=device,
        fit=replace(settings, prior=prior),
        track_fits=TrackFitSettings(steps=steps or TrackFitSettings.steps),
        # The hall is drawn without perspective, so its edges do not show how the camera hangs.
        tilt=TiltOptions(pitch=clip_settings.pitch, roll=0.0),
        rate=clip_settings.rate,
    )
    use_threads(threads)
    with kept_findings() as found, result_folder(out, overwrite=overwrite) as folder:
        progress, body = Progress(), Body.free()
        with progress.task("Rendering a clip"):
            clip = render_clip(clip_settings)
            write_clip(clip, folder / "clip")
        # Read back from the files, so that the demonstration takes the way of a user's recording.
        frames = open_frames(folder / "clip" / "frames")
        outcome = fit_recording(frames, body, options, progress)
        table = compare_with_truth(clip, outcome, body.cpu())
        title, source = "Bodies fitted to silhouettes of a synthetic clip", "clip/frames"
        heading = Heading(title, source, command_line(), [table], found=found)
        write_results(folder, frames, body, outcome, options, heading)
    console = Console()
    summarise(console, out, outcome, time.monotonic() - started)
    for row in table.rows:
        cells = (f"{head} {cell}" for head, cell in zip(table.columns, row, strict=True))
        console.print("  ".join(cells), highlight=False)


def compare_with_truth(clip: SyntheticClip, outcome: FitOutcome, body: Body) -> ReportTable:
    """Measure fits and their starting poses against the poses that the clip was rendered from.

    Args:
        clip: the rendered clip with its ground truth.
        outcome: people fitted to the clip.
        body: body model of the fits, on the CPU.

    Returns:
        Table with one row per person and, with several people, one over all bodies: mean MPJPE and PA-MPJPE in
        millimetres, and mean IoU.
    """
    import numpy as np
    import torch

    from adaptation.evaluation.metrics import mpjpe, pa_mpjpe
    from adaptation.recording.results import PersonResult
    from adaptation.reports.fits import ReportTable

    rows = []
    errors: list[NDArray[np.float64]] = []
    for person in outcome.people:
        result = person.result
        assert isinstance(result, PersonResult)  # fits have a body model
        # Tracks are matched to people by their joints, since tracks are numbered in order of appearance.
        true = torch.from_numpy(clip.joints3d[clip.person_of(result), result.frame]).float()
        # Starts are posed again, since results store the joints of fitted bodies only.
        with torch.no_grad():
            start = body(torch.from_numpy(result.start_pose), torch.from_numpy(result.start_betas)).joints
        fitted = torch.from_numpy(result.joints3d)
        measured = [metric(joints, true).numpy() for metric in (mpjpe, pa_mpjpe) for joints in (start, fitted)]
        errors.append(np.stack([*measured, result.iou_before, result.iou_after]))
        rows.append(_error_row(f"{person.track.number}", errors[-1]))
    if len(rows) > 1:
        # Over bodies, not people: a mean of means would weigh short tracks more.
        rows.append(_error_row("all", np.concatenate(errors, axis=1)))
    return ReportTable(
        title="Comparison with the ground truth",
        columns=["person", "bodies", "MPJPE before", "after", "PA-MPJPE before", "after", "IoU before", "after"],
        rows=rows,
        note="Means over bodies. Joint errors in millimetres over 14 joints (LSP's, with SMPL's head joint for the top "
        "of the head). MPJPE: after aligning the pelvises; PA-MPJPE: after a similarity transform. Before: the "
        "starting pose of the fit that was kept, chosen by the silhouette from those tried.",
    )


def _error_row(name: str, errors: NDArray[np.float64]) -> list[str]:
    means = errors.mean(axis=1)
    return [
        name,
        str(errors.shape[1]),
        *(f"{value:.0f}" for value in means[:4]),
        *(f"{value:.3f}" for value in means[4:]),
    ]
