"""Bodies of people over time, and what is known of each besides its mask."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from adaptation.fitting.variables import BodyVariables
from adaptation.support.batches import Batch


@dataclass(frozen=True)
class Sequence(Batch):
    """B bodies of P people. Bodies of one person are neighbours, in the order of time.

    Attributes:
        person: (B,) int64 index of the person, ascending.
        time: (B,) seconds, ascending for each person.
        box: (B, 4) x, y, w, h of the square crops in frame pixels.
        up: (B, 3) unit vector against gravity in the axes of the ray through the crop's centre (x right, y down, z
            forward).
        spread: (B,) standard deviation of the angle between ``up`` and a person who stands, radians.
        travel: (B, 2) direction of travel on the ground, x right and z forward; its length from 0 to 1 says how far it
            is to be trusted.
        joints: (B, J, 3) x and y of joints that were seen in the images, in crop coordinates, and how far each is to be
            trusted, from 0 to 1; None without such joints.
        bodies: B bodies that were seen in the images, to be tried beside those of the search; None without them.
    """

    person: Tensor
    time: Tensor
    box: Tensor
    up: Tensor
    spread: Tensor
    travel: Tensor
    joints: Tensor | None = None
    bodies: BodyVariables | None = None

    def ranks(self) -> Tensor:
        """Return the index (B,) of each body's person among those present, 0 to P - 1."""
        return torch.unique_consecutive(self.person, return_inverse=True)[1]

    def middles(self) -> Tensor:
        """Return the indices (T,) of bodies that have a body of the same person before and after them."""
        return torch.nonzero(self.person[2:] == self.person[:-2]).flatten() + 1

    def people(self) -> list[Tensor]:
        """Return the indices of the bodies of each person."""
        return list(
            torch.arange(len(self)).split(torch.unique_consecutive(self.person, return_counts=True)[1].tolist())
        )

    def copies(self, count: int) -> Sequence:
        """Return ``count`` copies of the sequence after one another, each of people of its own."""
        step = int(self.person[-1]) + 1
        return Sequence.cat([replace(self, person=self.person + i * step) for i in range(count)])
