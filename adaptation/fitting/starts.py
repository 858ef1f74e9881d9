"""Fit without a regressor: several starts per mask as one batch, the best kept.

Where nothing is known about the pose, bodies that stand, walk in several phases or reach are tried in several
directions. A quick look ranks them; the best few are fitted together.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from adaptation.bodies.camera import fit_camera_to_bbox, mask_bounds
from adaptation.bodies.poses import facing, standing, walking
from adaptation.fitting.settings import StartSettings
from adaptation.fitting.silhouette_fitter import Evaluation, SilhouetteFitter
from adaptation.fitting.variables import BodyVariables
from adaptation.support.batches import Batch


@dataclass(frozen=True)
class BestFit(Batch):
    """The best fit of each mask, and where it came from. All have B entries.

    Attributes:
        start: starting bodies of the fits that were kept.
        fitted: fitted bodies.
        before: evaluation of ``start``.
        after: evaluation of ``fitted``.
    """

    start: BodyVariables
    fitted: BodyVariables
    before: Evaluation
    after: Evaluation


def starting_poses(settings: StartSettings, like: Tensor) -> Tensor:
    """All starting poses (K, J, 3), axis-angle, with dtype and device of ``like``."""
    bodies = torch.stack([standing(), *(walking(phase) for phase in settings.phases)]).to(like)
    directions = torch.stack(
        [facing(math.radians(yaw), pitch=math.radians(settings.pitch)) for yaw in settings.yaws]
    ).to(like)
    poses = bodies.repeat(len(directions), 1, 1)
    poses[:, 0] = directions.repeat_interleave(len(bodies), dim=0)
    return poses


def fit_from_starts(
    fitter: SilhouetteFitter,
    masks: Tensor,
    settings: StartSettings | None = None,
    *,
    progress: Callable[[int], None] | None = None,
) -> BestFit:
    """Fit a body to every mask from several starts and keep the best.

    Args:
        fitter: with body, prior, renderer and settings.
        masks: (B, 1, S, S) of 0 and 1, none empty.
        settings: which starts.
        progress: called with the number of masks done since the last call.

    Returns:
        One fit per mask.
    """
    settings = settings or StartSettings()
    per_batch = max(1, settings.batch // settings.kept)
    parts = []
    for chunk in masks.split(per_batch):
        parts.append(_fit_chunk(fitter, chunk, settings))
        if progress:
            progress(len(chunk))
    return BestFit.cat(parts)


def _fit_chunk(fitter: SilhouetteFitter, masks: Tensor, settings: StartSettings) -> BestFit:
    count = len(masks)
    target = fitter.target(masks)
    poses = starting_poses(settings, masks)
    every = aligned(fitter, poses.repeat(count, 1, 1), masks.repeat_interleave(len(poses), dim=0))
    several = torch.arange(len(every), device=masks.device).split(settings.batch)
    looks = Evaluation.cat([fitter.evaluate(every.select(part), target.select(part // len(poses))) for part in several])
    ranked = looks.loss.view(count, -1).argsort(dim=1)[:, : settings.kept]  # (B, kept)
    index = (ranked + len(poses) * torch.arange(count, device=masks.device)[:, None]).flatten()

    start, targets = every.select(index), target.repeat_interleave(settings.kept)
    fitted = fitter.fit(targets, start)
    after = fitter.evaluate(fitted, targets)
    score = (after.loss + settings.prior_weight * after.prior).view(count, -1)
    best = score.argmin(dim=1) + settings.kept * torch.arange(count, device=masks.device)
    return BestFit(start.select(best), fitted.select(best), looks.select(index[best]), after.select(best))


def aligned(fitter: SilhouetteFitter, poses: Tensor, masks: Tensor) -> BodyVariables:
    """Mean-shape bodies in poses (B, J, 3), with cameras that make them fill the boxes of masks (B, 1, S, S)."""
    betas = fitter.body.mean_shape(len(poses))
    with torch.no_grad():
        vertices = fitter.body(poses, betas).vertices
    return BodyVariables(poses, betas, fit_camera_to_bbox(vertices, mask_bounds(masks), masks.shape[-1]))
