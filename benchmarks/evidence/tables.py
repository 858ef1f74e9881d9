"""The tables of docs/evidence.md. All their numbers are computed from the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evidence import methods
from evidence.failures import TITLES
from evidence.fits import BACKWARDS, CONDITIONS, LOSS_TEXTS, LOSSES
from evidence.materials import TARGETS
from evidence.methods import LABELS, OURS, OURS_FLIPPED, SOURCE_ONLY, Method
from evidence.statistics import Estimate, Numbers, differ, estimate, paired

Row = dict[str, Any]

# Percent of PA-MPJPE and MPJPE that the paper's adaptation removes on its own data, where it reports them.
PAPER = {"style": (29.0, None), "lr-32": (10.5, 25.0), "uap-16": (13.0, 23.0)}
# Not the usual 0.05: p-values are not corrected for the number of cells.
SIGNIFICANT = 0.01


class Adaptations:
    """Results of the adaptation grid.

    Args:
        rows: rows of the record, one per target, method and seed, with the mean of each clip of the test set.

    Attributes:
        rows: as above.
        targets: names of the targets that have rows, in the order of tables.
        methods: methods that have rows, in the order of tables.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows
        self.targets = [name for name in TARGETS if any(row["target"] == name for row in rows)]
        self.methods = [method for method in methods.ALL if any(row["method"] == method.name for row in rows)]

    def of(self, target: str, method: Method) -> list[Row]:
        """Return the rows of a target and method in the order of seeds; none if it was not run."""
        rows = [row for row in self.rows if row["target"] == target and row["method"] == method.name]
        return sorted(rows, key=lambda row: int(row["seed"]))

    def clips(
        self, target: str, method: Method, measure: str = "pa_mpjpe", seeds: set[int] | None = None
    ) -> Numbers | None:
        """Return means of the test set's N clips for each of S seeds, (S, N), or None if it was not run.

        Args:
            target: name of the target.
            method: how it was adapted to.
            measure: "pa_mpjpe" or "mpjpe" in millimetres, or "iou".
            seeds: seeds to return; all if None.
        """
        rows = [row for row in self.of(target, method) if seeds is None or row["seed"] in seeds]
        return np.array([row[measure] for row in rows]) if rows else None

    def mean(
        self, target: str, method: Method, measure: str = "pa_mpjpe", seeds: set[int] | None = None
    ) -> float | None:
        """Return the mean over clips and seeds; arguments as for `clips`."""
        clips = self.clips(target, method, measure, seeds)
        return None if clips is None else float(clips.mean())

    def shared(self, target: str, *compared: Method) -> set[int] | None:
        """Return the seeds that methods are compared on; None stands for all seeds.

        On "site" a seed is a camera, and cameras differ much, so that only those count that all methods have seen.
        """
        # Elsewhere the source model has one seed, and all seeds share one test set.
        if target != "site":
            return None
        return self._common(target, compared)

    def _common(self, target: str, compared: Sequence[Method]) -> set[int]:
        """Return the seeds that all of these methods have run with."""
        return set.intersection(*({row["seed"] for row in self.of(target, method)} for method in compared))

    def change(
        self, target: str, method: Method, measure: str = "pa_mpjpe", seeds: set[int] | None = None
    ) -> float | None:
        """Return the change of the source model's error in percent; arguments as for `clips`."""
        seeds = seeds or self.shared(target, SOURCE_ONLY, method)
        before, after = (self.mean(target, each, measure, seeds) for each in (SOURCE_ONLY, method))
        return None if before is None or after is None else 100 * (after - before) / before

    def gap(self, target: str, method: Method) -> float | None:
        """Return the gain in percent of the gain from labels; None if labels gain nothing."""
        # All three on the same seeds, or the share would mix cameras.
        compared = (SOURCE_ONLY, method, LABELS)
        seeds = self.shared(target, *compared)
        before, after, best = (self.mean(target, each, seeds=seeds) for each in compared)
        # A gain of labels of 0 or less cannot be divided by.
        if before is None or after is None or best is None or best >= before:
            return None
        return 100 * (before - after) / (before - best)

    def against(self, target: str, method: Method, other: Method) -> Estimate | None:
        """Return the PA-MPJPE of a method minus that of another, over pairs of clips and the seeds that both have."""
        # The source model has no seeds of its own, except on "site", where they are cameras.
        seeded = [each for each in (method, other) if target == "site" or each.adapts]
        seeds = self._common(target, seeded)
        first, second = (self.clips(target, each, seeds=seeds if each in seeded else None) for each in (method, other))
        return None if first is None or second is None else paired(first, second)


