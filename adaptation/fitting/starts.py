"""Fit without a regressor: several starts per mask in one batch, of which the best fit is kept.

Nothing is known about the pose, so bodies that stand, and walk in several phases, are tried in several directions. The
starts are ranked by their loss before any step; the best few of each mask are fitted together.
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
    """The best fit of each of B masks, and the start that it came from.

    Attributes:
        start: B starting bodies of the fits that were kept.
        fitted: B fitted bodies.
        before: evaluation of ``start``.
        after: evaluation of ``fitted``.
    """

    start: BodyVariables
    fitted: BodyVariables
    before: Evaluation
    after: Evaluation


def starting_poses(settings: StartSettings, like: Tensor) -> Tensor:
    """Return all starting poses (P, J, 3) as axis-angle in radians, with dtype and device of ``like``."""
    bodies = torch.stack([standing(), *(walking(phase) for phase in settings.phases)]).to(like)
    directions = torch.stack(
        [facing(math.radians(yaw), pitch=math.radians(settings.pitch)) for yaw in settings.yaws]
    ).to(like)
    # Each body in each direction: bodies vary fastest.
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
    """Fit a body to each mask from several starts and keep the best fit.

    Args:
        fitter: fitter with body, prior, renderer and settings.
        masks: (B, 1, S, S) of 0 and 1, none empty.
        settings: the starts to try.
        progress: callback that is given the number of masks done since the last call.

    Returns:
        One fit per mask.
    """
    settings = settings or StartSettings()
    per_batch = max(1, settings.batch // settings.kept)  # masks per chunk: each has several fits
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
    # All starts of all masks, (B * P); those of one mask are neighbours.
    every = aligned(fitter, poses.repeat(count, 1, 1), masks.repeat_interleave(len(poses), dim=0))
    # In parts: all starts of all masks at once would need many times the memory of the fits.
    several = torch.arange(len(every), device=masks.device).split(settings.batch)
    evaluations = [fitter.evaluate(every.select(part), target.select(part // len(poses))) for part in several]
    at_start = Evaluation.cat(evaluations)
    # By the masks alone: all starts are usual poses, so the prior does not separate them.
    ranked = at_start.loss.view(count, -1).argsort(dim=1)[:, : settings.kept]  # (B, kept)
    # Positions among the starts of one mask become positions among those of all.
    index = (ranked + len(poses) * torch.arange(count, device=masks.device)[:, None]).flatten()

    # Repeated in the order of `index`: the fits of one mask are neighbours.
    start, targets = every.select(index), target.repeat_interleave(settings.kept)
    fitted = fitter.fit(targets, start)
    after = fitter.evaluate(fitted, targets)
    # The prior takes part in the choice: an implausible pose can match a mask just as well.
    score = (after.loss + settings.prior_weight * after.prior).view(count, -1)
    best = score.argmin(dim=1) + settings.kept * torch.arange(count, device=masks.device)
    return BestFit(start.select(best), fitted.select(best), at_start.select(index[best]), after.select(best))


def aligned(fitter: SilhouetteFitter, poses: Tensor, masks: Tensor) -> BodyVariables:
    """Return mean-shape bodies in poses (B, J, 3), with cameras that fit them into the boxes of masks (B, 1, S, S)."""
    # Under weak perspective a mask does not separate a body's height from the scale: start from the mean shape.
    betas = fitter.body.mean_shape(len(poses))
    with torch.no_grad():
        vertices = fitter.body(poses, betas).vertices
    return BodyVariables(poses, betas, fit_camera_to_bbox(vertices, mask_bounds(masks), masks.shape[-1]))
