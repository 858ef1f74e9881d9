"""Settings of fits. Nothing here imports torch, so that ``--help`` is quick."""

from __future__ import annotations

from dataclasses import dataclass, field

from adaptation.losses.settings import LossSettings


@dataclass(frozen=True)
class FitSettings:
    """Settings of a fit. The defaults were chosen by measurement (docs/evidence.md).

    Attributes:
        loss: the silhouette loss and its weights.
        steps: Adam steps, with cosine decay of the rates to zero.
        topology_start: weight of the skeleton term at the first step. It grows geometrically to the loss's
            ``topology_weight`` over 80 % of the steps, and is constant if the two are equal. Small values help from
            starts that are more than 40 degrees off; 1 helps where masks do not match the body.
        prior: name of the pose prior (`adaptation.priors.named`); read by the code that builds the fitter.
        prior_start: weight of the pose prior at the first step.
        prior_end: weight of the pose prior at the last step; it changes geometrically in between.
        shape_weight: weight of the squared shape coefficients.
        pose_rate: learning rate of pose and global orientation, radians.
        shape_rate: learning rate of the shape coefficients.
        scale_rate: learning rate of the logarithm of the camera's scale.
        shift_rate: learning rate of the body's position, as a fraction of the crop's side.
    """

    loss: LossSettings = field(default_factory=LossSettings)
    steps: int = 150
    topology_start: float = 0.05
    prior: str = "gaussian"
    # From strong to weak: with a constant weight, fits from starts 20 to 40 degrees off ended worse.
    prior_start: float = 0.2
    prior_end: float = 0.001
    shape_weight: float = 0.01
    # Half this rate ended worse, twice this rate no better.
    pose_rate: float = 0.03
    shape_rate: float = 0.05
    scale_rate: float = 0.01
    shift_rate: float = 0.4 / 112  # 0.4 pixels per step in a crop of 112 pixels


@dataclass(frozen=True)
class StartSettings:
    """The starts that are tried for each mask, and how many of them are fitted.

    Attributes:
        yaws: directions that the bodies face, degrees; 0 is towards the camera. Only directions towards the camera
            are needed: depth reflection (`adaptation.recording.depth_ambiguity`) gives those away from it.
        pitch: pitch of the camera, degrees; positive looks down on people.
        phases: phases of the walking cycle, in [0, 1).
        kept: starts per mask that are fitted.
        prior_weight: weight of the pose prior's energy when the best fit is chosen.
        batch: fits that run together.
    """

    yaws: tuple[float, ...] = (-90, -45, 0, 45, 90)
    pitch: float = 10.0
    phases: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75)
    kept: int = 3
    prior_weight: float = 0.005
    batch: int = 64
