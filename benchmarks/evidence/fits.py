"""The fitting grid: which silhouette loss recovers pose without a network, from wrong starts?

All losses fit the same bodies from the same starts, so that they are compared in pairs. The condition "medium" has
limbs off by 20 to 40 degrees, the mean shape, and a camera off by 4 % and 3 pixels at the start; people of all builds,
in poses of all kinds, seen from all sides and as a whole; exact masks of 112 px; and the Gaussian prior. The other
conditions differ from it only in what their text says.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from adaptation.bodies.body import JOINT_NAMES, Body
from adaptation.bodies.camera import Camera, WeakPerspective, fit_camera_to_bbox, project
from adaptation.bodies.joint_sets import LSP_JOINTS
from adaptation.bodies.poses import KINDS, Kind, facing, perturb, sample_poses
from adaptation.bodies.renderer import exact_silhouette, make_renderer
from adaptation.data.samples import MaskKind, Samples
from adaptation.evaluation.metrics import mpjpe, pa_mpjpe, silhouette_iou
from adaptation.fitting.posed import PosedBodies
from adaptation.fitting.settings import FitSettings
from adaptation.fitting.silhouette_fitter import DataTerms, SilhouetteFitter, point_set_data, silhouette_data
from adaptation.fitting.terms import SilhouetteTerm, SkeletonTerm, Term
from adaptation.fitting.variables import BodyVariables
from adaptation.losses.settings import LossSettings
from adaptation.losses.silhouettes import SilhouetteTarget
from adaptation.priors.base import PosePrior
from adaptation.priors.gaussian import GaussianPosePrior
from adaptation.priors.named import pose_prior
from adaptation.recording.options import SIZE, recording_settings
from adaptation.support.workers import side_by_side
from evidence.materials import Materials, Say, nothing
from topokernels import BackwardMode

_BARE = ("head", "wrist", "hand", "ankle", "foot")
CONVERGED = 0.02  # mean 2D error of joints, as a share of the crop's side

MaskMaker = Literal["exact", "dilated", "clothes", "hidden"]
PriorName = Literal["gaussian", "latent", "other kinds", "none"]

_RENDERED = ("b1", "b2", "b3", "L_T", "ours", "ours + pixels", "ours + pull", "ours + bones", "recipe")
_ALL = (*_RENDERED, "b2 + pixels", "points")  # points take ten times as long
_FEW = ("b1", "b2", "ours", "ours + pixels", "recipe")


@dataclass(frozen=True)
class Condition:
    """What bodies are fitted to, and from which starts.

    Attributes:
        text: how the condition differs from "medium".
        degrees: smallest and largest error of the limbs at the start, degrees.
        masks: how the mask differs from the body's silhouette.
        filmed: kind of masks of filmed crops of 96 px; None for rendered masks.
        cut: share of the person's height that lies below the crop, in [0, 1).
        same_build: whether all people have the shape of the start.
        prior: pose prior.
        losses: names of the losses that are compared.
    """

    text: str
    degrees: tuple[float, float] = (20.0, 40.0)
    masks: MaskMaker = "exact"
    filmed: MaskKind | None = None
    cut: float = 0.0
    same_build: bool = False
    prior: PriorName = "gaussian"
    losses: tuple[str, ...] = _RENDERED


CONDITIONS = {
    "medium": Condition("limbs off by 20 to 40 degrees", losses=_ALL),
    "small": Condition("limbs off by 10 to 20 degrees", degrees=(10, 20)),
    "large": Condition("limbs off by 40 to 70 degrees", degrees=(40, 70)),
    "same build": Condition("all people have the shape of the start", same_build=True),
    "loose clothes": Condition(
        "masks of clothes that lie 3 cm off the body, except at head, hands and feet", masks="clothes"
    ),
    "dilated": Condition("masks one pixel too wide", masks="dilated"),
    "occluded": Condition("a post that is a third as wide as the person hides what is behind it", masks="hidden"),
    "truncated": Condition("the lowest quarter of the person lies outside the image", cut=0.25),
    "filmed, exact": Condition("crops of `style`, 96 px, exact masks", filmed="truth"),
    "filmed, subtracted": Condition(
        "crops of `style`, 96 px, masks from background subtraction", filmed="subtracted", losses=_ALL
    ),
    "prior of other kinds": Condition(
        "the prior was made from all kinds of poses (walking, standing, sitting, ...) except the fitted kind",
        prior="other kinds",
        losses=_FEW,
    ),
    "latent prior": Condition("the shipped auto-encoder in place of the Gaussian prior", prior="latent", losses=_FEW),
    "no prior": Condition("no prior", prior="none", losses=_FEW),
}

LOSSES: dict[str, LossSettings] = {
    "b1": LossSettings(name="b1"),
    "b2": LossSettings(name="b2"),
    "b3": LossSettings(name="b3"),
    "L_T": LossSettings(distance_weight=0.0, topology_weight=1.0),
    "ours": LossSettings(),
    "ours + pixels": LossSettings(pixel_weight=3.0),
    "ours + pull": LossSettings(pull_weight=3.0),
    "ours + bones": LossSettings(bone_weight=2.0),
    "recipe": recording_settings("ours", 1).loss,
    "b2 + pixels": LossSettings(name="b2", pixel_weight=3.0),
    "points": LossSettings(),
}
LOSS_TEXTS = {
    "b1": "squared pixel differences, under a weaker prior, since their gradients are weaker",
    "b2": "L_S alone",
    "b3": "L_S and squared pixel differences of skeletons",
    "L_T": "L_T alone",
    "ours": "L_S and half of L_T",
    "ours + pixels": "L_S, half of L_T, and three times b1",
    "ours + pull": "L_S and half of L_T, with three times the weight of the pull",
    "ours + bones": "L_S, half of L_T, and L_B, the distance from the mask's skeleton to the body's bones",
    "recipe": "all of these: L_S, half of L_T, L_B, three times b1, three times the pull, as `topo-adapt fit` does",
    "b2 + pixels": "L_S and three times b1",
    "points": "chamfer distance of point sets: the body's vertices and 512 pixels of the mask",
}
# Gradients of both backward passes are scaled to one size per image: the literal one would outweigh the prior.
BACKWARDS: dict[str, LossSettings] = {
    f"ours, {backward}": replace(LOSSES["ours"], backward=backward) for backward in get_args(BackwardMode)
}


@dataclass(frozen=True)
class FitCell:
    """One loss under one condition."""

    condition: str
    loss: str

    @property
    def name(self) -> str:
        """Name of the cell in file names, in the record and on the command line."""
        return f"fit/{self.condition}/{self.loss}"


def fit_grid() -> list[FitCell]:
    """List all cells."""
    cells = [FitCell(condition, loss) for condition in CONDITIONS for loss in CONDITIONS[condition].losses]
    return cells + [FitCell("medium", loss) for loss in BACKWARDS]


@dataclass(frozen=True)
class Pairs:
    """What a cell fits.

    Attributes:
        truth: N bodies.
        start: the bodies that their fits start from.
        masks: (N, 1, S, S) masks of 0 and 1.
        kinds: kind of pose of each body; None for filmed ones.
    """

    truth: BodyVariables
    start: BodyVariables
    masks: Tensor
    kinds: list[Kind | None]


def run_fits(cells: list[FitCell], materials: Materials, *, jobs: int, say: Say) -> None:
    """Run the cells that have not run yet.

    Args:
        cells: cells to run.
        materials: the filmed domain, and where results are stored.
        jobs: number of cells that run at once, in a process each.
        say: called with a line about each thing that is done.
    """
    todo = [cell for cell in cells if not materials.has_run(cell.name)]
    if not todo:
        return
    if any(CONDITIONS[cell.condition].filmed for cell in todo):
        materials.domain("style", "test", say)
    for line in side_by_side(partial(_run, materials=materials), todo, jobs):
        say(line)


def _run(cell: FitCell, materials: Materials) -> str:
    condition, body = CONDITIONS[cell.condition], Body.free()
    pairs = make_pairs(condition, body, materials)
    with torch.no_grad():
        true = body.joints(pairs.truth.pose, pairs.truth.betas)
        first = body.joints(pairs.start.pose, pairs.start.betas)
    begun = time.perf_counter()
    fitted = fit_pairs(cell, pairs, body, materials.scale.fit_steps)
    seconds = time.perf_counter() - begun
    size = pairs.masks.shape[-1]
    with torch.no_grad():
        posed = body(fitted.pose, fitted.betas)
    drawn = exact_silhouette(posed.vertices, body.faces, fitted.camera, size)
    away = project(posed.joints, fitted.camera, size) - project(true, pairs.truth.camera, size)
    flat = away.norm(dim=2)[:, list(LSP_JOINTS)].mean(1) / size
    errors = pa_mpjpe(posed.joints, true)
    row = {
        **asdict(cell),
        "pairs": len(errors),
        "start": round(pa_mpjpe(first, true).mean().item(), 2),
        "pa_mpjpe": [round(value, 1) for value in errors.tolist()],
        "mpjpe": round(mpjpe(posed.joints, true).mean().item(), 2),
        "converged": round((flat < CONVERGED).float().mean().item(), 4),
        "iou": round(silhouette_iou(drawn, pairs.masks).mean().item(), 4),
        "seconds": round(seconds, 1),
    }
    materials.keep(cell.name, row)
    return f"{cell.name}: PA-MPJPE {row['start']:.1f} to {errors.mean():.1f}, IoU {row['iou']:.3f}, {seconds:.0f} s"


def make_pairs(condition: Condition, body: Body, materials: Materials) -> Pairs:
    """Make the bodies and starts of a condition: the same for every loss and, if possible, for every condition."""
    count, generator = materials.scale.pairs, torch.Generator().manual_seed(0)
    if condition.filmed:
        return _filmed(condition, count, generator, materials)
    kinds = [KINDS[number % len(KINDS)] for number in range(count)]
    # One at a time and in turn, so that every count of pairs holds all kinds.
    pose = torch.cat([sample_poses(1, generator, [kind]) for kind in kinds])
    # Slightly from above, as cameras look.
    pose[:, 0] = facing((torch.rand(count, generator=generator) * 2 - 1) * torch.pi, pitch=0.15)
    betas = torch.randn(count, 10, generator=generator).clamp(-2, 2) * (not condition.same_build)
    with torch.no_grad():
        vertices = body(pose, betas).vertices
        truth = BodyVariables(pose, betas, _framing_camera(vertices, condition.cut))
        start = wrong_starts(truth, condition.degrees, SIZE, generator)
        masks = _masks(condition.masks, vertices, truth.camera, body, generator)
    return Pairs(truth, start, masks, list(kinds))


def _filmed(condition: Condition, count: int, generator: torch.Generator, materials: Materials) -> Pairs:
    domain = Samples.load(materials.domain("style", "test", nothing))
    assert (
        domain.masks is not None and domain.pose is not None and domain.betas is not None and domain.camera is not None
    )
    assert condition.filmed is not None
    # No mask of any kind may be empty: all conditions take the same crops.
    whole = [i for i in range(len(domain)) if domain.masks[i].any(axis=(1, 2)).all()]
    index = np.array(whole)[np.linspace(0, len(whole) - 1, min(count, len(whole))).round().astype(int)]
    pose, betas, camera = (torch.from_numpy(array[index]) for array in (domain.pose, domain.betas, domain.camera))
    truth = BodyVariables(pose, betas, WeakPerspective(camera))
    start = wrong_starts(truth, condition.degrees, domain.size, generator)
    return Pairs(truth, start, domain.mask_batch(index, condition.filmed), [None] * len(index))


def _framing_camera(vertices: Tensor, cut: float) -> WeakPerspective:
    """Return cameras that show bodies from head to foot, or without a share ``cut`` of their height."""
    box = torch.tensor([0.1, 0.1, 0.9, 0.9]) * SIZE
    shift = fit_camera_to_bbox(vertices, box.expand(len(vertices), 4), SIZE).parameters[:, 1:]
    extent = vertices[..., :2].amax(1) - vertices[..., :2].amin(1)
    # Boxes are square and people are not: the longer side decides.
    scale = 1.6 / extent.amax(1, keepdim=True)
    if cut:
        # The feet go from where they are to below the lower edge.
        low = scale[:, 0] * (vertices[..., 1].amax(1) + shift[:, 1])
        shift[:, 1] += (1 - low) / scale[:, 0] + cut * extent[:, 1]
    return WeakPerspective(torch.cat([scale, shift], dim=1))


def wrong_starts(
    truth: BodyVariables, degrees: tuple[float, float], size: int, generator: torch.Generator
) -> BodyVariables:
    """Return starts with wrong pose and orientation, mean shape, and a camera off by about 4 % and 3 pixels of 112."""
    count = len(truth)
    pose = perturb(truth.pose, degrees, generator)
    pose[:, 0] = pose[:, 0] + torch.randn(count, 3, generator=generator) * 0.1
    noise = torch.randn(count, 3, generator=generator)
    camera = truth.camera.weak().parameters
    scale = camera[:, :1] * (1 + 0.04 * noise[:, :1])
    # Pixels to metres: half a crop is 1, and the scale is half crops per metre.
    shift = camera[:, 1:] + noise[:, 1:] * 3 * (2 / SIZE) / scale
    return BodyVariables(pose, torch.zeros(count, 10), WeakPerspective(torch.cat([scale, shift], dim=1)))


def _masks(kind: MaskMaker, vertices: Tensor, camera: Camera, body: Body, generator: torch.Generator) -> Tensor:
    if kind == "clothes":
        vertices = vertices + 0.03 * _clothed(body)[:, None] * _normals(vertices, body.faces)
    masks = exact_silhouette(vertices, body.faces, camera, SIZE)
    if kind == "dilated":
        return F.max_pool2d(masks, 3, stride=1, padding=1)
    if kind == "hidden":
        return masks * (1 - _posts(masks, generator))
    return masks


def _clothed(body: Body) -> Tensor:
    """Return how far clothes cover each vertex, (V,) in [0, 1]: 0 at head, hands and feet."""
    # Names end in the part, such as left_wrist.
    bare = [number for number, name in enumerate(JOINT_NAMES) if name.split("_")[-1] in _BARE]
    return 1 - body.skinning_weights[:, bare].sum(1)


def _normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """Return unit normals of vertices (N, V, 3)."""
    a, b, c = (vertices[:, faces[:, corner]] for corner in range(3))
    # Not normalised, so that larger faces weigh more in the mean.
    across = torch.linalg.cross(b - a, c - a)
    total = torch.zeros_like(vertices)
    for corner in range(3):
        total.index_add_(1, faces[:, corner], across)
    return F.normalize(total, dim=2)


def _posts(masks: Tensor, generator: torch.Generator) -> Tensor:
    """Return upright posts (N, 1, S, S), a third as wide as the person and somewhere in front of them."""
    seen = masks.amax(2)[:, 0] > 0
    columns = torch.arange(SIZE)
    left, right = seen.float().argmax(1), SIZE - seen.flip(1).float().argmax(1)
    width = (right - left) / 3
    begin = left + torch.rand(len(masks), generator=generator) * (right - left - width)
    inside = (columns >= begin[:, None]) & (columns < (begin + width)[:, None])
    return inside[:, None, None].float().expand_as(masks)


def fit_pairs(cell: FitCell, pairs: Pairs, body: Body, steps: int) -> BodyVariables:
    """Fit the bodies of a cell.

    Args:
        cell: loss and condition.
        pairs: N bodies with starts and masks.
        body: their body model.
        steps: Adam steps.

    Returns:
        N fitted bodies.
    """
    condition = CONDITIONS[cell.condition]
    if condition.prior != "other kinds":
        fitter = _fitter(cell, body, pose_prior("gaussian" if condition.prior == "none" else condition.prior), steps)
        return fitter.fit(fitter.target(pairs.masks), pairs.start)
    # Each kind of pose has its own prior, so that it is fitted separately; the order is restored at the end.
    parts, order = [], []
    for kind in KINDS:
        index = torch.tensor([number for number, own in enumerate(pairs.kinds) if own == kind])
        # A prior that has seen the fitted kind would know the answer.
        fitter = _fitter(cell, body, GaussianPosePrior.default(without=kind), steps)
        parts.append(fitter.fit(fitter.target(pairs.masks[index]), pairs.start.select(index)))
        order.append(index)
    return BodyVariables.cat(parts).select(torch.cat(order).argsort())


def _fitter(cell: FitCell, body: Body, prior: PosePrior, steps: int) -> SilhouetteFitter:
    settings = FitSettings(loss={**LOSSES, **BACKWARDS}[cell.loss], steps=steps)
    if cell.loss == "b1" or cell.loss in BACKWARDS:
        # The gradients of b1 are weaker than those of distances; the usual prior would outweigh them.
        settings = replace(settings, prior_start=0.02, prior_end=0.0005)
    if CONDITIONS[cell.condition].prior == "none":
        settings = replace(settings, prior_start=0.0, prior_end=0.0)
    # Points need no rendering, so they replace the whole term and not only its loss.
    data: DataTerms = silhouette_data
    if cell.loss == "points":
        data = point_set_data
    elif cell.loss in BACKWARDS:
        data = equal_gradient_data
    return SilhouetteFitter(body, prior, make_renderer(), settings, data)


def equal_gradient_data(target: SilhouetteTarget, settings: LossSettings) -> dict[str, Term]:
    """Return the terms of `silhouette_data` with gradients of one size, so that only their directions differ."""
    return {"data": _EqualGradients(target, settings), "skeletons": SkeletonTerm(target, settings)}


class _EqualGradients(SilhouetteTerm):
    """The silhouette term with the gradient that reaches each silhouette scaled to twice that of b1.

    Twice, since half of the gradient through a distance map falls on the side of the outline that does not respond.
    """

    def __call__(self, posed: PosedBodies, weight: float) -> Tensor:
        """Per body, (B,)."""
        silhouette = posed.silhouette
        if silhouette.requires_grad:
            # b1's gradient is 2 * (S - mask) / area; twice its absolute sum.
            size = 4 * (silhouette.detach() - self.target.mask).abs().sum((1, 2, 3)) / self.target.area
            # All terms share this tensor, so that the hook sees the sum of their gradients.
            silhouette.register_hook(lambda grad: _scaled(grad, size))
        return super().__call__(posed, weight)


def _scaled(grad: Tensor, size: Tensor) -> Tensor:
    # Beyond a depth of 43 the literal gradient overflows float32. The root leaves room for the sum that follows.
    largest = math.sqrt(torch.finfo(grad.dtype).max)
    grad = grad.nan_to_num(posinf=largest, neginf=-largest).clamp(-largest, largest)
    return grad * (size / grad.abs().sum((1, 2, 3)).clamp(min=1e-12))[:, None, None, None]
