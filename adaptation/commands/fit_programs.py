"""The programs behind ``topo-adapt``: each reads top to bottom."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from adaptation.bodies.body import Body
from adaptation.commands.doctor import versions
from adaptation.evaluation.metrics import mpjpe, pa_mpjpe
from adaptation.fitting.fitter import FitSettings
from adaptation.losses.silhouettes import LossSettings, at_size
from adaptation.recording.detections import TrackSettings
from adaptation.recording.mask_files import open_masks
from adaptation.recording.pipeline import FitOptions, FitOutcome, fit_recording
from adaptation.recording.video import Frames, open_frames
from adaptation.reports.fits import ReportTable, build_report, draw_overview, write_report
from adaptation.support.files import MARKER, result_folder
from adaptation.support.progress import Progress
from adaptation.synthetic.hall import ClipSettings, SyntheticClip, render_clip, write_clip

SIZE = 112  # of crops, in pixels, that the recipe of fits was made for


def options(
    *, loss: str, steps: int, prior: str = "gaussian", min_height: int = 40, size: int = SIZE, **rest: Any
) -> FitOptions:
    """The settings of a run from the command line's."""
    fit_settings = dataclasses.replace(recording_settings(loss, steps, size), prior=prior)
    return FitOptions(fit=fit_settings, tracks=TrackSettings(min_height=min_height), size=size, **rest)


def recording_settings(loss: str, steps: int, size: int = SIZE) -> FitSettings:
    """The recipe for recordings: people in clothes, seen by background subtraction, from unknown poses.

    Pixels count beside L_S and L_T, since masks are wider than the body, and bones; pull counts more than push, since
    masks lose parts more often than they gain some. Shape and pose are held less tightly than in fits to exact masks.
    Baselines stay what they are in the paper.

    Args:
        loss: which.
        steps: of a fit.
        size: side of the crops in pixels.
    """
    ours = LossSettings(pixel_weight=3.0, bone_weight=2.0, pull_weight=3.0)
    usual = ours if loss == "ours" else LossSettings(name=loss)  # type: ignore[arg-type]
    sized = at_size(usual, size / SIZE)
    start = FitSettings().topology_start * sized.topology_weight / usual.topology_weight
    return FitSettings(
        loss=sized,
        steps=steps,
        topology_start=start,
        prior_start=0.1,
        prior_end=0.0003,
        shape_weight=0.001,
        shape_rate=0.1,
    )


def fit(
    recording: Path,
    out: Path,
    *,
    options: FitOptions,
    masks: Path | None = None,
    body: Path | None = None,
    threads: int | None = None,
    overwrite: bool = False,
    command: str = "",
) -> None:
    """Fit a body to everyone who moves in a recording, and write results, overlays and a report.

    Raises:
        UserError: bad input; nothing is written.
    """
    console = Console()
    started = time.monotonic()
    if threads:
        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)
    with result_folder(out, overwrite=overwrite) as folder:
        frames = open_frames(recording)
        given = open_masks(masks, frames) if masks else None
        model = Body.load(body) if body else Body.free()
        outcome = fit_recording(frames, model, options, Progress(), given)
        write_results(
            folder, frames, model.cpu(), outcome, options, title="Bodies fitted to silhouettes", command=command
        )
    summarise(console, out, outcome, time.monotonic() - started)


def demo(
    out: Path,
    *,
    options: FitOptions,
    seed: int = 0,
    threads: int | None = None,
    overwrite: bool = False,
    command: str = "",
) -> None:
    """Render a clip of two people walking, fit bodies to its silhouettes, and compare them with the truth.

    Raises:
        UserError: ``out`` cannot be used; nothing is written.
    """
    console = Console()
    started = time.monotonic()
    if threads:
        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)
    with result_folder(out, overwrite=overwrite) as folder:
        progress = Progress()
        body = Body.free()
        with progress.task("Rendering a clip"):
            clip = render_clip(ClipSettings(seed=seed))
            write_clip(clip, folder / "clip")
        frames = open_frames(folder / "clip" / "frames")
        outcome = fit_recording(frames, body, options, progress)
        table = compare_with_truth(clip, outcome, body.cpu())
        write_results(
            folder,
            frames,
            body,
            outcome,
            options,
            title="Bodies fitted to silhouettes, and the truth",
            source="a synthetic clip, clip/frames",
            command=command,
            tables=[table],
        )
    summarise(console, out, outcome, time.monotonic() - started)
    for row in table.rows:
        console.print(
            "  ".join(f"{head} {cell}" for head, cell in zip(table.columns, row, strict=True)), highlight=False
        )


