"""Turns the JSON of the grids into docs/evidence.md and its pictures. Every number in them is read from the JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adaptation.adapting.presets import preset
from adaptation.adapting.teacher import TEACHES_WITHIN
from adaptation.evaluation.scores import PROTOCOL
from evidence.cells import HOME, SHIFT_METHODS
from evidence.fits import CONDITIONS
from evidence.methods import LABELS, OURS, OURS_FLIPPED, OURS_POOR_MASKS, SOURCE_ONLY
from evidence.plots import plot_adaptations
from evidence.statistics import differ
from evidence.tables import (
    COMPARISONS,
    PAPER,
    SIGNIFICANT,
    Adaptations,
    backward_table,
    convergence_table,
    detector_table,
    failure_table,
    fit_legend,
    fit_table,
    loss_table,
    method_table,
    recipe_table,
    recording_table,
    shift_table,
    teacher_table,
)

Record = dict[str, Any]
Row = dict[str, Any]

_PLACES = {"style": "on people of another look", "site": "where they pass before one camera"}
COMMAND = "python benchmarks/run_evidence.py --work DIR"


def write_document(record_path: Path, path: Path) -> None:
    """Write the Markdown file, and its plot under the same name in the folder ``pictures`` beside it."""
    record: Record = json.loads(record_path.read_text())
    picture = path.parent / "pictures" / f"{path.stem}.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    grid = Adaptations(record["adaptations"])
    plot_adaptations(grid, picture)
    parts = [
        "# Does silhouette topology recover pose?",
        _answer(grid, record["fits"]),
        f"![PA-MPJPE by method and target](pictures/{picture.name})",
        _protocol(record, grid),
        *_adaptations(record, grid),
        *_recipe(record, grid),
        *_fits(record),
        *_failures(record),
        *_recordings(record),
        _methods(grid),
    ]
    path.write_text("\n\n".join(part for part in parts if part) + "\n")


def _answer(grid: Adaptations, fits: Sequence[Row]) -> str:
    """Three sentences: how much it helps, how near that is to labels and to the paper, and what the losses add."""
    gaps = {target: (gap, f"{gap:.0f} %") for target in grid.targets if (gap := grid.gap(target, OURS)) is not None}
    sentences = [
        f"Adapting a regressor to a target known by silhouettes alone changes its PA-MPJPE by {_changes(grid)}.",
        f"That is {_ends(gaps)} of what labels of the same crops gain{_bar(grid)}." if gaps else "",
        _topology(grid, fits),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _ends(found: Mapping[str, tuple[float, str]]) -> str:
    """The targets with the lowest and the highest number, in words; one alone if there are no others."""
    order = sorted(found, key=lambda target: found[target][0])
    return " to ".join(f"{found[target][1]} (`{target}`)" for target in dict.fromkeys((order[0], order[-1])))


def _changes(grid: Adaptations) -> str:
    found = {target: change for target in grid.targets if (change := grid.change(target, OURS)) is not None}
    parts = []
    for target, text in _PLACES.items():
        if target in found:
            seeds = grid.shared(target, SOURCE_ONLY, OURS)
            before, after = (grid.mean(target, method, seeds=seeds) for method in (SOURCE_ONLY, OURS))
            parts.append(f"{found.pop(target):+.0f} % {text} ({before:.0f} to {after:.0f} mm)")
    if found:
        shifts = f"{len(found)} shifts" if len(found) > 1 else "a shift"
        ends = _ends({target: (-change, f"{change:+.0f} %") for target, change in found.items()})
        parts.append(f"{ends} on {shifts} of the image")
    return " and by ".join([", by ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _bar(grid: Adaptations) -> str:
    wanted, _ = PAPER["style"]
    change, labels = grid.change("style", OURS), grid.change("style", LABELS)
    if change is None or labels is None:
        return ""
    if change <= -wanted:
        return f"; the paper's {wanted:.0f} % on another look are reached"
    by_labels = "labels reach them" if labels <= -wanted else "nor by labels"
    return f"; the paper's {wanted:.0f} % on another look are not reached, {by_labels} ({labels:+.0f} %)"


def _topology(grid: Adaptations, fits: Sequence[Row]) -> str:
    parts = []
    for where, text in (
        ("no source", "without the source's data, losses on silhouettes change what batch norms alone give by"),
        ("with source", "beside its people in the target's look they change what those alone give by"),
    ):
        if both := _gains(grid, f"{where}: both losses"):
            topology = _gains(grid, f"{where}: L_T beside L_S")
            parts.append(f"{text} {both}" + (f" (L_T beside L_S: {topology})" if topology else ""))
    gains, count = [], 0
    for condition in CONDITIONS:
        found = {row["loss"]: np.array(row["pa_mpjpe"]) for row in fits if row["condition"] == condition}
        if {"ours", "b2"} <= found.keys():
            count += 1
            if differ(found["ours"], found["b2"]) < SIGNIFICANT:
                gains.append(float(found["b2"].mean() - found["ours"].mean()))
    if count:
        better = [gain for gain in gains if gain > 0]
        size = f", by {min(better):.1f} to {max(better):.1f} mm," if better else ""
        harms = len(gains) - len(better)
        parts.append(
            f"in fits without a network L_T helps in {len(better)} of {count} conditions{size} and harms in {harms}"
        )
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _gains(grid: Adaptations, comparison: str) -> str:
    pair = COMPARISONS[comparison]
    found = {target: gain for target in grid.targets if (gain := grid.against(target, *pair))}
    if not found:
        return ""
    return _ends({target: (-gain.mean, f"{gain.text(sign=True, spread=False)} mm") for target, gain in found.items()})


def _protocol(record: Record, grid: Adaptations) -> str:
    scale, machine = record["materials"], record["machine"]
    steps, size = scale["pretrain_steps"], preset(scale["preset"]).size
    origin = f"of the size `{scale['preset']}`, trained for {steps} steps" if steps else "the one that ships as `small`"
    return (
        f"One source regressor, {origin}, is adapted to {scale['adapt']} crops of {size} pixels of each target with "
        "masks from background subtraction, found in the frames before a shift degrades them, beside "
        f"{scale['train']} labelled crops of the source, and measured on {scale['test']} others, of other people in "
        "other places. Behind ±: half of a 95 % interval over the clips of the test set (fits: over pairs); in "
        "brackets: standard deviation over seeds, where there are several, which the interval does not contain; two "
        f"methods are compared on the seeds of both. {PROTOCOL}.\n\n"
        f"Python {machine['python']}, torch {machine['torch']}, {machine['gpu'] or machine['processor']}. "
        f"{'`make evidence VIDEO=vtest.avi` runs all of it; the' if scale['preset'] == 'small' else 'The'} command of "
        "a part stands before it. Runs that are finished are kept in the folder and not repeated."
    )


def _adaptations(record: Record, grid: Adaptations) -> list[str]:
    options = _options(record)
    parts = []
    shifts = [target for target in grid.targets if target not in _PLACES]
    if "style" in grid.targets:
        parts += [
            "## Another look",
            "`style`: people, clothes, backgrounds, light and camera heights that the source does not have. "
            + _home(grid)
            + _rerun(grid, ["style"], options),
            method_table(grid, "style"),
        ]
    if "site" in grid.targets:
        parts += [
            "## Another site",
            "`site`: the people of `style` before one camera, which is what a deployment has: those that are measured "
            "are others than those that are adapted to, the place, light and camera are the same. Each seed is another "
            f"camera{_cameras(grid)}; changes, shares and differences are of the cameras that both methods have seen. "
            + _rerun(grid, ["site"], options),
            method_table(grid, "site"),
        ]
    if shifts:
        parts += [
            "## Shifts of the image",
            "PA-MPJPE / MPJPE, millimetres. Detectors see the shifted images; masks are found before the shift, which "
            f"is fair where the network's input is perturbed and kind elsewhere{_poor(grid, shifts)}. Of every run, "
            "those weights are kept that agree best with masks set aside, of keypoints and labels too: where none "
            "agree better, a run ends as it began, and labels are no lower bound. Blank: not run. "
            + _rerun(grid, shifts, options),
            shift_table(grid, shifts, SHIFT_METHODS),
        ]
    if record["detector"]:
        parts += [
            "The keypoints of A1 and A2, against labels that no adaptation sees; `-norms`: with the detector's batch "
            "norms following the target:",
            detector_table(record["detector"]),
        ]
    return [*parts, *_losses(grid), *_teacher(grid)]


def _losses(grid: Adaptations) -> list[str]:
    table = loss_table(grid)
    if not table:
        return []
    return [
        "## What the losses on silhouettes add",
        "PA-MPJPE with them less PA-MPJPE without, millimetres, in pairs of clips, on the seeds that both have. Both "
        "losses: L_S and L_T, beside batch norms that follow the target, or beside replayed people of the source; "
        "L_S, not pixels: b2 less b1. The methods are told at the end.",
        table,
    ]


def _teacher(grid: Adaptations) -> list[str]:
    if OURS_FLIPPED not in grid.methods:
        return []
    return [
        "## Where a teacher helps",
        "Beside its losses, a network can learn from the average of its own weights, as "
        "`adaptation/training/teacher.py` tells. That helps where it is near, and may harm where it is not. Which of "
        "both is likely shows before anything is learnt, without a label: once batch norms follow the target, a "
        "network that is far off sees other bodies in mirror images than in the crops themselves. Where the two are "
        f"at most {TEACHES_WITHIN:g} mm apart, the median of 256 crops, `topo-adapt adapt` takes a teacher, and less "
        "pull with it. The limit was set when the errors of `style`, `lr-32` and the first camera of `site` were "
        "known; the other targets test it. PA-MPJPE in millimetres; everywhere else `ours` is what is chosen:",
        teacher_table(grid),
    ]


def _poor(grid: Adaptations, shifts: Sequence[str]) -> str:
    known = any(grid.of(target, OURS_POOR_MASKS) for target in shifts)
    return "; poor masks say what worse ones do" if known else ""


def _cameras(grid: Adaptations) -> str:
    """What ours changes before each camera."""
    seeds = sorted(grid.shared("site", SOURCE_ONLY, OURS) or ())
    changes = ", ".join(f"{grid.change('site', OURS, seeds={seed}):+.0f} %" for seed in seeds)
    return f" (ours: {changes})" if changes else ""


def _home(grid: Adaptations) -> str:
    home, flat = (grid.mean(HOME.target, HOME.method, measure) for measure in ("pa_mpjpe", "mpjpe"))
    if home is None or flat is None:
        return ""
    away = grid.mean("style", SOURCE_ONLY)
    further = f", {100 * (away - home) / away:.0f} % less than here" if away else ""
    return (
        f"At home, on people and places of the source that it has not seen, the source model has {home:.1f} mm"
        f"{further} (MPJPE {flat:.1f}; `--only 'adapt/source/*'`). "
    )


def _options(record: Record) -> str:
    """What the command needs to do the same."""
    scale, usual = record["materials"], {"preset": "small", "device": "cpu", "precision": ""}
    return "".join(f" --{name} {scale[name]}" for name, value in usual.items() if scale[name] != value)


def _rerun(grid: Adaptations, targets: Sequence[str], options: str) -> str:
    commits = _commits([row for row in grid.rows if row["target"] in targets])
    again = "again" if len(targets) == 1 else "again, one target after the other"
    command = f"{COMMAND}{options} --only 'adapt/{targets[0]}/*'"
    return f"Measured at {commits}; {again}: `{command}`, one row with `adapt/TARGET/METHOD/*`."


def _commits(rows: Sequence[Row]) -> str:
    names = sorted({row["commit"] for row in rows})
    return f"commit {', '.join(names)}" if len(names) < 4 else "several commits, named row by row in the JSON file"


def _recipe(record: Record, grid: Adaptations) -> list[str]:
    rows = [row["settings"] for row in grid.rows if row["method"] == OURS.name and "earlier" not in row]
    if not rows:
        return []
    if record["materials"]["preset"] != "small":
        text = "That of `small`, with a rate for this network, and distances for crops of this size."
        return ["## The recipe", text, recipe_table(rows[0])]
    return [
        "## The recipe",
        "What `topo-adapt adapt` does by default at the size `small`; `AdaptSettings` in "
        "`adaptation/training/adapt.py` explains each. A row above that is named after ours differs from it in "
        "one of these; without a teacher the pull is 5. The weights of silhouettes and prior were chosen by looking "
        "at the test parts of `style` and `lr-32` with an earlier source model, one seed; the weights of pull "
        "and of a teacher, steps, rate, and number and look of the replayed people on other crops of `style` (seed 1), "
        "which no table shows. Of the other targets, the first camera of `site` alone had a say, in the limit of the "
        "teacher.",
        recipe_table(rows[0]),
    ]


def _fits(record: Record) -> list[str]:
    rows = record["fits"]
    if not rows:
        return []
    return [
        "## Fits without a network",
        f"PA-MPJPE in millimetres, {rows[0]['pairs']} fits per cell. Bold: the lowest mean of a row. \\*: differs from "
        f"ours with p < {SIGNIFICANT:g} (Wilcoxon's signed ranks, pairs; not corrected for the number of cells). "
        f"Blank: not run. Measured at {_commits(rows)}; again: `{COMMAND} --only 'fit/*'`, one cell "
        "with `fit/CONDITION/LOSS`.",
        fit_table(rows),
        "Share of fits whose joints end within 2 % of the crop's side of the truth in 2D, on average / IoU with the "
        "mask that was fitted:",
        convergence_table(rows),
        "The backward of the operators, limbs off by 20 to 40 degrees, gradients scaled to one size per image "
        "so that directions alone differ:",
        backward_table(rows),
        fit_legend(),
    ]


def _failures(record: Record) -> list[str]:
    parts = []
    for row in record["failures"]:
        picture = f"![The worst cases on {row['target']}](pictures/failures-{row['target']}.jpg)"
        parts += [
            f"### On `{row['target']}`",
            f"{row['images']} images, measured at commit {row['commit']}; again: "
            f"`{COMMAND} --only '{row['cell']}'` after `adapt/{row['target']}/ours/0`.",
            failure_table(row),
            picture if row["picture"] else "",
        ]
    if not parts:
        return []
    return [
        "## Failures",
        "How many images fail, out of those in which it could show: sides exchanged are not counted where the body "
        "faces the wrong way, depth only where a limb agrees in 2D, hidden arms only where a wrist lies before or "
        "behind the trunk. A model that is further off has fewer images in which some kinds could show. A mask misses "
        "a part where its IoU with the true silhouette is below 0.8. "
        "Definitions: `adaptation/evidence/failures.py`.",
        *parts,
    ]


def _recordings(record: Record) -> list[str]:
    parts = ["## Real footage without labels"] if record["recordings"] else []
    for row in record["recordings"]:
        name = Path(row["video"]).stem
        parts += [
            f"`{row['video']}`, {row['tracks']} tracks, the model that ships, {row['settings']['steps']} steps, "
            f"{row['seconds'] / 60:.1f} minutes on one thread; measured at commit {row['commit']}; again: "
            f"`{COMMAND} --video {row['video']} --precision {row['settings']['precision']} --only 'failures/*'`. "
            "Tracks set aside are not learnt from, but decide which weights are kept.",
            recording_table(row),
            "Grey: the masks that were found; above: the bodies before, after, and after from their side.",
            f"![Bodies before and after](pictures/recording-{name}.jpg)",
        ]
    return parts


def _methods(grid: Adaptations) -> str:
    lines = ["## Methods", "", *(f"- **{method.name}**: {method.text}." for method in grid.methods)]
    if OURS_FLIPPED in grid.methods:
        lines += [
            "",
            "Where a teacher is chosen, every method that replays the source has it, but for keypoints and labels.",
        ]
    return "\n".join(lines)
