"""Candidates for masks: bodies of a library with similar silhouettes, fitted for a few steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from adaptation.bodies.body import FLIP_PERMUTATION, Body
from adaptation.bodies.poses import facing, sample_poses, standing, walking
from adaptation.bodies.reflection import reflect_in_depth
from adaptation.data.pose_library import pose_library
from adaptation.fitting.search.library import SilhouetteLibrary, views_of
from adaptation.fitting.settings import SearchSettings, fit_at_size
from adaptation.fitting.silhouette_fitter import SilhouetteFitter
from adaptation.fitting.starts import aligned
from adaptation.fitting.tracks.sequence import Sequence
from adaptation.fitting.tracks.terms import BalanceTerm
from adaptation.fitting.variables import BodyLeaves, BodyVariables
from adaptation.support.batches import Batch

_BATCH = 64  # fits that run together; more are slower, since their tensors leave the cache
_USUAL = 0.2  # share of the library that is whole sampled poses, mostly of people who walk and stand


@dataclass(frozen=True)
class Candidates(Batch):
    """K bodies for each of B masks: fits, and then their reflections in depth.

    Attributes:
        bodies: B K bodies; those of one mask are neighbours.
        loss: (B, K) data loss of each.
        prior: (B, K) energy of each pose under the prior.
    """

    bodies: BodyVariables
    loss: Tensor
    prior: Tensor


@lru_cache(maxsize=2)
def library_for(body: Body, settings: SearchSettings) -> SilhouetteLibrary:
    """Draw the library of a body model; it takes seconds, and is kept."""
    generator = torch.Generator().manual_seed(settings.seed)
    usual = sample_poses(round(_USUAL * settings.entries), generator, ("walking", "walking", "standing"))
    poses = torch.cat([pose_library(settings.entries - len(usual), settings.seed), usual])
    views = views_of(poses, generator, settings.pitches)
    return SilhouetteLibrary(body, views.to(body.faces.device))


def small_fitter(fitter: SilhouetteFitter, size: int, settings: SearchSettings) -> SilhouetteFitter:
    """Return a fitter like one for crops of ``size`` pixels, for the smaller crops and few steps of a search."""
    resized = fit_at_size(fitter.settings, settings.size / size)
    quick = replace(
        resized,
        pose_rate=settings.rate * resized.pose_rate,
        scale_rate=settings.rate * resized.scale_rate,
        shift_rate=settings.rate * resized.shift_rate,
    )
    return SilhouetteFitter(fitter.body, fitter.prior, fitter.scene.renderer, quick, fitter.data)


def shrunk(masks: Tensor, size: int) -> Tensor:
    """Resample masks (B, 1, S, S) of 0 and 1 to size x size pixels."""
    return (F.interpolate(masks, size=(size, size), mode="area") >= 0.5).to(masks)


def starts_for(body: Body, masks: Tensor, rolls: Tensor, settings: SearchSettings) -> Tensor:
    """Look up distinct poses (B, kept, J, 3) for masks (B, 1, S, S) and rolls (B, R) of the camera to try, radians."""
    library = library_for(body, settings)
    matches = library.match(masks, rolls, settings.nearest)
    poses = library.poses(matches)
    joints = body.joints(poses.flatten(0, 1), body.mean_shape(poses.shape[0] * poses.shape[1])).view(*poses.shape)
    joints = joints - joints[:, :, :1]
    return torch.stack(
        [pose[_distinct(each, settings.kept, settings.apart)] for pose, each in zip(poses, joints, strict=True)]
    )


def usual_starts(fitter: SilhouetteFitter, masks: Tensor, up: Tensor, settings: SearchSettings) -> Tensor:
    """Return the bodies that stand or walk and match masks best, (B, usual, J, 3).

    A library has few whole poses of people who walk, and mixtures of their limbs match masks as well.

    Args:
        fitter: fitter for crops of the masks' size.
        masks: (B, 1, S, S) of 0 and 1, none empty.
        up: (B, 3) unit vectors against gravity in camera axes.
        settings: directions and phases to try, and how many bodies to return.
    """
    yaws = torch.arange(settings.yaws).to(masks) * (2 * torch.pi / settings.yaws)
    pitch, roll = torch.atan2(-up[:, 2], up[:, :2].norm(dim=1)), torch.atan2(up[:, 0], -up[:, 1])
    orientation = facing(yaws, pitch[:, None], roll[:, None])  # (B, Y, 3)
    phases = torch.arange(settings.phases) / settings.phases
    bodies = torch.cat([standing()[None], walking(phases)]).to(masks)
    poses = bodies.repeat(len(masks), len(yaws), 1, 1).clone()
    poses[:, :, 0] = orientation.repeat_interleave(len(bodies), dim=1)
    tried = poses.shape[1]
    target = fitter.target(masks)
    losses = []
    for part in torch.arange(len(masks) * tried, device=masks.device).split(_BATCH):
        start = aligned(fitter, poses.flatten(0, 1)[part], masks[part // tried])
        losses.append(fitter.evaluate(start, target.select(part // tried)).loss)
    best = torch.cat(losses).view(-1, tried).argsort(dim=1)[:, : settings.usual]
    return poses[torch.arange(len(masks))[:, None], best]


def _distinct(joints: Tensor, count: int, apart: float) -> Tensor:
    """Return the first ``count`` of M bodies, joints (M, J, 3), that are not near an earlier one or its reflection."""
    # Reflections are candidates in any case, so a body next to one adds nothing.
    reflected = joints[:, list(FLIP_PERMUTATION)] * joints.new_tensor([1.0, 1.0, -1.0])
    nearest = joints.new_full((len(joints),), torch.inf)
    kept: list[int] = []
    for index in range(len(joints)):
        if nearest[index] < apart:
            continue
        kept.append(index)
        if len(kept) == count:
            break
        away = [(other - joints[index]).norm(dim=-1).mean(-1) for other in (joints, reflected)]
        nearest = torch.minimum(nearest, torch.minimum(*away))
    # The library may not have as many distinct bodies; the nearest ones then come twice.
    return torch.tensor((kept * count)[:count], device=joints.device)


def fit_candidates(
    fitter: SilhouetteFitter, masks: Tensor, poses: Tensor, sequence: Sequence, steps: int, balance: float
) -> Candidates:
    """Fit K poses to each of B masks.

    Args:
        fitter: fitter for crops of the masks' size.
        masks: (B, 1, S, S) of 0 and 1, none empty.
        poses: (B, K, J, 3) axis-angle, radians; joint 0 is the global orientation in camera axes.
        sequence: what is known of the B bodies.
        steps: Adam steps.
        balance: weight of leaning.

    Returns:
        2 K candidates per mask: the fits and their reflections.
    """
    count, kept = poses.shape[:2]
    target = fitter.target(masks)
    start = aligned(fitter, poses.flatten(0, 1), masks.repeat_interleave(kept, dim=0))
    bodies, losses, priors = [], [], []
    for part in torch.arange(count * kept, device=masks.device).split(_BATCH):
        aims = target.select(part // kept)
        leaves = BodyLeaves(start.select(part), fitter.scene, masks.shape[-1])
        fitter.fitter_of(leaves, aims, steps, {"balance": (BalanceTerm(sequence.select(part // kept)), balance)}).run()
        with torch.no_grad():
            bodies.append(leaves.value().detach())
        result = fitter.evaluate(bodies[-1], aims)
        losses.append(result.loss)
        priors.append(result.prior)
    return _with_reflections(BodyVariables.cat(bodies), torch.cat(losses), torch.cat(priors), kept)


def _with_reflections(fits: BodyVariables, loss: Tensor, prior: Tensor, kept: int) -> Candidates:
    reflected = BodyVariables(reflect_in_depth(fits.pose), fits.betas, fits.camera)
    count = len(loss) // kept
    # The fits of a mask, then their reflections.
    fit = torch.arange(len(loss), device=loss.device).view(count, kept)
    order = torch.cat([fit, fit + len(loss)], dim=1).flatten()
    twice = [torch.cat([values.view(count, kept)] * 2, dim=1) for values in (loss, prior)]
    return Candidates(BodyVariables.cat([fits, reflected]).select(order), *twice)
