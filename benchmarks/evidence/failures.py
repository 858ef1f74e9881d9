"""How regressors fail on labelled crops: six kinds of failure, counted, with pictures of the worst cases."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from adaptation.bodies.body import FLIP_PERMUTATION, JOINT_NAMES, Body
from adaptation.bodies.camera import project
from adaptation.bodies.joint_sets import LSP_JOINTS
from adaptation.bodies.parameters import Bodies
from adaptation.bodies.renderer import exact_silhouette
from adaptation.data.samples import MASK_KINDS, Samples
from adaptation.evaluation.metrics import silhouette_iou, similarity_align
from adaptation.regressors.files import load_network
from adaptation.support.pictures import AFTER, BEFORE, PALETTE, enlarge
from adaptation.training.runs import STATE, load_state
from evidence.cells import Cell
from evidence.materials import Materials, Say
from evidence.methods import OURS
from evidence.pictures import SheetRow, body_tile, mask_tile, middle, pixels_of, side_tile, write_sheet

Array = npt.NDArray[np.float32]

# Limits beyond which an error counts as a failure; see `Failures`.
TURNED = 90.0  # degrees
SWAPPED = 0.05  # of the person's extent
AGREES = 0.03  # of the crop's side
BENT = 30.0  # degrees
LOST = 150.0  # millimetres
POOR = 0.8  # IoU

_J = {name: number for number, name in enumerate(JOINT_NAMES)}
_LEGS = [_J[f"{side}_{part}"] for side in ("left", "right") for part in ("knee", "ankle")]
_ARMS = [_J[f"{side}_{part}"] for side in ("left", "right") for part in ("elbow", "wrist")]
_WRISTS = [_J["left_wrist"], _J["right_wrist"]]
_SEGMENTS = [
    (_J[f"{side}_{upper}"], _J[f"{side}_{lower}"])
    for side in ("left", "right")
    for upper, lower in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))
]
# Of the picture: rows per kind, and pixels of a crop as drawn, of its middle that is shown, and of the labels.
_CASES, _WHOLE, _TILE, _LABEL = 2, 128, 108, 150


@dataclass(frozen=True, eq=False)
class Failures:
    """How badly each of N images fails in each way, (N,) each; an image may fail in several ways.

    0 means no failure, NaN that the failure could not show. Distances in 2D are between the projection by the
    predicted camera and that by the true one. Counts before and after an adaptation must be read together with the
    numbers of images that they are out of: if no limb agrees in 2D, no limb can be seen to be bent.

    Attributes:
        wrong_way: degrees, where the rotation from the true global orientation to the predicted one turns the body by
            over 90 about the image's vertical axis.
        legs_swapped: mean distance in 2D of knees and ankles from the true ones, as a fraction of the person's extent
            (the longer side of the box around the true joints), where that is over 0.05 and is more than halved when
            the predicted left and right ones are exchanged. NaN where the body faces the wrong way, which exchanges
            left and right as well.
        arms_swapped: the same for elbows and wrists.
        bent_wrong: degrees between the predicted and the true angle of a thigh, shank, upper arm or forearm with the
            image plane, where they are over 30 and the angles have opposite signs although both ends lie within 3 % of
            the crop's side of the true ones in 2D; the largest of the eight. NaN where no such part agrees in 2D.
        hidden_arm: millimetres of a wrist from the true one, bodies aligned as for PA-MPJPE, where they are over 150
            and the true wrist lies in the silhouette of the true body without its arms, so that the mask says nothing
            about it; the larger of the two. NaN where neither wrist lies there.
        poor_mask: 1 - IoU of the mask from background subtraction with the exact one, where the IoU is below 0.8. It
            does not depend on the prediction.
    """

    wrong_way: Array
    legs_swapped: Array
    arms_swapped: Array
    bent_wrong: Array
    hidden_arm: Array
    poor_mask: Array

    def counts(self) -> dict[str, tuple[int, int]]:
        """Return, for each way, how many images fail, and in how many the failure could show."""
        amounts = {kind.name: getattr(self, kind.name) for kind in fields(self)}
        return {name: (int((amount > 0).sum()), int((~np.isnan(amount)).sum())) for name, amount in amounts.items()}


TITLES = {
    "wrong_way": "faces the wrong way",
    "legs_swapped": "legs swapped",
    "arms_swapped": "arms swapped",
    "bent_wrong": "limb bent wrong",
    "hidden_arm": "hidden arm",
    "poor_mask": "mask misses a part",
}


@dataclass(frozen=True)
class FailureCell:
    """Failures on a target before and after the adaptation with "ours", first seed."""

    target: str

    @property
    def name(self) -> str:
        """Name of the cell in file names, in the record and on the command line."""
        return f"failures/{self.target}"

    @property
    def adaptation(self) -> Cell:
        """The adaptation whose failures are counted."""
        return Cell(self.target, OURS, 0)


def failure_grid() -> list[FailureCell]:
    """List all cells."""
    return [FailureCell("style"), FailureCell("lr-32")]


def run_failures(cells: list[FailureCell], materials: Materials, say: Say) -> None:
    """Count failures of adaptations that have run, unless they are counted already, and draw the worst cases."""
    for cell in cells:
        if materials.has_run(cell.name) or not materials.has_run(cell.adaptation.name):
            continue
        # The test crops: nothing was learnt from them.
        body, samples = Body.free(), Samples.load(materials.target(cell.target, "test", say))
        before, after = (predict(network, samples) for network in networks_of(materials, cell.adaptation, say))
        counts = [find_failures(bodies, samples, body).counts() for bodies in (before, after)]
        rows = _rows(before, after, samples, body)
        if rows:
            write_sheet(materials.picture(f"failures-{cell.target}"), rows, label_width=_LABEL)
        place = {"target": cell.target, "images": len(samples), "picture": bool(rows)}
        materials.keep(cell.name, {**place, "before": counts[0], "after": counts[1]})
        say(f"{cell.name}: {', '.join(f'{kind} {n} of {m}' for kind, (n, m) in counts[1].items())}")


def networks_of(materials: Materials, cell: Cell, say: Say) -> tuple[nn.Module, nn.Module]:
    """Load the source model, and the network that a cell has adapted.

    Raises:
        UserError: the cell has not run.
    """
    source = str(materials.source_model(say))
    adapted = load_network(source).network
    # "best" are the weights that the judge kept, not those of the last step.
    adapted.load_state_dict(load_state(materials.folder / "runs" / cell.name / STATE)["best"])
    return load_network(source).network, adapted


@torch.no_grad()
def predict(network: nn.Module, samples: Samples, batch: int = 64) -> Bodies:
    """Predict the bodies of all N crops of a set."""
    parts = []
    for index in torch.arange(len(samples)).split(batch):
        parts.append(network(samples.image_batch(index.numpy())).bodies)
    return Bodies.cat(parts)


@torch.no_grad()
def find_failures(predicted: Bodies, samples: Samples, body: Body, batch: int = 64) -> Failures:
    """Compare predicted bodies with labels.

    Args:
        predicted: N bodies, one per crop.
        samples: N labelled crops.
        body: body model of predictions and labels.
        batch: number of crops at a time.

    Raises:
        UserError: the crops have no labels.
    """
    truth = samples.bodies(body)
    parts = []
    for index in torch.arange(len(samples)).split(batch):
        found = _compare(predicted.select(index), truth.select(index), body, samples.size)
        exact, subtracted = (samples.mask_batch(index.numpy(), kind) for kind in ("truth", "subtracted"))
        missed = 1 - silhouette_iou(subtracted, exact)
        parts.append((*found, _amount(missed > 1 - POOR, missed)))
    return Failures(*(torch.cat(column).numpy() for column in zip(*parts, strict=True)))


def _compare(seen: Bodies, truth: Bodies, body: Body, size: int) -> tuple[Tensor, ...]:
    """Return the first five of `Failures`."""
    posed = body(truth.rotations, truth.betas)
    joints, true = body.joints(seen.rotations, seen.betas), posed.joints
    flat, true_flat = project(joints, seen.camera, size), project(true, truth.camera, size)
    # A share of the person's size, so that near and far people are judged alike.
    extent = (true_flat.amax(1) - true_flat.amin(1)).amax(1)
    turn = _turn(seen.rotations[:, 0], truth.rotations[:, 0])
    wrong_way = turn > TURNED
    # A body that faces the wrong way has its sides exchanged throughout, which is another failure.
    swapped = [_swap(flat, true_flat, extent, limbs).where(~wrong_way, torch.nan) for limbs in (_LEGS, _ARMS)]
    near = (flat - true_flat).norm(dim=-1) < AGREES * size
    # Of the true body: whether the mask could show the wrist does not depend on the prediction.
    torso = exact_silhouette(posed.vertices, _without_arms(body), truth.camera, size)[:, 0]
    hidden = _hidden(joints, true, true_flat, torso)
    return _amount(wrong_way, turn), *swapped, _bent(joints, true, near), hidden


def _turn(seen: Tensor, truth: Tensor) -> Tensor:
    """Return the degrees in [0, 180], (B,), by which rotations (B, 3, 3) differ from others about the y axis.

    This is the twist of a swing-twist decomposition of the relative rotation, which leaning does not change.
    """
    # From the true orientation to the predicted one, in camera axes.
    between = seen @ truth.mT
    return torch.atan2(between[:, 0, 2] - between[:, 2, 0], between[:, 0, 0] + between[:, 2, 2]).abs().rad2deg()


def _swap(seen: Tensor, truth: Tensor, extent: Tensor, limbs: list[int]) -> Tensor:
    """Return the mean 2D distance of joints over the person's extent, (B,), if exchanging the sides halves it."""
    others = [FLIP_PERMUTATION[joint] for joint in limbs]
    as_said, exchanged = ((seen[:, own] - truth[:, limbs]).norm(dim=-1).mean(1) / extent for own in (limbs, others))
    return _amount((as_said > SWAPPED) & (exchanged < as_said / 2), as_said)


