"""The report of an adaptation: one HTML file that shows what it changed, with labels and without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from adaptation.adapting.algorithm1 import AdaptSettings
from adaptation.bodies.body import JOINT_NAMES, Body
from adaptation.commands.doctor import versions
from adaptation.data.samples import MASK_KINDS, Domain, MaskKind
from adaptation.evaluation.metrics import LSP_JOINTS, pa_mpjpe
from adaptation.evaluation.scores import PROTOCOL, Scores
from adaptation.fitting.fitter import BodyParameters, Evaluation, Fitter
from adaptation.losses.supervision import truth_of
from adaptation.reports.fits import TILE, ReportTable, body_pixels, draw_over, draw_turned
from adaptation.reports.page import write_page
from adaptation.support import drawing as overlay
from adaptation.support.drawing import AFTER, BEFORE, Image

Array = npt.NDArray[np.float32]

GALLERY = 12
_MOST = 1000  # crops that are looked at, evenly spread


@dataclass(frozen=True, eq=False)
class Seen:
    """What a network says about N crops, and how well it explains their masks.

    Attributes:
        bodies: N of them, on the CPU.
        iou: (N,) of silhouette and mask.
        topology: (N,) L_T, mean pixels between the skeletons.
        pa_mpjpe: (N,) millimetres, or None where there are no labels.
    """

    bodies: BodyParameters
    iou: Array
    topology: Array
    pa_mpjpe: Array | None


@dataclass(frozen=True, eq=False)
class GalleryRow:
    """One crop. Pictures are RGB uint8 (S, S, 3).

    Attributes:
        crop: its number in the set.
        image: the crop.
        mask: as a picture.
        body_before: over the crop, with the mask's outline.
        body_after: the same after the adaptation.
        body_turned: the body after, from its side, on plain ground.
        iou: before and after.
        pa_mpjpe: before and after, or None where there are no labels.
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
    """Mean error of a joint, millimetres, before and after, and whether it is one of the protocol's 14."""

    name: str
    before: float
    after: float
    in_protocol: bool


