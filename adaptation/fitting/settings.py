"""Settings of fits. Nothing here imports torch, so that ``--help`` is quick."""

from __future__ import annotations

from dataclasses import dataclass, field

from adaptation.losses.settings import LossSettings


@dataclass(frozen=True)
class FitSettings:
    """How a fit runs. The defaults were measured (docs/evidence.md).

    Attributes:
        loss: which silhouette loss, with its weights.
        steps: Adam steps, with cosine decay to zero.
        topology_start: weight of the skeleton term at the first step; it grows geometrically to the
            loss's own over 80 % of the steps. Equal to it: constant. Small values help from starts
            more than 40 degrees off, 1 helps where masks do not match the body.
        prior: which pose prior, by its name (`adaptation.priors.named`), for those who make the fitter.
        prior_start: weight of the pose prior at the first step.
        prior_end: and at the last, geometric in between.
        shape_weight: weight of the squared shape coefficients.
        pose_rate: learning rate of pose and orientation, radians.
        shape_rate: learning rate of the shape coefficients.
        scale_rate: learning rate of the logarithm of the camera's scale.
        shift_rate: learning rate of the body's position, as a fraction of the crop's side.
    """

    loss: LossSettings = field(default_factory=LossSettings)
    steps: int = 150
    topology_start: float = 0.05
    prior: str = "gaussian"
    prior_start: float = 0.2
    prior_end: float = 0.001
    shape_weight: float = 0.01
    pose_rate: float = 0.03
    shape_rate: float = 0.05
    scale_rate: float = 0.01
    shift_rate: float = 0.4 / 112


@dataclass(frozen=True)
class StartSettings:
    """Which starts are tried, and how many are fitted.

    Attributes:
        yaws: directions faced, degrees; 0 is towards the camera. Depth reflection covers the other half circle.
        pitch: lean of the camera, degrees: positive looks down on people.
        phases: of the walking cycle, in [0, 1).
        kept: starts per mask that are fitted.
        prior_weight: of the pose prior's energy when the best fit is chosen.
        batch: fits that run together.
    """

    yaws: tuple[float, ...] = (-90, -45, 0, 45, 90)
    pitch: float = 10.0
    phases: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75)
    kept: int = 3
    prior_weight: float = 0.005
    batch: int = 64
