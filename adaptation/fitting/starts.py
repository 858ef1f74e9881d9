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
from adaptation.fitting.fitter import BodyParameters, Evaluation, Fitter


@dataclass(frozen=True)
class StartSettings:
    """Which starts are tried, and how many are fitted.

    Attributes:
        yaws: directions faced, degrees; 0 is towards the camera. Depth reflection covers the other half circle.
        pitch: lean of the camera, degrees: positive looks down on people.
        phases: of the walking cycle, in [0, 1).
        kept: starts per mask that are fitted.
        prior_weight: of the pose prior's energy when the best fit is chosen.
        batch: fits that run together.
    """

    yaws: tuple[float, ...] = (-90, -45, 0, 45, 90)
    pitch: float = 10.0
    phases: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75)
    kept: int = 3
    prior_weight: float = 0.005
    batch: int = 64


@dataclass(frozen=True)
class BestFit:
    """The best fit of each mask, and where it came from.

    Attributes:
        start: (B) starting bodies of the fits kept.
        fitted: (B) bodies.
        before: evaluation of ``start``, (B,) each.
        after: evaluation of ``fitted``.
    """

    start: BodyParameters
    fitted: BodyParameters
    before: Evaluation
    after: Evaluation

    def select(self, index: Tensor | slice) -> BestFit:
        """Those of an index (N,) or slice."""
        return BestFit(
            self.start.select(index),
            self.fitted.select(index),
            self.before.select(index),
            self.after.select(index),
        )


def starting_poses(settings: StartSettings, like: Tensor) -> Tensor:
    """All starting poses (K, 24, 3), with dtype and device of ``like``."""
    bodies = torch.stack([standing(), *(walking(phase) for phase in settings.phases)]).to(like)
    directions = torch.stack(
        [facing(math.radians(yaw), pitch=math.radians(settings.pitch)) for yaw in settings.yaws]
    ).to(like)
    poses = bodies.repeat(len(directions), 1, 1)
    poses[:, 0] = directions.repeat_interleave(len(bodies), dim=0)
    return poses


def fit_from_starts(
    fitter: Fitter,
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
    return BestFit(
        BodyParameters.cat([part.start for part in parts]),
        BodyParameters.cat([part.fitted for part in parts]),
        Evaluation.cat([part.before for part in parts]),
        Evaluation.cat([part.after for part in parts]),
    )


def _fit_chunk(fitter: Fitter, masks: Tensor, settings: StartSettings) -> BestFit:
    count = len(masks)
    target = fitter.target(masks)
    poses = starting_poses(settings, masks)
    every = aligned(fitter, poses.repeat(count, 1, 1), masks.repeat_interleave(len(poses), dim=0))
    several = torch.arange(len(every.pose), device=masks.device).split(settings.batch)
    looks = Evaluation.cat([fitter.evaluate(every.select(part), target.select(part // len(poses))) for part in several])
    ranked = looks.loss.view(count, -1).argsort(dim=1)[:, : settings.kept]  # (B, kept)
    index = (ranked + len(poses) * torch.arange(count, device=masks.device)[:, None]).flatten()

    start, targets = every.select(index), target.repeat(settings.kept)
    fitted = fitter.fit(targets, start)
    after = fitter.evaluate(fitted, targets)
    score = (after.loss + settings.prior_weight * after.prior).view(count, -1)
    best = score.argmin(dim=1) + settings.kept * torch.arange(count, device=masks.device)
    return BestFit(start.select(best), fitted.select(best), looks.select(index[best]), after.select(best))


def aligned(fitter: Fitter, poses: Tensor, masks: Tensor) -> BodyParameters:
    """Mean-shape bodies in poses (B, 24, 3), with cameras that make them fill the boxes of masks (B, 1, S, S)."""
    betas = poses.new_zeros(len(poses), 10)
    with torch.no_grad():
        vertices = fitter.body(poses, betas).vertices
    return BodyParameters(poses, betas, fit_camera_to_bbox(vertices, mask_bounds(masks), masks.shape[-1]))