@dataclass(frozen=True, eq=False)
class AdaptationReport:
    """Everything the page shows.

    Attributes:
        title: heading of the page.
        source: a line under it.
        summary: label and value of the figures at the top.
        judged_on: what the looks of the curve are at: crops set aside, or those learnt from where there is one clip.
        curve: step, iou and topology of the looks.
        kept: position in the curve of the look whose weights were kept.
        tables: agreement, and errors where there are labels.
        before: what the source model says about the target.
        after: what the adapted one says.
        gallery: some crops.
        joints: errors joint by joint, empty without labels.
        settings: names and values.
        command: how to get this result again.
        versions: name and version of what was used.
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


def build_adaptation_report(
    *,
    target: str,
    model: str,
    domain: Domain,
    adapt: AdaptSettings,
    before: nn.Module,
    after: nn.Module,
    fitter: Fitter,
    curve: Mapping[str, Sequence[float]],
    scores: tuple[Scores, Scores] | None,
    measured: str,
    settings: Mapping[str, Any],
    command: str,
) -> AdaptationReport:
    """Look at a target with the network as it was and as it is, and make the pictures.

    Args:
        target: its name.
        model: name of the network that was adapted.
        domain: the target's crops.
        adapt: what it was adapted with.
        before: the network as it was.
        after: the network adapted.
        fitter: with the body that is drawn, on the networks' device.
        curve: step, iou and topology of the looks at crops set aside.
        scores: errors before and after, or None where nothing is labelled.
        measured: name of the set that they were measured on.
        settings: everything that the result depends on.
        command: how to get this result again.
    """
    masks = adapt.masks
    usable = np.flatnonzero([bool(domain.masks[i, MASK_KINDS.index(masks)].any()) for i in range(len(domain))])
    index = usable[np.linspace(0, len(usable) - 1, min(_MOST, len(usable))).round().astype(np.int64)]
    looks = [see(network, domain, index, fitter, masks) for network in (before, after)]
    judged_on = "crops set aside" if len(np.unique(domain.clip)) > 1 else "crops learnt from"
    points = {name: np.asarray(values, np.float32) for name, values in curve.items()}
    kept = int(points["iou"].argmax())
    tables = [_agreement_table(*looks)]
    if scores is not None:
        tables.append(_error_table(*scores, measured))
    return AdaptationReport(
        title=f"Adaptation to {target}",
        source=f"{model} on {len(domain):,} crops of {domain.size} pixels, from {_evidence(adapt)}",
        summary=_summary(*looks, judged_on, points, kept, scores),
        judged_on=judged_on,
        curve=points,
        kept=kept,
        tables=tables,
        before=looks[0],
        after=looks[1],
        gallery=_gallery(domain, index, masks, *looks, fitter.body.cpu()),
        joints=[] if scores is None else _joint_errors(*scores),
        settings=list(_flat(settings)),
        command=command,
        versions=versions(),
    )


def write_adaptation_report(path: Path, report: AdaptationReport) -> None:
    """Write a report as one HTML file; it appears whole or not at all. Its folder must exist."""
    share = np.arange(101)
    sorted_iou = [np.percentile(seen.iou, share) for seen in (report.before, report.after)]
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
    network: nn.Module, domain: Domain, index: npt.NDArray[np.int64], fitter: Fitter, masks: MaskKind, batch: int = 64
) -> Seen:
    """What a network says about the crops of an index (N,)."""
    device = fitter.body.faces.device
    network = network.to(device).eval()
    truth = truth_of(domain) if domain.pose is not None else None
    bodies, judged, errors = [], [], []
    for part in np.array_split(index, range(batch, len(index), batch)):
        prediction = network(domain.image_batch(part, device))
        found = BodyParameters(prediction.pose, prediction.betas, prediction.camera)
        judged.append(fitter.evaluate(found, fitter.target(domain.mask_batch(part, masks, device))))
        bodies.append(BodyParameters(found.pose.cpu(), found.betas.cpu(), found.camera.cpu()))
        if truth is not None:
            wanted = truth.select(torch.from_numpy(part)).to(str(device))
            joints = [fitter.body.joints(each.rotations, each.betas) for each in (prediction, wanted)]
            errors.append(pa_mpjpe(*joints))
    whole = Evaluation.cat(judged)
    return Seen(
        bodies=BodyParameters.cat(bodies),
        iou=whole.iou.cpu().numpy(),
        topology=whole.topology.cpu().numpy(),
        pa_mpjpe=torch.cat(errors).cpu().numpy() if errors else None,
    )


def _evidence(adapt: AdaptSettings) -> str:
    """What the network learnt from."""
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
        (f"the same on {judged_on}", change(curve["iou"][0], curve["iou"][kept], ".3f")),
    ]
    if scores is not None:
        for label, name in (("PA-MPJPE, mm", "pa_mpjpe"), ("MPJPE, mm", "mpjpe")):
            figures.append((label, change(*(each.summary()[name] for each in scores), ".1f")))
    figures.append(("steps kept of those made", f"{curve['step'][kept]:,.0f} of {curve['step'][-1]:,.0f}"))
    return figures


def _agreement_table(before: Seen, after: Seen) -> ReportTable:
    rows = []
    for name, digits, measure in (
        ("IoU, mean", 3, lambda seen: seen.iou.mean()),
        ("IoU, median", 3, lambda seen: np.median(seen.iou)),
        ("IoU, worst tenth below", 3, lambda seen: np.percentile(seen.iou, 10)),
        ("L_T, mean pixels", 2, lambda seen: seen.topology.mean()),
        ("L_T, median pixels", 2, lambda seen: np.median(seen.topology)),
    ):
        values = [float(measure(seen)) for seen in (before, after)]
        rows.append([name, *(f"{v:.{digits}f}" for v in values), f"{values[1] - values[0]:+.{digits}f}"])
    rose = float((after.iou > before.iou).mean())
    return ReportTable(
        title="Silhouettes, without labels",
        columns=["", "before", "after", "change"],
        rows=rows,
        note=f"Over {len(before.iou):,} crops of the target, those that were learnt from among them; the IoU rose on "
        f"{rose:.0%}. L_T is the mean distance between the skeletons of mask and body. Bodies can agree with masks in "
        "wrong poses.",
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
    note = f"On {len(before.mpjpe):,} labelled crops of {measured}. {PROTOCOL[0].upper()}{PROTOCOL[1:]}."
    return ReportTable("Against the labels", ["", "before", "after", "change"], rows, note)


def _joint_errors(before: Scores, after: Scores) -> list[JointError]:
    means = [each.joints.mean(axis=0) for each in (before, after)]
    return [
        JointError(name.replace("_", " "), float(means[0][joint]), float(means[1][joint]), joint in LSP_JOINTS)
        for joint, name in enumerate(JOINT_NAMES)
    ]


def _gallery(
    domain: Domain, index: npt.NDArray[np.int64], masks: MaskKind, before: Seen, after: Seen, body: Body
) -> list[GalleryRow]:
    """Crops from the one whose IoU fell most to the one whose rose most, evenly spread in that order."""
    order = np.argsort(after.iou - before.iou, kind="stable")
    chosen = order[np.linspace(0, len(order) - 1, min(GALLERY, len(order))).round().astype(int)].tolist()
    return gallery_rows(domain, index, chosen, masks, before, after, body)


def gallery_rows(
    domain: Domain,
    index: npt.NDArray[np.int64],
    chosen: Sequence[int],
    masks: MaskKind,
    before: Seen,
    after: Seen,
    body: Body,
) -> list[GalleryRow]:
    """Pictures of some crops.

    Args:
        domain: of the crops.
        index: (N,) those that were seen.
        chosen: places in the index.
        masks: which are shown.
        before: what was seen with the model as it came,
        after: and with the adapted one.
        body: that is drawn.
    """
    zoom = TILE / domain.size
    pixels = [
        body_pixels(body, b.pose.numpy(), b.betas.numpy(), b.camera.numpy(), chosen, domain.size) * zoom
        for b in (before.bodies, after.bodies)
    ]
    rows = []
    for row, place in enumerate(chosen):
        crop = int(index[place])
        mask = np.asarray(domain.masks[crop, MASK_KINDS.index(masks)])
        image = overlay.enlarge(np.asarray(domain.images[crop]), TILE)
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
    """Multiples of a twentieth around some values."""
    low, high = np.floor(20 * values.min()) / 20, np.ceil(20 * values.max()) / 20
    return float(low), float(max(high, low + 0.05))
