"""Bodies that an adaptation learns from as if they were labels."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from adaptation.bodies.parameters import Bodies
from adaptation.support.batches import Batch


@dataclass(frozen=True)
class PseudoLabels(Batch):
    """Bodies of N crops, such as fits over time.

    Attributes:
        bodies: N bodies with the cameras of the crops.
        trust: (N,) from 0 to 1; 0 where a crop has no body.
    """

    bodies: Bodies
    trust: Tensor
