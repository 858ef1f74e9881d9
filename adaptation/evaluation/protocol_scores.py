"""Measure a regressor by a published protocol."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from adaptation.bodies.body import Body, BodyOutput
from adaptation.bodies.joint_sets import H36M, SMPL, SPIN, JointSet
from adaptation.bodies.parameters import Bodies
from adaptation.bodies.renderer import TopokernelsRenderer
from adaptation.data.samples import Samples
from adaptation.evaluation.joint_errors import JointErrors, auc, pck, pckh, percentiles
from adaptation.evaluation.protocols import Protocol
from adaptation.evaluation.segmentation import PARTS, Tally, inside_frame, part_of_faces
from adaptation.regressors.running import predict_in
from adaptation.support.errors import UserError
from adaptation.support.reading.findings import found

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ProtocolScores:
    """What a protocol measures.

    Attributes:
        protocol: the protocol.
        crops: (N,) numbers of the crops that counted.
        figures: the figures by name, in the order in which they are shown.
        per_crop: columns (N,) by name.
        per_joint: figures of each joint or part, by its name.
    """

    protocol: Protocol
    crops: Integers
    figures: dict[str, float]
    per_crop: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    per_joint: dict[str, dict[str, float]] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write scores.json (protocol, convention and figures), images.csv (each crop) and joints.csv (each joint).

        Args:
            folder: existing folder to write to.
        """
        text = {
            "protocol": self.protocol.name,
            "convention": self.protocol.text,
            "images": len(self.crops),
            "figures": self.figures,
        }
        (folder / "scores.json").write_text(json.dumps(text, indent=2) + "\n")
        rows = zip(self.crops.tolist(), *self.per_crop.values(), strict=True)
        _write_table(folder / "images.csv", ["image", *self.per_crop], rows)
        columns = list(dict.fromkeys(name for each in self.per_joint.values() for name in each))
        joints = ([name, *(each.get(column, "") for column in columns)] for name, each in self.per_joint.items())
        _write_table(folder / "joints.csv", ["joint", *columns], joints)


