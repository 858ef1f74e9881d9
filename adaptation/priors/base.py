"""The interface of pose priors for fits and adaptations."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class PosePrior(Protocol):
    """Scores how plausible poses are."""

    def energy(self, pose: Tensor) -> Tensor:
        """Score poses by a negative log-likelihood, up to scale and a constant.

        Args:
            pose: (B, J, 3) axis-angle, radians. Joint 0, the global orientation, is ignored.

        Returns:
            (B,); lower is more plausible.
        """
