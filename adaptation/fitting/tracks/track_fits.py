"""Fit bodies to the masks of people over time.

Each mask has several candidates: bodies from a library of silhouettes, fitted by themselves, and their reflections in
depth. A single silhouette rarely tells which one is right, but few sequences of them move smoothly and stand on their
feet. The cheapest sequences are fitted as a whole, with one shape per person, and the best one is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from adaptation.bodies.camera import project
from adaptation.bodies.rotations import rotvec_to_matrix
from adaptation.fitting.search.candidates import Candidates, fit_candidates, shrunk, small_fitter
from adaptation.fitting.search.starts import starts_for
from adaptation.fitting.settings import TrackFitSettings, with_rate
from adaptation.fitting.silhouette_fitter import SilhouetteFitter
from adaptation.fitting.starts import BestFit, aligned
from adaptation.fitting.terms import Term
from adaptation.fitting.tracks.paths import diverse_paths, movement, path_cost
from adaptation.fitting.tracks.sequence import Sequence
from adaptation.fitting.tracks.terms import BalanceTerm, JointTerm, MotionTerm, image_terms, imbalance, off_joints
from adaptation.fitting.tracks.variables import TrackLeaves
from adaptation.fitting.variables import BodyVariables
from adaptation.losses.silhouettes import SilhouetteTarget

_TOGETHER = 16  # masks that are searched at once


@dataclass(frozen=True)
class _Versions:
    """M versions of the B bodies of a sequence.

    Attributes:
        bodies: M B bodies; those of one version are neighbours.
        cost: (M,) cost of each version per body, added up over all fits so far.
    """

    bodies: BodyVariables
    cost: Tensor


class TrackFitter:
    """Fits the bodies of people over time.

    Args:
        fitter: body, prior, renderer and settings of fits to the crops. The weights of the prior are those of
            ``settings``.
        settings: search, choice and weights.
    """

    def __init__(self, fitter: SilhouetteFitter, settings: TrackFitSettings) -> None:
        self.settings = settings
        # A search starts far from its end, and a joint fit near it.
        self._search = _adjusted(fitter, fitter.settings.prior_start, settings.prior_end)
        self._fitter = fitter

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
        settings, size = self.settings, masks.shape[-1]
        shrunken = shrunk(masks, settings.search.size)
        versions = self._paths(self._candidates(masks, shrunken, sequence, rolls), sequence)
        joint = self._joint(sequence)
        small = small_fitter(joint, size, settings.search.size)
        versions, _ = self._best(small, shrunken, sequence, versions, settings.path_steps, settings.finalists)
        best, start = self._best(joint, masks, sequence, versions, settings.steps, 1)
        target = joint.target(masks)
        evaluations = (joint.evaluate(bodies, target) for bodies in (start, best.bodies))
        return BestFit(start, best.bodies, *evaluations)

    def _joint(self, sequence: Sequence) -> SilhouetteFitter:
        """Return the fitter of joint fits of one person's bodies."""
        settings = self.settings
        apart = float(sequence.time.diff().median()) if len(sequence) > 1 else settings.independent
        share = min(1.0, apart / settings.independent)
        return _adjusted(self._fitter, share * settings.prior_start, share * settings.prior_end, settings.rate)

    def _candidates(self, masks: Tensor, shrunken: Tensor, sequence: Sequence, rolls: Tensor) -> Candidates:
        """Search for bodies that explain each mask: a few steps for many of them, more for the best, reflections."""
        settings, search = self.settings, self.settings.search
        small = small_fitter(self._search, masks.shape[-1], search.size)
        quick = small_fitter(self._search, masks.shape[-1], search.size, search.rate)
        parts = []
        for some in torch.arange(len(masks), device=masks.device).split(_TOGETHER):
            seen, known = shrunken[some], sequence.select(some)
            poses = starts_for(self._search.body, masks[some], rolls[some], search)
            starts = aligned(small, poses.flatten(0, 1), seen.repeat_interleave(poses.shape[1], dim=0))
            tried = fit_candidates(quick, seen, starts, known, search.steps, settings)
            # A fit is as good as the better one of itself and its reflection.
            costs = self._costs(tried.with_reflections(), known).unflatten(1, (2, -1)).amin(1)
            best = tried.chosen(costs.argsort(dim=1)[:, : search.refined])
            found = fit_candidates(small, seen, best.bodies, known, search.refining_steps, settings)
            if known.bodies is not None:
                found = found.beside(fit_candidates(small, seen, known.bodies, known, search.refining_steps, settings))
            parts.append(found)
        return Candidates.cat(parts).with_reflections()

    def _costs(self, candidates: Candidates, sequence: Sequence) -> Tensor:
        """Return the cost (B, K) of each candidate by itself."""
        settings, options = self.settings, candidates.options
        joints = self._joints(candidates)
        leaning = imbalance(joints, sequence.up[:, None], sequence.spread[:, None])
        travel = sequence.travel.repeat_interleave(options, dim=0)
        against = against_travel(candidates.bodies.pose[:, 0], travel).view(-1, options)
        cost = (
            candidates.loss
            + settings.prior_weight * candidates.prior
            + settings.choice_balance * leaning
            + settings.heading * against
        )
        if sequence.joints is None:
            return cost
        places = project(joints.flatten(0, 1), candidates.bodies.camera, 2) - 1
        seen = sequence.joints.repeat_interleave(options, dim=0)
        return cost + settings.joints * off_joints(places, seen).view(-1, options)

    def _joints(self, candidates: Candidates) -> Tensor:
        """Return the joints of candidates (B, K, J, 3), metres."""
        with torch.no_grad():
            joints = self._search.body.joints(candidates.bodies.pose, candidates.bodies.betas)
        return joints.unflatten(0, candidates.loss.shape)

    def _paths(self, candidates: Candidates, sequence: Sequence) -> _Versions:
        """Return cheap sequences of candidates, and the reflection of the cheapest one."""
        settings, (count, options) = self.settings, candidates.loss.shape
        joints = self._joints(candidates)
        costs, places, influence = (
            values.double().cpu().numpy()
            for values in (
                self._costs(candidates, sequence),
                joints - joints[:, :, :1],
                _influence(sequence.time.diff(), settings.memory),
            )
        )
        transitions = settings.movement * influence[:, None, None] * movement(places) ** 2
        paths = diverse_paths(costs, transitions, places, settings.paths, near=settings.near, price=settings.price)
        paths.append((paths[0] + options // 2) % options)
        total = [path_cost(path, costs, transitions) / count for path in paths]
        device = candidates.loss.device
        number = torch.from_numpy(np.stack(paths)).to(device) + options * torch.arange(count, device=device)
        return _Versions(candidates.bodies.select(number.flatten()), torch.tensor(total).to(candidates.loss))

    def _best(
        self, fitter: SilhouetteFitter, masks: Tensor, sequence: Sequence, versions: _Versions, steps: int, kept: int
    ) -> tuple[_Versions, BodyVariables]:
        """Fit several versions of a sequence and return the best ones, fitted and as they started.

        Args:
            fitter: fitter for crops of the masks' size.
            masks: (B, 1, S, S) of 0 and 1.
            sequence: the B bodies over time.
            versions: M versions of the B bodies.
            steps: Adam steps.
            kept: versions to return.
        """
        settings, (count, starts) = self.settings, (len(masks), versions.bodies)
        copies = sequence.copies(len(versions.cost))
        target = SilhouetteTarget.cat([fitter.target(masks)] * len(versions.cost))
        leaves = TrackLeaves(starts, copies, fitter.scene, masks.shape[-1])
        others: dict[str, tuple[Term, float]] = {
            "motion": (MotionTerm(copies), settings.motion),
            **image_terms(copies, settings),
        }
        fitter.fitter_of(leaves, target, steps, others).run()
        with torch.no_grad():
            fitted = leaves.value().detach()
            cost = self._fitted_cost(fitter, fitted, target, copies).view(-1, count).mean(1)
        # Costs add up: each fit of a version is one more look at it.
        cost = versions.cost + cost
        best = cost.argsort()[:kept]
        index = (best[:, None] * count + torch.arange(count, device=best.device)).flatten()
        return _Versions(fitted.select(index), cost[best]), starts.select(index)

    def _fitted_cost(
        self, fitter: SilhouetteFitter, fitted: BodyVariables, target: SilhouetteTarget, sequence: Sequence
    ) -> Tensor:
        """Return the cost (B,) of fitted bodies, with that of the motion between them."""
        settings, result = self.settings, fitter.evaluate(fitted, target)
        posed = fitter.posed(fitted, target.mask.shape[-1])
        joints = posed.output.joints - posed.output.joints[:, :1]
        moved = torch.zeros_like(result.loss)
        moved[1:] = (joints[1:] - joints[:-1]).norm(dim=-1).mean(-1)
        # Neighbours in the tensor may be other people.
        same = F.pad(sequence.person[1:] == sequence.person[:-1], (1, 0))
        influence = F.pad(_influence(sequence.time.diff().abs(), settings.memory), (1, 0))
        return (
            result.loss
            + settings.prior_weight * result.prior
            + MotionTerm(sequence)(posed, settings.choice_motion)
            + BalanceTerm(sequence)(posed, settings.choice_balance)
            + settings.heading * against_travel(fitted.pose[:, 0], sequence.travel)
            + settings.movement * torch.where(same, influence * moved.square(), 0.0)
            + (0.0 if sequence.joints is None else JointTerm(sequence.joints)(posed, settings.joints))
        )


def _adjusted(fitter: SilhouetteFitter, start: float, end: float, rate: float = 1.0) -> SilhouetteFitter:
    """Return a fitter with other weights of the prior at the first and last step, and a factor on the rates."""
    return fitter.with_settings(with_rate(replace(fitter.settings, prior_start=start, prior_end=end), rate))


def _influence(apart: Tensor, memory: float) -> Tensor:
    """Return how much bodies that are some seconds apart tell about each other.

    The longer the time, the more people move, as in a random walk; after ``memory`` seconds the pose may be any.
    """
    return (1 - apart / memory).clamp(min=0) / apart.clamp(min=1e-3).sqrt()


def against_travel(orientation: Tensor, travel: Tensor) -> Tensor:
    """Compute how far bodies face against the direction of travel, (B,) from 0 to the length of ``travel``.

    Args:
        orientation: (B, 3) axis-angle global orientations in camera axes.
        travel: (B, 2) as in `Sequence`.
    """
    # The third column of a rotation is where it takes z, the direction that a body faces in its own axes.
    facing = F.normalize(rotvec_to_matrix(orientation)[:, [0, 2], 2], dim=-1)
    return (travel.norm(dim=-1) - (facing * travel).sum(-1)) / 2
