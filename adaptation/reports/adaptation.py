"""Report of an adaptation: one HTML file that compares the network before and after, with and without labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from adaptation.adapting.settings import AdaptSettings
from adaptation.bodies.joint_sets import LSP_JOINTS, SMPL
from adaptation.data.samples import Samples
from adaptation.evaluation.scores import PROTOCOL, Scores
from adaptation.fitting.silhouette_fitter import SilhouetteFitter
from adaptation.reports.adaptation_crops import GalleryRow, Seen, mask_of, see, spread_gallery
from adaptation.reports.fits import ReportTable
from adaptation.reports.page import write_page
from adaptation.support.versions import versions

Array = npt.NDArray[np.float32]

_MOST = 1000  # crops that both networks are run on, evenly spread over the set, to bound the time of a report


@dataclass(frozen=True)
class JointError:
    """Mean error of one joint before and after, millimetres, and whether it is among the protocol's 14 joints."""

    name: str
    before: float
    after: float
    in_protocol: bool


@dataclass(frozen=True, eq=False)
class AdaptationReport:
    """Contents of the page.

    Attributes:
        title: heading of the page.
        source: line under the heading: network, crops and supervision.
        summary: label and value of each figure at the top.
        judged_on: crops that the curve is measured on: "held-out crops", or "training crops" if the target is a
            single sequence, which cannot be split.
        curve: "step", "iou" and "topology" of each progress check.
        kept: index in the curve of the check whose weights were kept.
        tables: agreement with the masks and, with labels, errors.
        before: predictions of the source network for the target.
        after: predictions of the adapted network.
        gallery: crops shown with pictures.
        joints: error of each joint, empty without labels.
        settings: name and value of each setting.
        command: command line that reproduces the result.
        versions: name and version of each package that was used.
        found: how unusual inputs were understood, one line each.
    """

    title: str
    source: str
    summary: Sequence[tuple[str, str]]
    judged_on: str
    curve: Mapping[str, Array]
    kept: int
    tables: Sequence[ReportTable]
    before: Seen
    after: Seen
    gallery: Sequence[GalleryRow]
    joints: Sequence[JointError]
    settings: Sequence[tuple[str, str]]
    command: str
    versions: Sequence[tuple[str, str]]
    found: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class Adapted:
    """A finished adaptation.

    Attributes:
        target: name of the target.
        model: name of the network that was adapted.
        samples: the target's crops.
        settings: settings of the adaptation.
        before: the network before the adaptation.
        after: the network after the adaptation.
        curve: "step", "iou" and "topology" of each progress check.
        scores: errors before and after, or None without labels.
        measured: name of the set that ``scores`` were measured on.
        described: settings and inputs that the result depends on, nested by name.
        command: command line that reproduces the result.
        found: how unusual inputs were understood, one line each; see `adaptation.support.reading.findings`.
    """

    target: str
    model: str
    samples: Samples
    settings: AdaptSettings
    before: nn.Module
    after: nn.Module
    curve: Mapping[str, Sequence[float]]
    scores: tuple[Scores, Scores] | None
    measured: str
    described: Mapping[str, Any]
    command: str
    found: Sequence[str] = ()


def build_adaptation_report(adapted: Adapted, fitter: SilhouetteFitter) -> AdaptationReport:
    """Run both networks on the target and make the pictures of the report.

    At most 1000 crops are used, evenly spread over those whose mask is not empty.

    Args:
        adapted: the adaptation.
        fitter: measures agreement with masks; its body model is drawn, and its device runs the networks.

    Returns:
        The report, ready for `write_adaptation_report`.
    """
    samples, masks, scores = adapted.samples, adapted.settings.masks, adapted.scores
    # An empty mask shows no person that a prediction could agree with.
    usable = np.flatnonzero([bool(mask_of(samples, i, masks).any()) for i in range(len(samples))])
    # Evenly spread, not the first thousand, which would show few people.
    index = usable[np.linspace(0, len(usable) - 1, min(_MOST, len(usable))).round().astype(np.int64)]
    before, after = (see(network, samples, index, fitter, masks) for network in (adapted.before, adapted.after))
    # As `adapting.judge` splits: a single sequence is judged on the crops that it learns from.
    judged_on = "held-out crops" if len(np.unique(samples.sequences)) > 1 else "training crops"
    points = {name: np.asarray(values, np.float32) for name, values in adapted.curve.items()}
    # argmax takes the first of equal values, as the judge does.
    kept = int(points["iou"].argmax())
    tables = [_agreement_table(before, after)]
    if scores is not None:
        tables.append(_error_table(*scores, adapted.measured))
    return AdaptationReport(
        title=f"Adaptation to {adapted.target}",
        source=f"{adapted.model} on {len(samples):,} crops of {samples.size} pixels, "
        f"from {_supervision(adapted.settings, adapted.described)}",
        summary=_summary(before, after, judged_on, points, kept, scores),
        judged_on=judged_on,
        curve=points,
        kept=kept,
        tables=tables,
        before=before,
        after=after,
        gallery=spread_gallery(samples, index, masks, before, after, fitter.body.cpu()),
        joints=[] if scores is None else _joint_errors(*scores),
        settings=list(_flat(adapted.described)),
        command=adapted.command,
        versions=versions(),
        found=adapted.found,
    )


