"""The report of an adaptation: one HTML file that shows its effect, with and without labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from adaptation.adapting.settings import AdaptSettings
from adaptation.bodies.body import Body
from adaptation.bodies.joint_sets import LSP_JOINTS, SMPL
from adaptation.bodies.parameters import Bodies
from adaptation.data.samples import MASK_KINDS, MaskKind, Samples
from adaptation.evaluation.metrics import pa_mpjpe
from adaptation.evaluation.scores import PROTOCOL, Scores
from adaptation.fitting.silhouette_fitter import Evaluation, SilhouetteFitter
from adaptation.reports.fits import TILE, ReportTable, body_pixels, draw_over, draw_turned
from adaptation.reports.page import write_page
from adaptation.support import drawing as overlay
from adaptation.support.drawing import AFTER, BEFORE, Image
from adaptation.support.versions import versions

Array = npt.NDArray[np.float32]

GALLERY = 12
"""Crops in the gallery."""
_MOST = 1000  # most crops that are predicted, evenly spread over the set


@dataclass(frozen=True, eq=False)
class Seen:
    """A network's predictions for N crops, and how well they match the masks.

    Attributes:
        bodies: N predicted bodies, on the CPU.
        iou: (N,) intersection over union of silhouette and mask, in [0, 1].
        topology: (N,) L_T, mean pixels between the skeletons.
        pa_mpjpe: (N,) millimetres; None without labels.
    """

    bodies: Bodies
    iou: Array
    topology: Array
    pa_mpjpe: Array | None


@dataclass(frozen=True, eq=False)
class GalleryRow:
    """One crop of the gallery. Pictures are RGB uint8 (S, S, 3).

    Attributes:
        crop: index of the crop in the set.
        image: the crop.
        mask: picture of the mask.
        body_before: the body before adaptation over the crop, with the mask's outline.
        body_after: the body after adaptation over the crop, with the mask's outline.
        body_turned: the body after adaptation, seen from its side, on a plain background.
        iou: intersection over union before and after.
        pa_mpjpe: PA-MPJPE before and after, millimetres; None without labels.
    """

    crop: int
    image: Image
    mask: Image
    body_before: Image
    body_after: Image
    body_turned: Image
    iou: tuple[float, float]
    pa_mpjpe: tuple[float, float] | None


@dataclass(frozen=True)
class JointError:
    """Mean error of a joint.

    Attributes:
        name: name of the joint.
        before: error before adaptation, millimetres.
        after: error after adaptation, millimetres.
        in_protocol: whether the joint is one of the protocol's 14.
    """

    name: str
    before: float
    after: float
    in_protocol: bool


@dataclass(frozen=True, eq=False)
class AdaptationReport:
    """The contents of the page.

    Attributes:
        title: heading of the page.
        source: line under the heading.
        summary: label and value of the figures at the top.
        judged_on: crops that progress was measured on: held-out crops, or the training crops if there is one clip.
        curve: step, iou and topology of the checks.
        kept: position in the curve of the check whose weights were kept.
        tables: agreement with the masks, and errors if there are labels.
        before: predictions of the source model for the target.
        after: predictions of the adapted model.
        gallery: pictures of some crops.
        joints: errors joint by joint; empty without labels.
        settings: names and values of the settings.
        command: command that reproduces the result.
        versions: names and versions of the packages used.
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


