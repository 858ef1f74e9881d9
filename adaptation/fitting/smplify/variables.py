"""The variables of SMPLify: the global orientation is a leaf of its own, since the fit of the camera moves it alone."""

from __future__ import annotations

import torch

from adaptation.fitting.posed import Scene
from adaptation.fitting.variables import BodyLeaves, BodyVariables


class SmplifyLeaves(BodyLeaves):
    """Bodies as leaves of the graph, posed in a scene; arguments as for `BodyLeaves`.

    Attributes:
        leaves: as in `BodyLeaves`, but with orientation (B, 1, 3) and limbs (B, J - 1, 3) in place of pose.
    """

    def __init__(self, start: BodyVariables, scene: Scene, size: int) -> None:
        super().__init__(start, scene, size)
        pose = self.leaves.pop("pose").detach()
        self.leaves["orientation"] = pose[:, :1].clone().requires_grad_()
        self.leaves["limbs"] = pose[:, 1:].clone().requires_grad_()

    def value(self) -> BodyVariables:
        """Return the bodies for the present values of the leaves."""
        pose = torch.cat([self.leaves["orientation"], self.leaves["limbs"]], dim=1)
        return BodyVariables(pose, self.leaves["betas"], self.camera())
