"""Candidates for masks: bodies that are fitted for a few steps, each by itself."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from adaptation.bodies.reflection import reflect_in_depth
from adaptation.fitting.settings import TrackFitSettings, fit_at_size, with_rate
from adaptation.fitting.silhouette_fitter import SilhouetteFitter
from adaptation.fitting.tracks.sequence import Sequence
from adaptation.fitting.tracks.terms import image_terms
from adaptation.fitting.variables import BodyLeaves, BodyVariables

_BATCH = 64  # fits that run together; more are slower, since their tensors leave the cache


@dataclass(frozen=True)
class Candidates:
    """K bodies for each of B masks.

    Attributes:
        bodies: B K bodies; those of one mask are neighbours.
        loss: (B, K) data loss of each.
        prior: (B, K) energy of each pose under the prior.
    """

    bodies: BodyVariables
    loss: Tensor
    prior: Tensor

    @property
    def options(self) -> int:
        """K, the number of bodies of each mask."""
        return self.loss.shape[1]

    def chosen(self, index: Tensor) -> Candidates:
        """Return N of the bodies of each mask, by their numbers (B, N) from 0 to K - 1."""
        masks, options = self.loss.shape
        first = options * torch.arange(masks, device=index.device)[:, None]
        bodies = self.bodies.select((first + index).flatten())
        return Candidates(bodies, self.loss.gather(1, index), self.prior.gather(1, index))

    @classmethod
    def cat(cls, parts: list[Candidates]) -> Candidates:
        """Return the candidates of the masks of all parts; each part has as many per mask."""
        return cls(
            BodyVariables.cat([part.bodies for part in parts]),
            torch.cat([part.loss for part in parts]),
            torch.cat([part.prior for part in parts]),
        )

    def beside(self, other: Candidates) -> Candidates:
        """Return the candidates of each mask, and then those that others hold for it."""
        masks, options = self.loss.shape
        own = torch.arange(masks * options, device=self.loss.device).view(masks, options)
        theirs = masks * options + torch.arange(masks * other.options, device=self.loss.device).view(masks, -1)
        everyone = BodyVariables.cat([self.bodies, other.bodies])
        return Candidates(
            everyone.select(torch.cat([own, theirs], dim=1).flatten()),
            torch.cat([self.loss, other.loss], dim=1),
            torch.cat([self.prior, other.prior], dim=1),
        )

    def with_reflections(self) -> Candidates:
        """Return the K bodies of each mask, and then their reflections in depth, which cast the same silhouettes."""
        bodies = BodyVariables(reflect_in_depth(self.bodies.pose), self.bodies.betas, self.bodies.camera)
        return self.beside(replace(self, bodies=bodies))


def small_fitter(fitter: SilhouetteFitter, size: int, smaller: int, rate: float = 1.0) -> SilhouetteFitter:
    """Return a fitter like one for crops of ``size`` pixels, for crops of ``smaller`` pixels.

    Args:
        fitter: the fitter for crops of ``size`` pixels.
        size: side of its crops.
        smaller: side of the others.
        rate: factor on the learning rates, for fits of few steps.
    """
    return fitter.with_settings(with_rate(fit_at_size(fitter.settings, smaller / size), rate))


def shrunk(masks: Tensor, size: int) -> Tensor:
    """Resample masks (B, 1, S, S) of 0 and 1 to size x size pixels."""
    return (F.interpolate(masks, size=(size, size), mode="area") >= 0.5).to(masks)


def fit_candidates(
    fitter: SilhouetteFitter,
    masks: Tensor,
    starts: BodyVariables,
    sequence: Sequence,
    steps: int,
    settings: TrackFitSettings,
) -> Candidates:
    """Fit K bodies to each of B masks, each by itself.

    Args:
        fitter: fitter for crops of the masks' size.
        masks: (B, 1, S, S) of 0 and 1, none empty.
        starts: B K bodies; those of one mask are neighbours.
        sequence: what is known of the B bodies.
        steps: Adam steps.
        settings: weights of leaning and of joints that were seen.
    """
    options = len(starts.pose) // len(masks)
    target = fitter.target(masks)
    bodies, losses, priors = [], [], []
    for part in torch.arange(len(starts.pose), device=masks.device).split(_BATCH):
        aims = target.select(part // options)
        leaves = BodyLeaves(starts.select(part), fitter.scene, masks.shape[-1])
        known = sequence.select(part // options)
        fitter.fitter_of(leaves, aims, steps, image_terms(known, settings)).run()
        with torch.no_grad():
            bodies.append(leaves.value().detach())
        result = fitter.evaluate(bodies[-1], aims)
        losses.append(result.loss)
        priors.append(result.prior)
    loss, prior = (torch.cat(values).view(len(masks), options) for values in (losses, priors))
    return Candidates(BodyVariables.cat(bodies), loss, prior)