def write_adaptation_report(path: Path, report: AdaptationReport) -> None:
    """Write a report as one HTML file. A write that fails leaves no partial file.

    Args:
        path: the file; its folder must exist.
        report: the report.

    Raises:
        UserError: the file cannot be written.
    """
    # Sorted values as a curve: an average can rise while the worst crops get worse.
    share = np.arange(101)
    sorted_iou = [np.percentile(seen.iou, share) for seen in (report.before, report.after)]
    # The axis of IoU starts at a round number below all values.
    low = min(float(values.min()) for values in (*sorted_iou, report.curve["iou"]))
    write_page(
        path,
        "adaptation.html.j2",
        report=report,
        share=share,
        sorted_iou=sorted_iou,
        iou_floor=np.floor(10 * low) / 10,
        iou_range=_round_range(report.curve["iou"]),
    )


def _supervision(adapt: AdaptSettings, described: Mapping[str, object]) -> str:
    """What the network was trained on, for the line under the heading."""
    recording = described.get("recording")
    # A recording has one kind of mask, whatever kind of a crop set the settings name.
    given = isinstance(recording, Mapping) and recording.get("masks") != "None"
    kind = "given" if given else "subtracted" if recording else adapt.masks
    if adapt.supervised:
        return "labels"
    # With "a2" masks serve only the fits, so no silhouette loss is named.
    masks = f"{kind} masks" + (f" with the loss {adapt.loss.name}" if adapt.keypoints != "a2" else " in fits")
    return {None: masks, "a1": "2D keypoints", "a2": f"2D keypoints, and {masks}", "weak": f"2D keypoints and {masks}"}[
        adapt.keypoints
    ]


def _summary(
    before: Seen,
    after: Seen,
    judged_on: str,
    curve: Mapping[str, Array],
    kept: int,
    scores: tuple[Scores, Scores] | None,
) -> list[tuple[str, str]]:
    def change(start: float, end: float, form: str) -> str:
        return f"{start:{form}} → {end:{form}}"

    figures = [
        ("mean IoU with the masks", change(before.iou.mean(), after.iou.mean(), ".3f")),
        (f"mean IoU, {judged_on}", change(curve["iou"][0], curve["iou"][kept], ".3f")),
    ]
    if scores is not None:
        start, end = (each.summary() for each in scores)
        for label, name in (("PA-MPJPE, mm", "pa_mpjpe"), ("MPJPE, mm", "mpjpe")):
            if name in start:  # vertices alone have no joints to measure
                figures.append((label, change(start[name], end[name], ".1f")))
    # Step 0 here says that no weights agreed better than the source model's.
    figures.append(("weights kept from step", f"{curve['step'][kept]:,.0f} of {curve['step'][-1]:,.0f}"))
    return figures


def _agreement_table(before: Seen, after: Seen) -> ReportTable:
    measures: tuple[tuple[str, int, Callable[[Seen], np.floating[Any]]], ...] = (
        ("IoU, mean", 3, lambda seen: seen.iou.mean()),
        ("IoU, median", 3, lambda seen: np.median(seen.iou)),
        ("IoU, 10th percentile", 3, lambda seen: np.percentile(seen.iou, 10)),
        ("L_T, mean, pixels", 2, lambda seen: seen.topology.mean()),
        ("L_T, median, pixels", 2, lambda seen: np.median(seen.topology)),
    )
    rows = []
    for name, digits, measure in measures:
        values = [float(measure(seen)) for seen in (before, after)]
        rows.append([name, *(f"{v:.{digits}f}" for v in values), f"{values[1] - values[0]:+.{digits}f}"])
    rose = float((after.iou > before.iou).mean())
    return ReportTable(
        title="Silhouettes, without labels",
        columns=["", "before", "after", "change"],
        rows=rows,
        note=f"Over {len(before.iou):,} crops of the target, training crops included; the IoU rose on {rose:.0%} of "
        "them. L_T is the mean distance between the skeletons of mask and body. A body in a wrong pose can still agree "
        "with the mask.",
    )


def _error_table(before: Scores, after: Scores, measured: str) -> ReportTable:
    start, end = before.summary(), after.summary()
    rows = [
        # The guard keeps a perfect start, such as a test's, from dividing by zero.
        [label, f"{start[name]:.{d}f}", f"{end[name]:.{d}f}", f"{(end[name] / max(start[name], 1e-9) - 1):+.1%}"]
        for label, name, d in (
            ("MPJPE, mm", "mpjpe", 1),
            ("PA-MPJPE, mm", "pa_mpjpe", 1),
            ("IoU, exact masks", "iou", 3),
        )
        if name in start
    ]
    note = f"{len(before.iou):,} labelled crops of {measured}. {PROTOCOL[0].upper()}{PROTOCOL[1:]}."
    return ReportTable("Against the labels", ["", "before", "after", "change"], rows, note)


def _joint_errors(before: Scores, after: Scores) -> list[JointError]:
    if before.joints is None or after.joints is None:
        return []
    # All 24 joints are shown; the protocol's 14 are marked, since only they enter the errors above.
    means = [each.mean(axis=0) for each in (before.joints, after.joints)]
    return [
        JointError(name.replace("_", " "), float(means[0][joint]), float(means[1][joint]), joint in LSP_JOINTS)
        for joint, name in enumerate(SMPL.joints)
    ]


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Sequence[tuple[str, str]]:
    """Return nested settings as pairs of dotted name and value."""
    pairs: list[tuple[str, str]] = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            pairs += _flat(value, f"{prefix}{name}.")
        else:
            pairs.append((f"{prefix}{name}", f"{value:g}" if isinstance(value, float) else str(value)))
    return pairs


def _round_range(values: Array) -> tuple[float, float]:
    """Return the range of some values, widened to multiples of 0.05, for the axis of a plot."""
    low, high = np.floor(20 * values.min()) / 20, np.ceil(20 * values.max()) / 20
    return float(low), float(max(high, low + 0.05))  # never an empty range, which a plot would divide by
