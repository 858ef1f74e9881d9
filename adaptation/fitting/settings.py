"""Settings of fits. Nothing here imports torch, so that ``--help`` is quick."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from adaptation.losses.settings import LossSettings, at_size


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


def fit_at_size(settings: FitSettings, ratio: float) -> FitSettings:
    """Return the settings of fits to crops ``ratio`` times as large."""
    loss = at_size(settings.loss, ratio)
    if not settings.loss.topology_weight:
        return replace(settings, loss=loss)
    # The weight at the first step changes with the final one.
    start = settings.topology_start * loss.topology_weight / settings.loss.topology_weight
    return replace(settings, loss=loss, topology_start=start)


def with_rate(settings: FitSettings, factor: float) -> FitSettings:
    """Return settings whose learning rates, but for the shape's, are ``factor`` times as large."""
    return replace(
        settings,
        pose_rate=factor * settings.pose_rate,
        scale_rate=factor * settings.scale_rate,
        shift_rate=factor * settings.shift_rate,
    )


@dataclass(frozen=True)
class StartSettings:
    """The starts that are tried for each mask, and how many of them are fitted.

    Attributes:
        yaws: directions that the bodies face, degrees; 0 is towards the camera. Only directions towards the camera
            are needed: depth reflection (`adaptation.recording.fits.depth_ambiguity`) gives those away from it.
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


@dataclass(frozen=True)
class SearchSettings:
    """The search for bodies that explain a mask (`adaptation.fitting.search`).

    Attributes:
        entries: silhouettes in the library.
        seed: seed of their poses and views.
        pitches: least and greatest pitch of the cameras that see them, degrees; positive looks down on people.
        rolls: turns of the camera that are tried around its roll, degrees.
        unknown_rolls: turns that are tried where the roll is not known, degrees.
        nearest: entries that are looked up for each mask.
        apart: least mean distance between the joints of any two that are fitted, metres.
        kept: of these, entries that are fitted.
        size: side of the crops that they are fitted to, pixels.
        steps: Adam steps of these fits.
        rate: factor on the learning rates of these fits, which have few steps.
        refined: of these fits, the best ones that are fitted further.
        refining_steps: Adam steps of that.
    """

    entries: int = 30_000
    seed: int = 0
    pitches: tuple[float, float] = (0.0, 30.0)
    rolls: tuple[float, ...] = (-15.0, 0.0, 15.0)
    unknown_rolls: tuple[float, ...] = (-45.0, -30.0, -15.0, 0.0, 15.0, 30.0, 45.0)
    nearest: int = 800
    apart: float = 0.12
    kept: int = 11
    size: int = 64
    steps: int = 25
    rate: float = 2.0
    refined: int = 6
    refining_steps: int = 60


@dataclass(frozen=True)
class TrackFitSettings:
    """Joint fits of the bodies of a person over time (`adaptation.fitting.tracks`).

    Attributes:
        search: the search for candidates.
        paths: sequences of candidates that are fitted, in crops as small as those of the search.
        path_steps: Adam steps of these fits.
        finalists: of these, the best ones that are fitted in crops of full size; one of them is kept.
        steps: Adam steps of these fits.
        rate: factor on the learning rates of joint fits, which start near their end.
        prior_start: weight of the pose prior at the first step of joint fits.
        prior_end: weight of the pose prior at the last step of all fits.
        independent: seconds after which the next pose tells the prior something new. Joint fits of bodies that are
            nearer in time weigh the prior less, in proportion: poses that hardly differ are not so many witnesses.
        motion: weight of accelerations in fits.
        balance: weight of leaning in fits.
        prior_weight: weight of the pose prior's energy in choices.
        choice_motion: weight of accelerations in the choice between fitted sequences.
        choice_balance: weight of leaning in choices.
        heading: cost of facing against the direction of travel, in choices alone.
        movement: cost in choices of a mean movement of the joints by a metre between neighbours that are a second
            apart; it grows with the square of the movement, and falls with the square root of the time.
        joints: weight of joints that were seen in the images.
        memory: seconds after which a neighbour has no influence on the choice.
        near: mean distance of joints, metres, within which sequences are alike.
        price: cost of a body that is like one of an earlier sequence.
        longest: bodies that are fitted together; those of longer tracks are fitted in parts.
    """

    search: SearchSettings = field(default_factory=SearchSettings)
    paths: int = 5
    path_steps: int = 25
    finalists: int = 3
    steps: int = 60
    rate: float = 0.7
    prior_start: float = 0.05
    prior_end: float = 0.03
    independent: float = 1 / 3
    motion: float = 0.8
    balance: float = 1.0
    prior_weight: float = 0.025
    choice_motion: float = 1.0
    choice_balance: float = 0.5
    heading: float = 1.0
    movement: float = 6.0
    joints: float = 30.0
    memory: float = 1.5
    near: float = 0.15
    price: float = 1.0
    longest: int = 128
