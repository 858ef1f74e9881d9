"""Fit bodies to the masks of people over time.

Each mask has several candidates: bodies from a library of silhouettes, fitted for a few steps, and their reflections in
depth. A single silhouette rarely tells which one is right, but few sequences of them move smoothly and stand on their
feet. The cheapest sequences are fitted as a whole, with one shape per person, and the best one is fitted further.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from adaptation.bodies.rotations import rotvec_to_matrix
from adaptation.fitting.search.candidates import (
    Candidates,
    fit_candidates,
    shrunk,
    small_fitter,
    starts_for,
    usual_starts,
)
from adaptation.fitting.settings import TrackFitSettings
from adaptation.fitting.silhouette_fitter import SilhouetteFitter
from adaptation.fitting.starts import BestFit
from adaptation.fitting.terms import Term
from adaptation.fitting.tracks.paths import diverse_paths
from adaptation.fitting.tracks.sequence import Sequence
from adaptation.fitting.tracks.terms import BalanceTerm, MotionTerm, imbalance
from adaptation.fitting.tracks.variables import TrackLeaves
from adaptation.fitting.variables import BodyVariables
from adaptation.losses.silhouettes import SilhouetteTarget

_TOGETHER = 16  # masks that are searched at once


@dataclass(frozen=True)
class TrackFitter:
    """Fits the bodies of people over time.

    Attributes:
        fitter: body, prior, renderer and settings of fits to the crops.
        settings: search, choice and weights.
    """

    fitter: SilhouetteFitter
    settings: TrackFitSettings

    def fit(
        self,
        masks: Tensor,
        sequence: Sequence,
        rolls: Tensor,
        progress: Callable[[int], None] | None = None,
    ) -> BestFit:
        """Fit a body to each mask.

        Args:
            masks: (B, 1, S, S) of 0 and 1, none empty.
            sequence: the B bodies over time.
            rolls: (B, R) turns of the camera about its optical axis to try, radians.
            progress: callback that is given the number of masks done since the last call.

        Returns:
            One fit per mask; the starts are the chosen candidates.
        """
        parts = []
        for person in sequence.people():
            for part in person.split(self.settings.longest):
                parts.append(self._fit_part(masks[part], sequence.select(part), rolls[part]))
                if progress:
                    progress(len(part))
        return BestFit.cat(parts)

    def _fit_part(self, masks: Tensor, sequence: Sequence, rolls: Tensor) -> BestFit:
        """Fit the bodies of one person."""
        search, size = self.settings.search, masks.shape[-1]
        small = small_fitter(self.fitter, size, search)
        shrunken = shrunk(masks, search.size)
        poses = torch.cat(
            [
                torch.cat(
                    [
                        starts_for(self.fitter.body, masks[some], rolls[some], search),
                        usual_starts(small, shrunken[some], sequence.up[some], search),
                    ],
                    dim=1,
                )
                for some in torch.arange(len(masks)).split(_TOGETHER)
            ]
        )
        candidates = fit_candidates(small, shrunken, poses, sequence, search.steps, self.settings.balance)
        paths = self._paths(candidates, sequence, small)
        first = candidates.loss.shape[1] * torch.arange(len(masks))
        starts = candidates.bodies.select(
            torch.cat([first + torch.from_numpy(path) for path in paths]).to(masks.device)
        )
        starts = self._best(small, shrunken, sequence, starts, self.settings.path_steps, self.settings.finalists)[0]
        start, fitted = self._best(self._last(), masks, sequence, starts, self.settings.steps, 1)[::-1]
        target = self.fitter.target(masks)
        return BestFit(start, fitted, self.fitter.evaluate(start, target), self.fitter.evaluate(fitted, target))

    def _best(
        self, fitter: SilhouetteFitter, masks: Tensor, sequence: Sequence, starts: BodyVariables, steps: int, kept: int
    ) -> tuple[BodyVariables, BodyVariables]:
        """Fit several versions of a sequence and return the best ones, fitted and as they started.

        Args:
            fitter: fitter for crops of the masks' size.
            masks: (B, 1, S, S) of 0 and 1.
            sequence: the B bodies over time.
            starts: M B bodies; those of one version are neighbours.
            steps: Adam steps.
            kept: versions to return.
        """
        count, settings = len(masks), self.settings
        versions = len(starts.pose) // count
        copies = sequence.copies(versions)
        target = SilhouetteTarget.cat([fitter.target(masks)] * versions)
        leaves = TrackLeaves(starts, copies, fitter.scene, masks.shape[-1])
        motion, balance = MotionTerm(copies), BalanceTerm(copies)
        others: dict[str, tuple[Term, float]] = {
            "motion": (motion, settings.motion),
            "balance": (balance, settings.balance),
        }
        fitter.fitter_of(leaves, target, steps, others).run()
        with torch.no_grad():
            fitted = leaves.value().detach()
            posed, result = fitter.posed(fitted, masks.shape[-1]), fitter.evaluate(fitted, target)
            objective = (
                result.loss
                + settings.prior_weight * result.prior
                + motion(posed, settings.choice_motion)
                + balance(posed, settings.choice_balance)
                + settings.heading * against_travel(fitted.pose[:, 0], copies.travel)
            )
        best = objective.view(versions, count).mean(1).argsort()[:kept]
        index = (best[:, None] * count + torch.arange(count, device=best.device)).flatten()
        return fitted.select(index), starts.select(index)

    def _paths(self, candidates: Candidates, sequence: Sequence, fitter: SilhouetteFitter) -> list[NDArray[np.int64]]:
        """Return cheap sequences of candidates, (B,) indices each, and the reflection of the cheapest one."""
        settings, (count, options) = self.settings, candidates.loss.shape
        with torch.no_grad():
            joints = fitter.body.joints(candidates.bodies.pose, candidates.bodies.betas)
        joints = (joints - joints[:, :1]).view(count, options, *joints.shape[1:])
        costs = candidates.loss + settings.prior_weight * candidates.prior
        costs = costs + settings.balance * imbalance(joints, sequence.up[:, None], sequence.spread[:, None])
        orientation = candidates.bodies.pose[:, 0]
        travel = sequence.travel.repeat_interleave(options, dim=0)
        costs = costs + settings.heading * against_travel(orientation, travel).view(count, options)
        # The longer the time, the more people move, as in a random walk; after a gap the pose may be any.
        apart = sequence.time.diff()
        fading = (1 - apart / settings.memory).clamp(min=0) / apart.sqrt()
        cost, place, movement = (
            values.double().cpu().numpy() for values in (costs, joints, settings.movement * fading)
        )
        paths = diverse_paths(cost, place, movement, settings.paths, near=settings.near, price=settings.price)
        return [*paths, (paths[0] + options // 2) % options]

    def _last(self) -> SilhouetteFitter:
        """Return the fitter of the last fit, whose prior starts weak: the start is near the end."""
        fitter = self.fitter
        settings = replace(fitter.settings, prior_start=self.settings.prior_start)
        return SilhouetteFitter(fitter.body, fitter.prior, fitter.scene.renderer, settings, fitter.data)


def against_travel(orientation: Tensor, travel: Tensor) -> Tensor:
    """Compute how far bodies face against the direction of travel, (B,) from 0 to the length of ``travel``.

    Args:
        orientation: (B, 3) axis-angle global orientations in camera axes.
        travel: (B, 2) as in `Sequence`.
    """
    # The third column of a rotation is where it takes z, the direction that a body faces in its own axes.
    facing = F.normalize(rotvec_to_matrix(orientation)[:, [0, 2], 2], dim=-1)
    return (travel.norm(dim=-1) - (facing * travel).sum(-1)) / 2
