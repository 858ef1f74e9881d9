"""Writes docs/evidence.md and its bar chart. Every measured number in them is read from the JSON record."""

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

_PLACES = {"style": "on people of another appearance", "site": "on such people in front of one camera"}
COMMAND = "python benchmarks/run_evidence.py --work DIR"


def write_document(record_path: Path, path: Path) -> None:
    """Write the Markdown file, and its bar chart into the folder ``pictures`` next to it, under the same name.

    Args:
        record_path: JSON record of the grids.
        path: Markdown file to write.
    """
    record: Record = json.loads(record_path.read_text())
    picture = path.parent / "pictures" / f"{path.stem}.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    grid = Adaptations(record["adaptations"])
    plot_adaptations(grid, picture)
    # The answer comes first, then the evidence, then the definitions.
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
    """Say how much adaptation helps, how that compares with labels and with the paper, and what the losses add."""
    gaps = {target: (gap, f"{gap:.0f} %") for target in grid.targets if (gap := grid.gap(target, OURS)) is not None}
    sentences = [
        f"Adaptation from silhouettes alone changes the PA-MPJPE of a regressor by {_changes(grid)}.",
        f"This is {_ends(gaps)} of the gain from labels of the same crops." if gaps else "",
        _paper(grid),
        *_added_by_losses(grid),
        _added_in_fits(fits),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _ends(found: Mapping[str, tuple[float, str]]) -> str:
    """Name the targets with the lowest and the highest number; only one if there are no others."""
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
        # The sign orders from the smallest reduction to the largest.
        ends = _ends({target: (-change, f"{change:+.0f} %") for target, change in found.items()})
        parts.append(f"{ends} on {shifts} of the image")
    return " and by ".join([", by ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _paper(grid: Adaptations) -> str:
    """Compare the change on "style" with the paper's on its own data."""
    expected, _ = PAPER["style"]
    change, labels = grid.change("style", OURS), grid.change("style", LABELS)
    if expected is None or change is None or labels is None:
        return ""
    reached = f"The paper's reduction by {expected:.0f} % on another appearance is"
    # Changes are negative where errors fall.
    if change <= -expected:
        return f"{reached} reached."
    if labels <= -expected:
        return f"{reached} not reached, although labels of the target reach it ({labels:+.0f} %)."
    return f"{reached} not reached, not even with labels of the target ({labels:+.0f} %)."


def _added_by_losses(grid: Adaptations) -> list[str]:
    sentences = []
    for where, change, baseline in (
        ("no source", "Without source data, the silhouette losses change the PA-MPJPE", "batch norms alone"),
        ("with source", "With replayed source people in the target's appearance, they change it", "replay alone"),
    ):
        if both := _gains(grid, f"{where}: both losses"):
            topology = _gains(grid, f"{where}: L_T added to L_S")
            alone = f" (L_T added to L_S: {topology})" if topology else ""
            sentences.append(f"{change} by {both} compared with {baseline}{alone}.")
    return sentences


def _added_in_fits(fits: Sequence[Row]) -> str:
    gains, count = [], 0
    for condition in CONDITIONS:
        found = {row["loss"]: np.array(row["pa_mpjpe"]) for row in fits if row["condition"] == condition}
        if {"ours", "b2"} <= found.keys():
            count += 1
            # Only significant differences count, in both directions.
            if differ(found["ours"], found["b2"]) < SIGNIFICANT:
                gains.append(float(found["b2"].mean() - found["ours"].mean()))
    if not count:
        return ""
    better = [gain for gain in gains if gain > 0]
    size = f", by {min(better):.1f} to {max(better):.1f} mm," if better else ""
    return (
        f"In fits without a network, L_T lowers the error significantly in {len(better)} of {count} conditions{size} "
        f"and raises it in {len(gains) - len(better)}."
    )


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
    everything = "`make evidence VIDEO=vtest.avi` runs everything. " if scale["preset"] == "small" else ""
    return (
        f"One source regressor, {origin}, is adapted to {scale['adapt']} crops of {size} pixels of each target. Their "
        "masks come from background subtraction in the frames before a shift degrades them. Methods with replay also "
        f"see {scale['train']} labelled crops of the source. Errors are measured on {scale['test']} other crops of the "
        "target, which show other people in other places. The number after ± is half of a 95 % confidence interval "
        "over the clips of the test set (in fits: over the pairs of body and start). The number in brackets is the "
        "standard deviation over seeds, if there are several; the interval does not include it. Two methods are "
        f"compared on the seeds that both have. Protocol: {PROTOCOL}.\n\n"
        f"Python {machine['python']}, torch {machine['torch']}, {machine['gpu'] or machine['processor']}. "
        f"{everything}Each part below gives its own command. Finished runs are kept in the folder and not repeated."
    )


def _adaptations(record: Record, grid: Adaptations) -> list[str]:
    options = _options(record)
    parts = []
    # What is neither a place nor a person that changes is a shift of the image.
    shifts = [target for target in grid.targets if target not in _PLACES]
    if "style" in grid.targets:
        parts += [
            "## Another appearance",
            "`style` has people, clothes, backgrounds, light and camera heights that the source does not have. "
            + _home(grid)
            + _rerun(grid, ["style"], options),
            method_table(grid, "style"),
        ]
    if "site" in grid.targets:
        parts += [
            "## Another site",
            "`site` shows the people of `style` in front of one camera, as in a deployment. Errors are measured on "
            "other people than those that are adapted to, but place, light and camera are the same. Each seed is "
            f"another camera{_cameras(grid)}. Changes, shares and differences are computed over the cameras that both "
            "methods have seen. " + _rerun(grid, ["site"], options),
            method_table(grid, "site"),
        ]
    if shifts:
        parts += [
            "## Shifts of the image",
            "PA-MPJPE / MPJPE, millimetres. Detectors see the shifted images. Masks are found before the shift, which "
            "is realistic if only the network's input is perturbed, and optimistic otherwise"
            f"{_poor(grid, shifts)}. Every run keeps the weights that agree best with the masks of held-out crops, "
            "also if it learns from keypoints or labels. If no weights agree better than those of the source model, "
            "the run keeps the source model. Errors with labels are therefore no lower bound. Blank cells were not "
            "run. " + _rerun(grid, shifts, options),
            shift_table(grid, shifts, SHIFT_METHODS),
        ]
    if record["detector"]:
        parts += [
            "Quality of the keypoints of a1 and a2, compared with labels that no adaptation sees. In rows with "
            "`-norms`, the detector's batch norms follow the target:",
            detector_table(record["detector"]),
        ]
    return [*parts, *_losses(grid), *_teacher(grid)]


def _losses(grid: Adaptations) -> list[str]:
    table = loss_table(grid)
    if not table:
        return []
    return [
        "## What the silhouette losses add",
        "Change of the PA-MPJPE in millimetres when a loss is added, over pairs of clips and the seeds that both "
        'methods have. "Both losses" are L_S and L_T, added to batch norms that follow the target (no source) or to '
        'replayed people of the source (with source). "L_S instead of pixels" is b2 minus b1. The methods are '
        "described at the end.",
        table,
    ]


def _teacher(grid: Adaptations) -> list[str]:
    if OURS_FLIPPED not in grid.methods:
        return []
    return [
        "## Where a teacher helps",
        "In addition to its losses, a network can learn from the average of its own weights, a mean teacher "
        "(`adaptation/adapting/teacher.py`). A teacher helps if its errors are small, and may do harm if they are "
        "large. Which of the two is likely can be measured before training and without labels. After batch norms "
        "have followed the target, a network with large errors predicts other bodies for the mirror images of crops "
        f"than for the crops themselves. If the two are at most {TEACHES_WITHIN:g} mm apart (median of 256 crops), "
        "`topo-adapt adapt` uses a teacher, and a smaller weight of the pull with it. The limit was set when the "
        "errors on `style`, `lr-32` and the first camera of `site` were known; the other targets test it. PA-MPJPE in "
        "millimetres; all other tables show `ours` with the choice that was made:",
        teacher_table(grid),
    ]


def _poor(grid: Adaptations, shifts: Sequence[str]) -> str:
    known = any(grid.of(target, OURS_POOR_MASKS) for target in shifts)
    return "; `ours, poor masks` shows the effect of worse masks" if known else ""


def _cameras(grid: Adaptations) -> str:
    """List the changes by ours in front of each camera."""
    seeds = sorted(grid.shared("site", SOURCE_ONLY, OURS) or ())
    changes = ", ".join(f"{grid.change('site', OURS, seeds={seed}):+.0f} %" for seed in seeds)
    return f" (ours: {changes})" if changes else ""


def _home(grid: Adaptations) -> str:
    home, flat = (grid.mean(HOME.target, HOME.method, measure) for measure in ("pa_mpjpe", "mpjpe"))
    if home is None or flat is None:
        return ""
    away = grid.mean("style", SOURCE_ONLY)
    further = f", {100 * (away - home) / away:.0f} % less than on `style`" if away else ""
    return (
        "On its source domain, with people and places that it has not seen, the source model has a PA-MPJPE of "
        f"{home:.1f} mm{further} (MPJPE {flat:.1f}; `--only 'adapt/source/*'`). "
    )


def _options(record: Record) -> str:
    """Return the options that reproduce the record's scale."""
    scale, usual = record["materials"], {"preset": "small", "device": "cpu", "precision": ""}
    return "".join(f" --{name} {scale[name]}" for name, value in usual.items() if scale[name] != value)


def _rerun(grid: Adaptations, targets: Sequence[str], options: str) -> str:
    commits = _commits([row for row in grid.rows if row["target"] in targets])
    again = "To repeat" if len(targets) == 1 else "To repeat, one target after the other"
    command = f"{COMMAND}{options} --only 'adapt/{targets[0]}/*'"
    return f"Measured at {commits}. {again}: `{command}`; for one row: `adapt/TARGET/METHOD/*`."


def _commits(rows: Sequence[Row]) -> str:
    names = sorted({row["commit"] for row in rows})
    return f"commit {', '.join(names)}" if len(names) < 4 else "several commits, which the JSON file names row by row"


def _recipe(record: Record, grid: Adaptations) -> list[str]:
    # Settings of the run itself, since today's defaults may differ from those that were measured.
    rows = [row["settings"] for row in grid.rows if row["method"] == OURS.name and "earlier" not in row]
    if not rows:
        return []
    if record["materials"]["preset"] != "small":
        text = "The recipe of `small`, with a learning rate for this network and distances for crops of this size."
        return ["## The recipe", text, recipe_table(rows[0])]
    return [
        "## The recipe",
        "These are the settings that `topo-adapt adapt` uses by default at the size `small`; `AdaptSettings` in "
        "`adaptation/adapting/settings.py` explains each of them. Methods that are named after ours differ from it in "
        "one of these settings. Without a teacher, the weight of the pull is 5. The weights of silhouettes and prior "
        "were chosen on the test parts of `style` and `lr-32`, with an earlier source model and one seed. The weights "
        "of pull and teacher, steps, learning rate, and number and appearance of the replayed people were chosen on "
        "other crops of `style` (seed 1), which no table shows. Of the other targets, only the first camera of `site` "
        "influenced a setting: the limit of the teacher.",
        recipe_table(rows[0]),
    ]


def _fits(record: Record) -> list[str]:
    rows = record["fits"]
    if not rows:
        return []
    return [
        "## Fits without a network",
        f"PA-MPJPE in millimetres, {rows[0]['pairs']} fits per cell. The lowest mean of each row is bold. \\* marks "
        f"differences from ours with p < {SIGNIFICANT:g} (Wilcoxon's signed-rank test over pairs, not corrected for "
        f"the number of cells). Blank cells were not run. Measured at {_commits(rows)}. To repeat: `{COMMAND} --only "
        "'fit/*'`; for one cell: `fit/CONDITION/LOSS`.",
        fit_table(rows),
        "Share of fits whose joints end within 2 % of the crop's side from the true ones in 2D, on average / IoU with "
        "the fitted mask:",
        convergence_table(rows),
        "The two backward passes of the operators, from limbs that are off by 20 to 40 degrees. Gradients are scaled "
        "to one size per image, so that only their directions differ:",
        backward_table(rows),
        fit_legend(),
    ]


def _failures(record: Record) -> list[str]:
    parts = []
    for row in record["failures"]:
        picture = f"![The worst cases on {row['target']}](pictures/failures-{row['target']}.jpg)"
        parts += [
            f"### On `{row['target']}`",
            f"{row['images']} images, measured at commit {row['commit']}. To repeat: "
            f"`{COMMAND} --only '{row['cell']}'` after `adapt/{row['target']}/ours/0`.",
            failure_table(row),
            picture if row["picture"] else "",
        ]
    if not parts:
        return []
    return [
        "## Failures",
        "The tables count images that fail, out of those in which the failure could show. Exchanged sides are not "
        "counted if the body faces the wrong way, wrong depth only if a limb agrees in 2D, and hidden arms only if a "
        "wrist lies in front of the trunk or behind it. With a less accurate model, some failures can show in fewer "
        "images. A mask misses a part if its IoU with the true silhouette is below 0.8. "
        "`benchmarks/evidence/failures.py` has the definitions.",
        *parts,
    ]


def _recordings(record: Record) -> list[str]:
    parts = ["## Real footage without labels"] if record["recordings"] else []
    for row in record["recordings"]:
        name = Path(row["video"]).stem
        parts += [
            f"`{row['video']}`, {row['tracks']} tracks, the model that ships, {row['settings']['steps']} steps, "
            f"{row['seconds'] / 60:.1f} minutes on one thread, measured at commit {row['commit']}. To repeat: "
            f"`{COMMAND} --video {row['video']} --precision {row['settings']['precision']} --only 'failures/*'`. "
            "The network does not learn from held-out tracks, but they decide which weights are kept.",
            recording_table(row),
            "The masks that were found are grey. Over them: the bodies before and after the adaptation, and the "
            "latter from their side.",
            f"![Bodies before and after](pictures/recording-{name}.jpg)",
        ]
    return parts


def _methods(grid: Adaptations) -> str:
    lines = ["## Methods", "", *(f"- **{method.name}**: {method.text}." for method in grid.methods)]
    if OURS_FLIPPED in grid.methods:
        lines += [
            "",
            "If a teacher is chosen for a target, methods with replay use it, except those with keypoints or labels.",
        ]
    return "\n".join(lines)