def _bent(joints: Tensor, true: Tensor, near: Tensor) -> Tensor:
    """Return the largest angle (B,), degrees, between segments whose ends agree but whose depth is opposite."""
    upper, lower = (list(ends) for ends in zip(*_SEGMENTS, strict=True))
    segments = [points[:, lower] - points[:, upper] for points in (joints, true)]
    # The angle with the image plane; its sign says whether the segment points away from the camera.
    seen, truth = (torch.atan2(s[..., 2], s[..., :2].norm(dim=-1)).rad2deg() for s in segments)
    apart = (seen - truth).abs()
    # In 2D both explain the mask equally: only the depth is wrong.
    agree = near[:, upper] & near[:, lower]
    return _largest(_amount((seen * truth < 0) & (apart > BENT), apart), agree)


def _hidden(joints: Tensor, true: Tensor, true_flat: Tensor, torso: Tensor) -> Tensor:
    """Return the largest error (B,), millimetres, of wrists that lie in a silhouette (B, S, S)."""
    protocol = list(LSP_JOINTS)
    # As for PA-MPJPE, so that a wrong orientation does not count as a hidden arm.
    aligned = similarity_align(joints[:, protocol], true[:, protocol])
    wrists = [LSP_JOINTS.index(joint) for joint in _WRISTS]
    away = 1000 * (aligned[:, wrists] - true[:, _WRISTS]).norm(dim=-1)
    # Pixels by truncation, since centres lie at +0.5; clamped, as wrists may lie outside the crop.
    x, y = true_flat[:, _WRISTS].long().clamp(0, torso.shape[-1] - 1).unbind(-1)
    covered = torso[torch.arange(len(torso))[:, None], y, x] > 0.5
    return _largest(_amount(away > LOST, away), covered)