def method_table(grid: Adaptations, target: str) -> str:
    """Return the table of all methods on one target."""
    lines = [
        "| method | PA-MPJPE, mm | change | share of the labels' gain | difference from ours, mm | MPJPE, mm | change "
        "| IoU | minutes |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for method in grid.methods:
        rows = grid.of(target, method)
        if not rows:
            continue
        # The source model has no change of itself.
        start = not method.adapts
        lines.append(
            f"| {method.name} | {_mean(grid, target, method)} "
            f"| {'' if start else _percent(grid.change(target, method))} "
            f"| {'' if start else _share(grid.gap(target, method))} "
            f"| {'' if method == OURS else _difference(grid.against(target, method, OURS))} "
            f"| {grid.mean(target, method, 'mpjpe'):.1f} "
            f"| {'' if start else _percent(grid.change(target, method, 'mpjpe'))} "
            f"| {grid.mean(target, method, 'iou'):.3f} | {_minutes([row['seconds'] for row in rows])} |"
        )
    return "\n".join(lines)


def shift_table(grid: Adaptations, targets: Sequence[str], shown: Sequence[Method]) -> str:
    """Return the table of PA-MPJPE and MPJPE of the most important methods on several targets."""
    lines = [f"| method | {' | '.join(targets)} |", f"|---|{'---:|' * len(targets)}"]
    for method in (each for each in shown if each in grid.methods):
        cells = []
        for target in targets:
            flat = grid.mean(target, method, "mpjpe")
            cells.append("" if flat is None else f"{_mean(grid, target, method)} / {flat:.0f}")
        lines.append(f"| {method.name} | {' | '.join(cells)} |")
    changes = [[grid.change(target, OURS, measure) for measure in ("pa_mpjpe", "mpjpe")] for target in targets]
    lines.append(f"| ours, change | {' | '.join(' / '.join(filter(None, map(_percent, pair))) for pair in changes)} |")
    if any(map(_paper, targets)):
        lines.append(f"| paper, change | {' | '.join(map(_paper, targets))} |")
    return "\n".join(lines)


COMPARISONS = {
    "no source: both losses": (methods.OURS_ALONE, methods.NORMS),
    "no source: L_S instead of pixels": (methods.B2_ALONE, methods.B1_ALONE),
    "no source: L_T added to L_S": (methods.OURS_ALONE, methods.B2_ALONE),
    "with source: both losses": (OURS, methods.REPLAY),
    "with source: L_S instead of pixels": (methods.B2, methods.B1),
    "with source: L_T added to L_S": (OURS, methods.B2),
}
"""What is added: a method, and the one that it is compared with."""


def loss_table(grid: Adaptations) -> str:
    """Return the table of what each part of the silhouette losses changes, on targets with such a comparison."""
    changes = {
        name: {target: _difference(grid.against(target, *pair)) for target in grid.targets}
        for name, pair in COMPARISONS.items()
    }
    targets = [target for target in grid.targets if any(change[target] for change in changes.values())]
    lines = [f"| added | {' | '.join(targets)} |", f"|---|{'---:|' * len(targets)}"]
    for name, change in changes.items():
        if any(change.values()):
            lines.append(f"| {name} | {' | '.join(change[target] for target in targets)} |")
    return "\n".join(lines) if targets else ""


def teacher_table(grid: Adaptations) -> str:
    """Return the table of what a teacher changes, on the targets where both choices were run."""
    lines = [
        "| target | distance of the two views, mm | without teacher | with teacher | difference, mm | chosen |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for target in grid.targets:
        # Rows without a distance had no choice to make.
        rows = {row["seed"]: row for row in grid.of(target, OURS) if row.get("apart")}
        both = rows.keys() & {row["seed"] for row in grid.of(target, OURS_FLIPPED)}
        for chosen in (True, False):
            seeds = {seed for seed in both if (rows[seed]["settings"]["teacher_weight"] > 0) == chosen}
            ours, theirs = (grid.clips(target, each, seeds=seeds) for each in (OURS, OURS_FLIPPED))
            if ours is None or theirs is None:
                continue
            # "ours" holds the choice, the flipped method its opposite.
            without, taught = (theirs, ours) if chosen else (ours, theirs)
            place = f", camera {' and '.join(map(str, sorted(seeds)))}" if target == "site" else ""
            lines.append(
                f"| {target}{place} | {np.mean([rows[seed]['apart'] for seed in seeds]):.0f} "
                f"| {estimate(without)} | {estimate(taught)} | {_difference(paired(taught, without))} "
                f"| {'a teacher' if chosen else 'none'} |"
            )
    return "\n".join(lines)


def detector_table(quality: Mapping[str, Row]) -> str:
    """Return the table of the quality of the keypoints of a1 and a2."""
    lines = ["| target | median error, pixels of 96 | joints found | within 5 % of the side |", "|---|---:|---:|---:|"]
    for name, row in quality.items():
        lines.append(f"| {name} | {row['median_pixels']:.1f} | {100 * row['found']:.0f} % | {100 * row['pck']:.0f} % |")
    return "\n".join(lines)


def recipe_table(settings: Mapping[str, Any]) -> str:
    """Return the table of the settings that the method consists of."""
    loss = settings["loss"]
    rows = {
        "weights of L_S, L_T and pixels": f"{loss['distance_weight']:g}, {loss['topology_weight']:g}, "
        f"{loss['pixel_weight']:g}; all multiplied by {settings['silhouette_weight']:g} with replay",
        "weight of the pull, relative to the push": f"{loss['pull_weight']:g}",
        "weight of the teacher": f"{settings['teacher_weight']:g}",
        "normalisation": "by the areas of mask and skeleton" if loss["normalise"] else "none, plain sums",
        "cap of distances": f"{loss['iterations']} pixels",
        "backward, gain": f"{loss['backward']}, {loss['gain']:g}",
        "pose prior, weight": f"{settings['fit']['prior']}, {settings['prior_weight']:g}",
        "weight of squared shape coefficients": f"{settings['shape_weight']:g}",
        "steps, batch, replayed crops": f"{settings['steps']}, {settings['batch']}, {settings['replay']}",
        "replayed people": f"in the {settings['replay_look']}'s places and colours",
        "learning rate, warm-up": f"{settings['rate']:g}, decays along a cosine, {settings['rise']} steps",
        "batch norms": settings["norm"],
        "optimisers": settings["optimizers"],
        "steps that learn from fits": f"one in {settings['every']}" if settings["every"] else "none",
        "decay of the averaged weights": f"{settings['average']:g}",
    }
    return "\n".join(["| setting | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())])


def fit_table(rows: Sequence[Row]) -> str:
    """Return the table of the PA-MPJPE of every loss under every condition."""
    lines = [
        f"| condition | start | {' | '.join(LOSSES)} |",
        f"|---|---:|{'---:|' * len(LOSSES)}",
    ]
    for condition in CONDITIONS:
        found = {row["loss"]: np.array(row["pa_mpjpe"]) for row in rows if row["condition"] == condition}
        # The two backward passes have a table of their own.
        found = {loss: errors for loss, errors in found.items() if loss in LOSSES}
        if not found:
            continue
        best = min(found, key=lambda loss: found[loss].mean())
        cells = []
        for loss in LOSSES:
            if loss not in found:
                cells.append("")
                continue
            text = str(estimate(found[loss]))
            if loss != "ours" and "ours" in found and differ(found[loss], found["ours"]) < SIGNIFICANT:
                text += " \\*"
            cells.append(f"**{text}**" if loss == best else text)
        start = next(row["start"] for row in rows if row["condition"] == condition)
        lines.append(f"| {condition} | {start:.0f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def convergence_table(rows: Sequence[Row]) -> str:
    """Return the table of the share of fits that converge, and of the IoU with the fitted mask."""
    lines = [f"| condition | {' | '.join(LOSSES)} |", f"|---|{'---:|' * len(LOSSES)}"]
    for condition in CONDITIONS:
        found = {row["loss"]: row for row in rows if row["condition"] == condition}
        if not found.keys() & LOSSES.keys():
            continue
        cells = [
            f"{100 * found[loss]['converged']:.0f} % / {found[loss]['iou']:.2f}" if loss in found else ""
            for loss in LOSSES
        ]
        lines.append(f"| {condition} | {' | '.join(cells)} |")
    return "\n".join(lines)


def backward_table(rows: Sequence[Row]) -> str:
    """Return the table of the two backward passes; empty if neither was run."""
    lines = [
        "| loss, backward | start | PA-MPJPE, mm | converged | IoU | seconds per fit |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        if row["loss"] in BACKWARDS:
            lines.append(
                f"| {row['loss']} | {row['start']:.0f} | {estimate(np.array(row['pa_mpjpe']))} "
                f"| {100 * row['converged']:.0f} % | {row['iou']:.2f} | {row['seconds'] / row['pairs']:.2f} |"
            )
    return "\n".join(lines) if len(lines) > 2 else ""


def failure_table(row: Row) -> str:
    """Return the table of counts of every kind of failure, before and after an adaptation."""
    lines = ["| failure | before | after |", "|---|---:|---:|"]
    for kind, title in TITLES.items():
        before, after = (f"{count} of {out_of}" for count, out_of in (row["before"][kind], row["after"][kind]))
        lines.append(f"| {title} | {before} | {after} |")
    return "\n".join(lines)


def recording_table(row: Row) -> str:
    """Return the table of the agreement with the masks of a recording."""
    lines = ["| crops | | IoU before | IoU after | better on |", "|---|---:|---:|---:|---:|"]
    for name, key in (("all", "all"), ("held out", "aside")):
        if (part := row[key]) is not None:
            lines.append(
                f"| {name} | {part['crops']} | {part['iou_before']:.3f} | {part['iou_after']:.3f} "
                f"| {100 * part['rose']:.0f} % |"
            )
    return "\n".join(lines)


def fit_legend() -> str:
    """Return the list of conditions and losses with their descriptions."""
    conditions = [f"- **{name}**: {condition.text}." for name, condition in CONDITIONS.items()]
    losses = [f"- **{name}**: {text}." for name, text in LOSS_TEXTS.items()]
    return "\n".join([*conditions, "", *losses])


def _mean(grid: Adaptations, target: str, method: Method) -> str:
    """Format the PA-MPJPE with its interval and its standard deviation over seeds; empty if it was not run."""
    clips = grid.clips(target, method)
    return "" if clips is None else str(estimate(clips))


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:+.1f} %"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0f} %"


def _minutes(seconds: Sequence[float | None]) -> str:
    known = [value for value in seconds if value is not None]
    return f"{np.mean(known) / 60:.1f}" if known else ""


def _difference(value: Estimate | None) -> str:
    """Format a difference with its sign; empty if it is unknown."""
    return "" if value is None else value.text(sign=True)


def _paper(target: str) -> str:
    if target not in PAPER:
        return ""
    return " / ".join("" if value is None else f"-{value:g} %" for value in PAPER[target]).removesuffix(" / ")
