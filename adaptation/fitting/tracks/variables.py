"""The variables of a joint fit: a pose and a camera per body, and one shape per person."""

from __future__ import annotations

import torch

from adaptation.fitting.posed import Scene
from adaptation.fitting.tracks.sequence import Sequence
from adaptation.fitting.variables import BodyLeaves, BodyVariables


class TrackLeaves(BodyLeaves):
    """Bodies of a `Sequence` as leaves of the graph, posed in a scene.

    Args:
        start: B bodies to start from; each person starts with the mean of their shapes.
        sequence: which bodies belong to which person.
        scene: body model and renderer.
        size: side of the crops in pixels.

    Attributes:
        leaves: as in `BodyLeaves`, but for betas (P, K), one shape per person.
    """

    def __init__(self, start: BodyVariables, sequence: Sequence, scene: Scene, size: int) -> None:
        super().__init__(start, scene, size)
        self._person = sequence.ranks()
        betas = torch.stack([start.betas.detach()[bodies].mean(0) for bodies in sequence.people()])
        self.leaves["betas"] = betas.requires_grad_()

    def value(self) -> BodyVariables:
        """Return the bodies for the present values of the leaves."""
        return BodyVariables(self.leaves["pose"], self.leaves["betas"][self._person], self.camera())