def _without_arms(body: Body) -> Tensor:
    """Return the faces of a body without its arms, which lie beyond the shoulders in the rest pose, a T."""
    rest = body(torch.zeros(1, 24, 3), torch.zeros(1, 10))
    vertices, joints = rest.vertices[0], rest.joints[0]
    beyond = vertices[:, 0].abs() > joints[_J["left_shoulder"], 0].abs()
    # Nothing below the pelvis is an arm in a T-pose.
    arm = beyond & (vertices[:, 1] > joints[0, 1])
    # Any corner on an arm: a face that spans the shoulder would stretch.
    return body.faces[~arm[body.faces].any(dim=1)]


def _amount(fails: Tensor, amount: Tensor) -> Tensor:
    return torch.where(fails, amount, 0.0)


def _largest(amount: Tensor, shows: Tensor) -> Tensor:
    """Return the largest amount (B,) among those (B, K) that can show, NaN if none can."""
    return torch.where(shows, amount, 0.0).amax(1).where(shows.any(1), torch.nan)


def _rows(before: Bodies, after: Bodies, samples: Samples, body: Body) -> list[SheetRow]:
    """Draw the worst cases of each kind after an adaptation, one row per case.

    A row has the crop, the mask found in it, and three bodies over the exact mask and from their side: before, after,
    and true.
    """
    assert samples.masks is not None  # failures of masks are counted as well
    truth = samples.bodies(body)
    found = [find_failures(bodies, samples, body) for bodies in (before, after)]
    counts = [each.counts() for each in found]
    columns = ["crop", "mask found", "before", "from its side", "after", "from its side", "truth", "from its side"]
    # The worst after the adaptation: what remains is what has to be understood.
    rows: list[SheetRow] = []
    for kind, title in TITLES.items():
        numbers = [each[kind] for each in counts]
        cases = _worst(getattr(found[1], kind), samples.sequences)
        for place, case in enumerate(cases):
            lines = [f"{when}: {n} of {m}" for when, (n, m) in zip(("before", "after"), numbers, strict=True)]
            if kind == "poor_mask":
                lines = [f"{numbers[0][0]} of {numbers[0][1]}"]
            tiles = [
                enlarge(np.asarray(samples.images[case]), _WHOLE),
                mask_tile(samples.masks[case, MASK_KINDS.index("subtracted")], _WHOLE),
            ]
            ground = mask_tile(samples.masks[case, MASK_KINDS.index("truth")], _WHOLE)
            for bodies, color in ((before, BEFORE), (after, AFTER), (truth, PALETTE[1])):
                pixels = pixels_of(bodies.select(slice(case, case + 1)), body, _WHOLE)[0]
                tiles += [body_tile(ground, pixels, body, color), side_tile(pixels, body, color, _WHOLE)]
            label = "\n".join([title, *lines]) if place == 0 else ""
            rows.append(SheetRow(label, [middle(tile, _TILE) for tile in tiles], columns if not rows else ()))
    return rows


def _worst(amount: Array, clip: npt.NDArray[np.int64]) -> list[int]:
    """Return the worst images that fail, at most one per clip."""
    chosen: dict[int, int] = {}
    # Images of one clip look alike: one of them is enough.
    for image in np.argsort(-amount, kind="stable")[: int((amount > 0).sum())].tolist():
        chosen.setdefault(int(clip[image]), image)
    return list(chosen.values())[:_CASES]