def _write_table(path: Path, header: Sequence[str], rows: Iterator[Sequence[object]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows([f"{cell:.4f}" if isinstance(cell, float) else cell for cell in row] for row in rows)


@dataclass(frozen=True)
class Subject:
    """What is measured: a network and its body model.

    Attributes:
        network: a `MeshNetwork`.
        body: its body model.
        regressor: (17, V) joint regressor (`adaptation.bodies.joint_regressor`); None if there is none.
        device: "cpu", "cuda" or "cuda:N".
        batch: crops at a time.
    """

    network: nn.Module
    body: Body
    regressor: Tensor | None = None
    device: str = "cpu"
    batch: int = 64


@torch.no_grad()
def evaluate_protocol(subject: Subject, samples: Samples, protocol: Protocol) -> ProtocolScores:
    """Measure a network's predictions on crops with labels.

    Args:
        subject: the network; it and its body are moved to the device.
        samples: crops.
        protocol: the protocol. Crops that it does not count, or that lack labels, are left out, which is said.

    Raises:
        UserError: the crops lack what the protocol needs, none of them counts, or a regressor is missing.
    """
    if protocol.regressed and subject.regressor is None:
        raise UserError(
            f"protocol {protocol.name} regresses joints from the mesh: give --regressor J_regressor_h36m.npy (in "
            "SPIN's data) and the SMPL model of the network, --body; smpl14 needs neither"
        )
    if subject.regressor is not None and not protocol.regressed and protocol.measure != "keypoints":
        raise UserError(f"protocol {protocol.name} regresses no joints; leave --regressor out")
    measure = {"joints": _measure_joints, "segmentation": _measure_masks, "keypoints": _measure_keypoints}
    return measure[protocol.measure](subject, samples, protocol)


def _measure_joints(subject: Subject, samples: Samples, protocol: Protocol) -> ProtocolScores:
    names = SPIN if protocol.regressed else SMPL
    if samples.joints3d is None or samples.joint_set != names.name:
        what = "none" if samples.joints3d is None else f"those of {samples.joint_set!r}"
        raise UserError(
            f"protocol {protocol.name} needs 3D joints of {names.name!r}; the crop set has {what}"
            + ("; topo-adapt dataset --regressor makes them of poses" if protocol.regressed else "")
        )
    places = _places(protocol.joints, names)
    root = names.joints.index("pelvis")
    known = samples.joints3d[:, [*places, root], 3].min(axis=1) > 0
    index = _counted(samples, protocol, known)
    own = H36M if protocol.regressed else SMPL
    parts = []
    for chosen, _, posed in _predictions(subject, samples, index):
        joints = _joints(subject, posed, protocol)
        true = torch.from_numpy(samples.joints3d[chosen][..., :3]).to(joints)
        pelvis = own.joints.index("pelvis")
        parts.append(
            JointErrors.of(joints[:, _places(protocol.joints, own)], true[:, places], joints[:, pelvis], true[:, root])
        )
    rooted, aligned = (np.concatenate([getattr(each, name) for each in parts]) for name in ("rooted", "aligned"))
    return _joint_scores(protocol, index, rooted, aligned)


def _joint_scores(
    protocol: Protocol, index: Integers, rooted: npt.NDArray[np.float64], aligned: npt.NDArray[np.float64]
) -> ProtocolScores:
    """Return the figures of errors (N, J) in millimetres."""
    per_crop = {"mpjpe_mm": rooted.mean(axis=1), "pa_mpjpe_mm": aligned.mean(axis=1)}
    figures = {"MPJPE mm": float(rooted.mean()), "PA-MPJPE mm": float(aligned.mean())}
    if protocol.pck:
        columns = _places(protocol.pck, JointSet("protocol", protocol.joints))
        for prefix, errors in (("", rooted[:, columns]), ("PA-", aligned[:, columns])):
            figures |= {f"{prefix}PCK@150 %": pck(errors), f"{prefix}AUC %": auc(errors)}
    for name, column in (("MPJPE", "mpjpe_mm"), ("PA-MPJPE", "pa_mpjpe_mm")):
        figures |= {f"{name} {rank} mm": value for rank, value in percentiles(per_crop[column]).items()}
    per_joint = {
        name: {
            "error_mm": float(rooted[:, place].mean()),
            "pa_error_mm": float(aligned[:, place].mean()),
            **({"pck150": pck(rooted[:, place]), "auc": auc(rooted[:, place])} if name in protocol.pck else {}),
        }
        for place, name in enumerate(protocol.joints)
    }
    return ProtocolScores(protocol, index, figures, per_crop, per_joint)


def _measure_masks(subject: Subject, samples: Samples, protocol: Protocol) -> ProtocolScores:
    if samples.masks is None or samples.box is None or samples.frame_size is None:
        raise UserError(f"protocol {protocol.name} needs masks, boxes and frame sizes, which the crop set lacks")
    index = _counted(samples, protocol, np.ones(len(samples), bool))
    with_parts = samples.parts is not None and samples.has("parts")[index].all()
    silhouettes, parts, f1 = Tally(2), Tally(len(PARTS)), []
    for chosen, bodies, posed in _predictions(subject, samples, index):
        of_face = torch.cat([part_of_faces(subject.body), torch.zeros(1, dtype=torch.uint8, device=subject.device)])
        faces = TopokernelsRenderer().rasterize(posed.vertices, subject.body.faces, bodies.camera, samples.size)[0]
        # Face -1, where there is none, is the last entry.
        pred = of_face[faces].cpu().numpy()
        for number, crop in zip(chosen, pred, strict=True):
            place = inside_frame(samples.box[number], samples.frame_size[number], samples.size)
            alone = Tally(2)
            for tally in (silhouettes, alone):
                tally.add((crop > 0).astype(np.uint8), samples.masks[number, 0], *place)
            f1.append(alone.f1[1])
            if with_parts and samples.parts is not None:
                parts.add(crop, samples.parts[number], *place)
    figures = {"accuracy %": silhouettes.accuracy, "F1": float(np.nanmean(silhouettes.f1))}
    if with_parts:
        figures |= {"parts accuracy %": parts.accuracy, "parts F1": float(np.nanmean(parts.f1))}
    per_part = {name: {"f1": float(value)} for name, value in zip(PARTS, parts.f1, strict=True)} if with_parts else {}
    return ProtocolScores(protocol, index, figures, {"foreground_f1": np.array(f1)}, per_part)


def _measure_keypoints(subject: Subject, samples: Samples, protocol: Protocol) -> ProtocolScores:
    if samples.keypoints is None or not set(protocol.joints) <= set(samples.joints.joints):
        raise UserError(f"protocol {protocol.name} needs keypoints of {', '.join(protocol.joints)}")
    keypoints, places = samples.keypoints, _places(protocol.joints, samples.joints)
    head = _heads(samples)
    index = _counted(samples, protocol, (head > 0) & (keypoints[:, places, 2] > 0).any(axis=1))
    own = SMPL if subject.regressor is None else H36M
    right, away = [], []
    for chosen, bodies, posed in _predictions(subject, samples, index):
        joints = posed.joints if subject.regressor is None else subject.regressor.to(posed.vertices) @ posed.vertices
        seen = bodies.camera.project(joints[:, _places(protocol.joints, own)], samples.size)
        true = torch.from_numpy(keypoints[chosen][:, places]).to(seen)
        correct, distance = pckh(seen, true, torch.from_numpy(head[chosen]).to(seen))
        right.append(correct)
        away.append(distance)
    correct, distance = np.concatenate(right), np.concatenate(away)
    known = np.isfinite(distance)
    # All annotated joints weigh alike, as in evalMPII.
    figures = {"PCKh@0.5 %": float(100 * correct[known].mean()), "annotated joints": float(known.sum())}
    figures |= {f"distance {rank}, heads": value for rank, value in percentiles(distance[known]).items()}
    per_joint = {
        name: {"pckh": float(100 * correct[known[:, place], place].mean()), "count": int(known[:, place].sum())}
        for place, name in enumerate(protocol.joints)
        if known[:, place].any()
    }
    return ProtocolScores(protocol, index, figures, {"mean_distance_heads": np.nanmean(distance, axis=1)}, per_joint)


def _heads(samples: Samples) -> npt.NDArray[np.float32]:
    """Return the lengths of the heads (N,), 0 where unknown."""
    head = np.zeros(len(samples), np.float32) if samples.head_size is None else samples.head_size
    names = samples.joints.joints
    if samples.keypoints is None or not {"neck", "head_top"} <= set(names):
        return head
    ends = samples.keypoints[:, [names.index("neck"), names.index("head_top")]]
    known = (ends[..., 2] > 0).all(axis=1) & (head == 0)
    return np.where(known, np.linalg.norm(ends[:, 0, :2] - ends[:, 1, :2], axis=1), head).astype(np.float32)


def _joints(subject: Subject, posed: BodyOutput, protocol: Protocol) -> Tensor:
    if not protocol.regressed or subject.regressor is None:
        return posed.joints
    return subject.regressor.to(posed.vertices) @ posed.vertices


def _predictions(subject: Subject, samples: Samples, index: Integers) -> Iterator[tuple[Integers, Bodies, BodyOutput]]:
    """Yield the numbers of a batch of crops with the predicted bodies, and these posed."""
    network, body = subject.network.to(subject.device).eval(), subject.body.to(subject.device)
    for first in range(0, len(index), subject.batch):
        chosen = index[first : first + subject.batch]
        crops = samples.image_batch(chosen, subject.device), samples.view_batch(chosen, subject.device)
        bodies = predict_in("float32", network, *crops).bodies
        yield chosen, bodies, body(bodies.rotations, bodies.betas)


def _places(names: Sequence[str], joints: JointSet) -> list[int]:
    return [joints.joints.index(name) for name in names]


def _counted(samples: Samples, protocol: Protocol, known: npt.NDArray[np.bool_]) -> Integers:
    """Return the crops that a protocol counts.

    Raises:
        UserError: none does.
    """
    rules: Mapping[str, tuple[npt.NDArray[np.int64] | None, tuple[int, ...]]] = {
        "subject": (samples.subject, protocol.subjects),
        "view": (samples.view, protocol.views),
    }
    kept = np.ones(len(samples), bool)
    for name, (numbers, wanted) in rules.items():
        if wanted and numbers is None:
            raise UserError(f"protocol {protocol.name} chooses crops by {name}, which the crop set does not know")
        if wanted and numbers is not None:
            kept &= np.isin(numbers, wanted)
    if protocol.frames > 1:
        if samples.frame is None:
            raise UserError(f"protocol {protocol.name} chooses crops by frame, which the crop set does not know")
        kept &= samples.frame % protocol.frames == 0
    index = np.flatnonzero(kept & known)
    if len(index) == 0:
        why = "none belongs to it" if not kept.any() else "none of those that belong to it has the labels it needs"
        raise UserError(f"protocol {protocol.name}: of {len(samples)} crops, {why}")
    if len(index) < len(samples):
        lacking = int((kept & ~known).sum())
        found(
            f"protocol {protocol.name}: {len(index)} of {len(samples)} crops count; {int((~kept).sum())} do not belong "
            f"to it, {lacking} lack labels"
        )
    return index