@dataclass(frozen=True, eq=False)
class Adapted:
    """A finished adaptation.

    Attributes:
        target: name of the target.
        model: name of the network that was adapted.
        samples: crops of the target.
        settings: settings of the adaptation.
        before: the network before adaptation.
        after: the network after adaptation.
        curve: step, iou and topology of the checks on held-out crops.
        scores: errors before and after; None without labels.
        measured: name of the crop set that the errors were measured on.
        described: everything that the result depends on.
        command: command that reproduces the result.
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


def build_adaptation_report(adapted: Adapted, fitter: SilhouetteFitter) -> AdaptationReport:
    """Run both networks on the target and make the pictures of the report.

    Args:
        adapted: the adaptation.
        fitter: fitter with the body that is drawn, on the device to compute on.
    """
    samples, masks, scores = adapted.samples, adapted.settings.masks, adapted.scores
    usable = np.flatnonzero([bool(_mask(samples, i, masks).any()) for i in range(len(samples))])
    index = usable[np.linspace(0, len(usable) - 1, min(_MOST, len(usable))).round().astype(np.int64)]
    before, after = (see(network, samples, index, fitter, masks) for network in (adapted.before, adapted.after))
    judged_on = "held-out crops" if len(np.unique(samples.sequences)) > 1 else "training crops"
    points = {name: np.asarray(values, np.float32) for name, values in adapted.curve.items()}
    kept = int(points["iou"].argmax())
    tables = [_agreement_table(before, after)]
    if scores is not None:
        tables.append(_error_table(*scores, adapted.measured))
    return AdaptationReport(
        title=f"Adaptation to {adapted.target}",
        source=f"{adapted.model} on {len(samples):,} crops of {samples.size} pixels, "
        f"from {_evidence(adapted.settings)}",
        summary=_summary(before, after, judged_on, points, kept, scores),
        judged_on=judged_on,
        curve=points,
        kept=kept,
        tables=tables,
        before=before,
        after=after,
        gallery=_gallery(samples, index, masks, before, after, fitter.body.cpu()),
        joints=[] if scores is None else _joint_errors(*scores),
        settings=list(_flat(adapted.described)),
        command=adapted.command,
        versions=versions(),
    )


def _mask(samples: Samples, crop: int, masks: MaskKind) -> npt.NDArray[np.uint8]:
    assert samples.masks is not None  # an adaptation needs them
    return np.asarray(samples.masks[crop, MASK_KINDS.index(masks)])


def write_adaptation_report(path: Path, report: AdaptationReport) -> None:
    """Write a report as one HTML file, which is complete or not there at all. Its folder must exist."""
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


@torch.no_grad()
def see(
    network: nn.Module,
    samples: Samples,
    index: npt.NDArray[np.int64],
    fitter: SilhouetteFitter,
    masks: MaskKind,
    batch: int = 64,
) -> Seen:
    """Predict bodies for the crops of an index (N,), and compare them with masks and labels.

    Args:
        network: a `MeshNetwork`.
        samples: crops with masks.
        index: (N,) crops to predict.
        fitter: fitter with the body model, on the device to compute on.
        masks: kind of mask to compare with.
        batch: crops that are predicted together.
    """
    device = fitter.body.faces.device
    network = network.to(device).eval()
    truth = samples.bodies(fitter.body) if samples.labelled else None
    bodies, judged, errors = [], [], []
    for part in np.array_split(index, range(batch, len(index), batch)):
        predicted = network(samples.image_batch(part, str(device))).bodies
        judged.append(fitter.evaluate(predicted, fitter.target(samples.mask_batch(part, masks, str(device)))))
        bodies.append(predicted.to("cpu"))
        if truth is not None:
            known = truth.select(torch.from_numpy(part)).to(device)
            joints = [fitter.body.joints(each.rotations, each.betas) for each in (predicted, known)]
            errors.append(pa_mpjpe(*joints))
    whole = Evaluation.cat(judged)
    return Seen(
        bodies=Bodies.cat(bodies),
        iou=whole.iou.cpu().numpy(),
        topology=whole.topology.cpu().numpy(),
        pa_mpjpe=torch.cat(errors).cpu().numpy() if errors else None,
    )


def _evidence(adapt: AdaptSettings) -> str:
    """Text for what the network learnt from."""
    if adapt.supervised:
        return "labels"
    masks = f"{adapt.masks} masks" + (f" by the loss {adapt.loss.name}" if adapt.keypoints != "a2" else " in fits")
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
        (f"mean IoU on {judged_on}", change(curve["iou"][0], curve["iou"][kept], ".3f")),
    ]
    if scores is not None:
        start, end = (each.summary() for each in scores)
        for label, name in (("PA-MPJPE, mm", "pa_mpjpe"), ("MPJPE, mm", "mpjpe")):
            figures.append((label, change(start[name], end[name], ".1f")))
    figures.append(("step whose weights were kept", f"{curve['step'][kept]:,.0f} of {curve['step'][-1]:,.0f}"))
    return figures


def _agreement_table(before: Seen, after: Seen) -> ReportTable:
    measures: tuple[tuple[str, int, Callable[[Seen], Any]], ...] = (
        ("IoU, mean", 3, lambda seen: seen.iou.mean()),
        ("IoU, median", 3, lambda seen: np.median(seen.iou)),
        ("IoU, worst tenth below", 3, lambda seen: np.percentile(seen.iou, 10)),
        ("L_T, mean pixels", 2, lambda seen: seen.topology.mean()),
        ("L_T, median pixels", 2, lambda seen: np.median(seen.topology)),
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
        note=f"{len(before.iou):,} crops of the target, including those used for training; the IoU rose on {rose:.0%} "
        "of them. L_T is the mean distance between the skeletons of mask and body. Bodies in wrong poses can match "
        "masks, too.",
    )


def _error_table(before: Scores, after: Scores, measured: str) -> ReportTable:
    start, end = before.summary(), after.summary()
    rows = [
        [label, f"{start[name]:.{d}f}", f"{end[name]:.{d}f}", f"{(end[name] / max(start[name], 1e-9) - 1):+.1%}"]
        for label, name, d in (
            ("MPJPE, mm", "mpjpe", 1),
            ("PA-MPJPE, mm", "pa_mpjpe", 1),
            ("IoU, exact masks", "iou", 3),
        )
    ]
    note = f"{len(before.mpjpe):,} labelled crops of {measured}. {PROTOCOL[0].upper()}{PROTOCOL[1:]}."
    return ReportTable("Against the labels", ["", "before", "after", "change"], rows, note)


def _joint_errors(before: Scores, after: Scores) -> list[JointError]:
    means = [each.joints.mean(axis=0) for each in (before, after)]
    return [
        JointError(name.replace("_", " "), float(means[0][joint]), float(means[1][joint]), joint in LSP_JOINTS)
        for joint, name in enumerate(SMPL.joints)
    ]


def _gallery(
    samples: Samples, index: npt.NDArray[np.int64], masks: MaskKind, before: Seen, after: Seen, body: Body
) -> list[GalleryRow]:
    """Pictures of crops, evenly spread from the one whose IoU fell most to the one whose IoU rose most."""
    order = np.argsort(after.iou - before.iou, kind="stable")  # stable: equal runs show equal crops
    chosen = order[np.linspace(0, len(order) - 1, min(GALLERY, len(order))).round().astype(int)].tolist()
    return gallery_rows(samples, index, chosen, masks, before, after, body)


def gallery_rows(
    samples: Samples,
    index: npt.NDArray[np.int64],
    chosen: Sequence[int],
    masks: MaskKind,
    before: Seen,
    after: Seen,
    body: Body,
) -> list[GalleryRow]:
    """Make the pictures of some crops.

    Args:
        samples: the crop set.
        index: (N,) indices of the crops that were predicted.
        chosen: positions in ``index`` of the crops to show.
        masks: kind of mask to show.
        before: predictions for the N crops before adaptation.
        after: predictions for the N crops after adaptation.
        body: the body model that is drawn, on the CPU.
    """
    zoom = TILE / samples.size
    places = torch.tensor(chosen)
    pixels = [body_pixels(body, seen.bodies.select(places), samples.size) * zoom for seen in (before, after)]
    rows = []
    for row, place in enumerate(chosen):
        crop = int(index[place])
        mask = _mask(samples, crop, masks)
        image = overlay.enlarge(np.asarray(samples.images[crop]), TILE)
        errors = None
        if before.pa_mpjpe is not None and after.pa_mpjpe is not None:
            errors = float(before.pa_mpjpe[place]), float(after.pa_mpjpe[place])
        rows.append(
            GalleryRow(
                crop=crop,
                image=image,
                mask=overlay.picture_mask(mask),
                body_before=draw_over(image, pixels[0][row], body, BEFORE, mask),
                body_after=draw_over(image, pixels[1][row], body, AFTER, mask),
                body_turned=draw_turned(pixels[1][row], body),
                iou=(float(before.iou[place]), float(after.iou[place])),
                pa_mpjpe=errors,
            )
        )
    return rows


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Sequence[tuple[str, str]]:
    """Nested settings as dotted names and values."""
    pairs: list[tuple[str, str]] = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            pairs += _flat(value, f"{prefix}{name}.")
        else:
            pairs.append((f"{prefix}{name}", f"{value:g}" if isinstance(value, float) else str(value)))
    return pairs


def _round_range(values: Array) -> tuple[float, float]:
    """Range of some values, extended to multiples of 0.05 and at least 0.05 wide."""
    low, high = np.floor(20 * values.min()) / 20, np.ceil(20 * values.max()) / 20
    return float(low), float(max(high, low + 0.05))