def compare_with_truth(clip: SyntheticClip, outcome: FitOutcome, body: Body) -> ReportTable:
    """Errors of the fits, and of their starts, against the poses that the clip was rendered from."""
    rows = []
    errors: list[NDArray[np.float64]] = []
    for person in outcome.people:
        result = person.result
        true = torch.from_numpy(clip.joints3d[clip.person_of(result), result.frame]).float()
        with torch.no_grad():
            start = body(torch.from_numpy(result.start_pose), torch.from_numpy(result.start_betas)).joints
        fitted = torch.from_numpy(result.joints3d)
        measured = [metric(joints, true).numpy() for metric in (mpjpe, pa_mpjpe) for joints in (start, fitted)]
        errors.append(np.stack([*measured, result.iou_before, result.iou_after]))
        rows.append(_error_row(f"{person.track.number}", errors[-1]))
    if len(rows) > 1:
        rows.append(_error_row("all", np.concatenate(errors, axis=1)))
    return ReportTable(
        title="Against the truth",
        columns=["person", "bodies", "MPJPE before", "after", "PA-MPJPE before", "after", "IoU before", "after"],
        rows=rows,
        note="Means in millimetres over 14 joints (LSP's without the head top, SMPL's head instead), MPJPE after the "
        "pelvis is aligned, PA-MPJPE after a similarity. Before: the starting pose that the fit was kept from, chosen "
        "by its silhouette among those tried.",
    )


def _error_row(name: str, errors: NDArray[np.float64]) -> list[str]:
    means = errors.mean(axis=1)
    return [
        name,
        str(errors.shape[1]),
        *(f"{value:.0f}" for value in means[:4]),
        *(f"{value:.3f}" for value in means[4:]),
    ]


def write_results(
    folder: Path,
    frames: Frames,
    body: Body,
    outcome: FitOutcome,
    options: FitOptions,
    *,
    title: str,
    command: str,
    source: str = "",
    tables: Sequence[ReportTable] = (),
) -> None:
    """An npz per person, an overlay per frame, the report, and the settings."""
    people = outcome.people
    for person in people:
        person.result.save(folder / f"person_{person.track.number:02d}.npz")

    overlays = folder / "overlays"
    overlays.mkdir()
    numbered = [(person.track.number, person.result) for person in people]
    for number in sorted({int(frame) for person in people for frame in person.result.frame}):
        shown = [(track, result) for track, result in numbered if number in result.frame]
        picture = draw_overview(frames.frame(number), number, body, shown)
        # Not imwrite, which says nothing when the disk is full.
        _, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        (overlays / f"frame_{number:06d}.jpg").write_bytes(data.tobytes())

    write_report(
        folder / "report.html",
        build_report(
            title=title,
            source=source or frames.path.name,
            body=body,
            people=[(person.result, person.crops) for person in people],
            frame_image=frames.frame,
            tables=tables,
            notes=[*filter(None, [outcome.warning]), *outcome.notes],
            command=command,
            versions=versions(),
        ),
    )
    settings = {"command": command, "versions": dict(versions()), "options": dataclasses.asdict(options)}
    (folder / MARKER).write_text(json.dumps(settings, indent=2) + "\n")


def summarise(console: Console, out: Path, outcome: FitOutcome, seconds: float | None = None) -> None:
    """One line per person, what is wrong with the recording, and where to look."""
    for person in outcome.people:
        result = person.result
        console.print(
            f"person {person.track.number:>2}: {len(result):>3} frames, "
            f"IoU {np.median(result.iou_before):.2f} -> {np.median(result.iou_after):.2f}, "
            f"L_T {np.median(result.loss_before):.2f} -> {np.median(result.loss_after):.2f} px",
            highlight=False,
        )
    if outcome.warning:
        console.print(f"warning: {outcome.warning}", style="yellow", markup=False, highlight=False, soft_wrap=True)
    iou = np.concatenate([person.result.iou_after for person in outcome.people])
    console.print(
        f"{len(outcome.people)} people, {len(iou)} bodies, median IoU {np.median(iou):.3f}, "
        f"{len(outcome.notes)} masks not used{'' if seconds is None else f', {seconds:.0f} s'}",
        highlight=False,
    )
    console.print(f"report: {out / 'report.html'}", markup=False, highlight=False, soft_wrap=True)
