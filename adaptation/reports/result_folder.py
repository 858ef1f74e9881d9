"""Result folder of a recording: an npz per person, overlays, the report and the settings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console

from adaptation.bodies.body import Body
from adaptation.recording.footage.video import Frames
from adaptation.recording.options import FitOptions
from adaptation.recording.people.reasons import tally
from adaptation.recording.pipeline import FitOutcome
from adaptation.recording.smplify.options import SmplifyOptions
from adaptation.recording.view import KEY, RecordingView
from adaptation.reports.fits import Heading, build_report, draw_overview, write_report
from adaptation.support.files import MARKER
from adaptation.support.versions import versions


def write_results(
    folder: Path,
    frames: Frames,
    body: Body,
    outcome: FitOutcome,
    options: FitOptions | SmplifyOptions,
    heading: Heading,
) -> None:
    """Write the results of a recording.

    Args:
        folder: existing folder to write to.
        frames: the recording.
        body: body model of the results, on the CPU.
        outcome: people with their results.
        options: options of the fit or prediction; they are stored with the results, as is what the heading says of
            the inputs.
        heading: heading of the report; the notes and the warning of the outcome are added to its notes.
    """
    people = outcome.people
    for person in people:
        person.result.save(folder / f"person_{person.track.number:02d}.npz")

    # One picture per frame, not per person: people who meet are seen together.
    overlays = folder / "overlays"
    overlays.mkdir()
    numbered = [(person.track.number, person.result) for person in people]
    for number in sorted({int(frame) for person in people for frame in person.result.frame}):
        shown = [(track, result) for track, result in numbered if number in result.frame]
        picture = draw_overview(frames.frame(number), number, body, shown, min_width=min(1280, 4 * frames.size[0]))
        # Not cv2.imwrite, which reports no error when the disk is full.
        _, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        (overlays / f"frame_{number:06d}.jpg").write_bytes(data.tobytes())

    # The warning of the recording comes before the many notes on single masks.
    notes = [*heading.notes, *filter(None, [outcome.warning]), *outcome.notes]
    crops = [(person.result, person.crops) for person in people]
    view = RecordingView.of(frames.size, options.rate or frames.rate, body.name, outcome.tilt)
    if options.intrinsics is not None:
        (focal, _, x), (_, _, y) = options.intrinsics[:2]
        view = replace(view, focal=focal, centre=(x, y))
    report = build_report(replace(heading, notes=notes), body, crops, frames.frame, view=view)
    write_report(folder / "report.html", report)
    settings: dict[str, object] = {"command": heading.command, "versions": dict(versions()), "options": asdict(options)}
    settings["found"] = list(heading.found)
    settings[KEY] = view.as_json()
    # The marker comes last: a folder without it is never taken for results.
    (folder / MARKER).write_text(json.dumps(settings, indent=2) + "\n")


def summarise(console: Console, out: Path, outcome: FitOutcome, seconds: float | None = None) -> None:
    """Print one line per person, the recording's warning, the totals, why masks were not used, and the report's path.

    Args:
        console: console to print to.
        out: result folder.
        outcome: people with their results.
        seconds: elapsed time, printed if given.
    """
    for person in outcome.people:
        result = person.result
        agreement = (
            f", IoU {np.median(result.iou_before):.2f} -> {np.median(result.iou_after):.2f}, "
            f"L_T {np.median(result.loss_before):.2f} -> {np.median(result.loss_after):.2f} px"
        )
        console.print(
            f"person {person.track.number:>2}: {len(result):>3} frames{agreement if result.judged else ''}",
            highlight=False,
        )
    if outcome.warning:
        console.print(f"warning: {outcome.warning}", style="yellow", markup=False, highlight=False, soft_wrap=True)
    iou = np.concatenate([person.result.iou_after for person in outcome.people])
    console.print(
        f"{len(outcome.people)} people, {len(iou)} bodies"
        + (f", median IoU {np.median(iou):.3f}" if np.isfinite(iou).all() else "")
        + ("" if seconds is None else f", {seconds:.0f} s"),
        highlight=False,
    )
    say_unused(console, outcome.notes)
    console.print(f"report: {out / 'report.html'}", markup=False, highlight=False, soft_wrap=True)


def say_unused(console: Console, notes: Sequence[str]) -> None:
    """Print in one line for which reasons masks were not used, if there are any.

    Args:
        console: console to print to.
        notes: notes on detections that were left out, as in `FitOutcome`.
    """
    if notes:
        text = f"{len(notes)} {'mask' if len(notes) == 1 else 'masks'} not used: {tally(notes)}"
        console.print(text, markup=False, highlight=False, soft_wrap=True)
