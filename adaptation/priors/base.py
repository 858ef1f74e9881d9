"""What fits and adaptations ask of a pose prior."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class PosePrior(Protocol):
    """Scores how plausible poses are."""

    def energy(self, pose: Tensor) -> Tensor:
        """Score poses, as a negative log-likelihood up to scale and constant.

        Args:
            pose: (B, J, 3) axis-angle, radians. Joint 0, the global orientation, does not count.

        Returns:
            (B,); lower is more plausible.
        """
