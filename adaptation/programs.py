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
from rich.console import Console

from adaptation.body import Body
from adaptation.doctor import versions
from adaptation.fitting import FitSettings
from adaptation.losses import LossSettings
from adaptation.output import MARKER, result_folder
from adaptation.pipeline import FitOptions, FitOutcome, fit_recording
from adaptation.progress import Progress
from adaptation.report import ReportTable, build_report, draw_overview, write_report
from adaptation.tracks import TrackSettings
from adaptation.video import Frames, open_frames, open_masks


def options(*, loss: str, steps: int, min_height: int = 40, **rest: Any) -> FitOptions:
    """The settings of a run from the command line's."""
    fit_settings = recording_settings(loss, steps)
    return FitOptions(fit=fit_settings, tracks=TrackSettings(min_height=min_height), **rest)


def recording_settings(loss: str, steps: int) -> FitSettings:
    """The recipe for recordings: people in clothes, seen by background subtraction, from unknown poses.

    Masks are wider than the body, so that pixels count beside L_S and L_T, and shape and pose are held less tightly
    than in fits to exact masks. Baselines stay what they are in the paper.
    """
    pixel_weight = 3.0 if loss == "ours" else 0.0
    return FitSettings(
        loss=LossSettings(name=loss, pixel_weight=pixel_weight),  # type: ignore[arg-type]
        steps=steps,
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
    with result_folder(out, overwrite=overwrite) as folder:
        frames = open_frames(recording)
        given = open_masks(masks, frames) if masks else None
        model = Body.load(body) if body else Body.free()
        outcome = fit_recording(frames, model, options, Progress(), given)
        write_results(folder, frames, model.cpu(), outcome, options, title="Bodies fitted to silhouettes", command=command)
    summarise(console, out, outcome, time.monotonic() - started)


def write_results(
    folder: Path,
    frames: Frames,
    body: Body,
    outcome: FitOutcome,
    options: FitOptions,
    *,
    title: str,
    command: str,
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
            source=frames.path.name,
            body=body,
            people=[(person.result, person.crops) for person in people],
            frame_image=frames.frame,
            tables=tables,
            notes=outcome.notes,
            command=command,
            versions=versions(),
        ),
    )
    settings = {"command": command, "versions": dict(versions()), "options": dataclasses.asdict(options)}
    (folder / MARKER).write_text(json.dumps(settings, indent=2) + "\n")


def summarise(console: Console, out: Path, outcome: FitOutcome, seconds: float) -> None:
    """One line per person and where to look."""
    for person in outcome.people:
        result = person.result
        console.print(
            f"person {person.track.number:>2}: {len(result):>3} frames, "
            f"IoU {np.median(result.iou_before):.2f} -> {np.median(result.iou_after):.2f}, "
            f"L_T {np.median(result.loss_before):.2f} -> {np.median(result.loss_after):.2f} px",
            highlight=False,
        )
    iou = np.concatenate([person.result.iou_after for person in outcome.people])
    console.print(
        f"{len(outcome.people)} people, {len(iou)} bodies, median IoU {np.median(iou):.3f}, "
        f"{len(outcome.notes)} masks not used, {seconds:.0f} s",
        highlight=False,
    )
    console.print(f"report: {out / 'report.html'}", markup=False, highlight=False, soft_wrap=True)
