"""Settings of an adaptation, the objectives that users choose by name, and the rules for both.

Nothing here imports torch, so that ``--help`` is quick.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args

from adaptation.fitting.settings import FitSettings
from adaptation.losses.settings import LOSSES, LossName, LossSettings
from adaptation.regressors.modes import Norm, Precision
from adaptation.support.errors import UserError

if TYPE_CHECKING:
    from adaptation.data.samples import MaskKind

Layers = Literal["all", "head", "norm", "lora"]
Optimizers = Literal["joint", "separate"]
FitDistance = Literal["weighted", "plain"]
ReplayLook = Literal["source", "target"]
KeypointUse = Literal["a1", "a2", "weak"]
LAYERS: tuple[Layers, ...] = get_args(Layers)
KEYPOINT_USES: tuple[KeypointUse, ...] = get_args(KeypointUse)


@dataclass(frozen=True)
class AdaptSettings:
    """Settings of an adaptation. The defaults were chosen by measurement (docs/evidence.md).

    The constants that the paper gives are rate 1e-6, batch 16, K = 4, ten steps per fit, and separate optimisers.

    Attributes:
        loss: the silhouette loss and its weights.
        supervised: whether to train on the target's labels instead: the ceiling of what adaptation can reach.
        keypoints: use of the target's 2D keypoints; None ignores them. "a1": keypoints alone, end to end; "a2": a1,
            and fits to the masks as point sets; "weak": keypoints and the silhouette loss. Masks judge progress in
            all cases.
        keypoint_weight: weight of the keypoint loss. The default is SPIN's: 5 times its common factor of 60.
        masks: kind of mask to learn from.
        steps: training steps of the network.
        batch: images per step, over all processes.
        rate: highest learning rate of the network; it decays to zero along a cosine.
        rise: steps of the linear rise to this rate.
        precision: precision of the network's convolutions and matrix products.
        optimizers: "joint", one optimiser for the sum of all losses, or "separate", the paper's two for L_S and L_T.
            Adam's steps do not shrink with the loss, so a second optimiser moves the network as far as the first,
            whatever the weight of L_T.
        silhouette_weight: weight of all end-to-end losses, that is, of the target's masks relative to replay.
        every: K; one step in K learns from fits. 0: no step does.
        fit_steps: Adam steps of a fit.
        fit: rates and weights of the fits.
        fit_weight: weight of the distance to the fits, L_Theta.
        label_weight: weight of the distance to pseudo-labels, where there are any, in every step.
        fit_distance: "weighted", SPIN's terms, or "plain", the norm that the paper prints.
        prior_weight: weight of the pose prior's energy in end-to-end steps.
        shape_weight: weight of the squared shape coefficients in end-to-end steps.
        teacher_weight: weight of the loss on the averaged network's predictions for the target's crops and their
            mirror images (`adaptation.adapting.teacher`), which is added to every loss but that of labels;
            `choose_teacher` decides whether a teacher is used.
        replay: labelled source images that are added to each batch, over all processes.
        replay_look: "target": source people are shown in the target's places and colours
            (`adaptation.adapting.staging`); "source": source crops are shown unchanged.
        layers: layers that train: all, the head, only the scales and shifts of the norms, or low-rank updates of the
            linear layers (`adaptation.regressors.low_rank`).
        rank: rank of these updates.
        norm: statistics of the batch norms. "target": those of each batch during training, the target's afterwards, as
            in AdaBN (Li et al., "Revisiting batch normalization for practical domain adaptation", 2016). "frozen": the
            source's.
        average: decay per step of the averaged weights that are evaluated and kept; 0 averages nothing.
        hold_out: share of the target's clips that are held out to judge progress.
        check_every: steps between two checks on the held-out crops; each check is followed by a save.
        patience: checks without an improvement after which the run ends.
        seed: seed of all random numbers.
    """

    loss: LossSettings = field(
        default_factory=lambda: LossSettings(topology_weight=0.1, pull_weight=5.0, iterations=12)
    )
    supervised: bool = False
    keypoints: KeypointUse | None = None
    keypoint_weight: float = 300.0
    masks: MaskKind = "subtracted"
    steps: int = 600
    batch: int = 32
    rate: float = 2e-4
    rise: int = 50
    precision: Precision = "float32"
    optimizers: Optimizers = "joint"
    silhouette_weight: float = 0.05
    every: int = 4
    fit_steps: int = 10
    fit: FitSettings = field(default_factory=lambda: FitSettings(prior="latent", prior_start=0.003, prior_end=0.003))
    fit_weight: float = 1.0
    label_weight: float = 1.0
    fit_distance: FitDistance = "weighted"
    prior_weight: float = 0.02
    shape_weight: float = 0.01
    teacher_weight: float = 0.0
    replay: int = 16
    replay_look: ReplayLook = "target"
    layers: Layers = "all"
    rank: int = 8
    norm: Norm = "target"
    average: float = 0.99
    hold_out: float = 0.1
    check_every: int = 50
    patience: int = 6
    seed: int = 0

    def __post_init__(self) -> None:
        # Checked here, so that Python refuses the same combinations as the command.
        silhouettes = not self.supervised and self.keypoints in (None, "weak")
        rules = (
            (self.supervised and self.keypoints is not None, "labels and keypoints exclude each other"),
            (self.supervised and self.every > 0, "fits change nothing with labels; every must be 0"),
            (self.keypoints == "a1" and self.every > 0, "fits change nothing with a1; every must be 0"),
            (self.teacher_weight > 0 and not silhouettes, "a teacher needs a loss on silhouettes"),
            (self.rank < 1, "rank must be positive"),
            (self.steps < 1 or self.batch < 1 or self.check_every < 1, "steps, batch and check_every must be positive"),
            (min(self.rate, self.every, self.replay) < 0, "rate, every and replay must not be negative"),
        )
        for broken, text in rules:
            if broken:
                raise UserError(f"settings of the adaptation: {text}")


def with_loss(settings: AdaptSettings, name: LossName) -> AdaptSettings:
    """Return the same settings with another silhouette loss.

    b1 is a share of pixels, while the others are distances in pixels. It gets four times their weight; at an equal
    weight it would be weaker for its unit alone.
    """
    weight = settings.silhouette_weight * (1 if LOSSES[name].distances else 4)
    return replace(settings, loss=replace(settings.loss, name=name), silhouette_weight=weight)


def _with_keypoints(use: KeypointUse) -> Callable[[AdaptSettings], AdaptSettings]:
    def apply(settings: AdaptSettings) -> AdaptSettings:
        every = settings.every
        if use == "a1":
            every = 0
        elif use == "a2":
            # Fits are what a2 adds to a1, so a preset without fits gets the default.
            every = every or AdaptSettings.every
        return replace(settings, keypoints=use, every=every)

    return apply


@dataclass(frozen=True)
class Objective:
    """What a network learns from on the target.

    Attributes:
        text: description for ``--help``.
        apply: returns settings changed to this objective.
    """

    text: str
    apply: Callable[[AdaptSettings], AdaptSettings]


OBJECTIVES: dict[str, Objective] = {
    **{name: Objective(loss.text, partial(with_loss, name=name)) for name, loss in LOSSES.items()},
    "a1": Objective("2D keypoints", _with_keypoints("a1")),
    "a2": Objective("2D keypoints, and fits to masks as point sets", _with_keypoints("a2")),
    "weak": Objective("L_S and L_T with 2D keypoints", _with_keypoints("weak")),
    "labels": Objective("the target's labels", lambda settings: replace(settings, supervised=True, every=0)),
}
"""The objectives, by the names that ``--loss`` accepts."""


def layers_of(text: str) -> dict[str, Any]:
    """Return the settings "layers" and "rank" that the option --layers names: a name, or "lora:RANK".

    Raises:
        UserError: they have another name, or the rank is no positive number.
    """
    name, _, rank = text.partition(":")
    for known in LAYERS:
        if known == name and not rank and not text.endswith(":"):
            return {"layers": known, "rank": AdaptSettings.rank}
        if known == name == "lora" and rank.isdecimal() and int(rank) > 0:
            return {"layers": known, "rank": int(rank)}
    raise UserError(f"--layers must be one of {', '.join(LAYERS)}, or lora:RANK, got {text!r}")


def plain_sums(settings: AdaptSettings) -> AdaptSettings:
    """Return the same settings with the losses as the paper prints them: plain sums over pixels, all with weight 1."""
    loss = replace(settings.loss, normalise=False, topology_weight=1.0, pull_weight=1.0)
    return replace(settings, loss=loss, fit_distance="plain")


def check_useful(objective: str, *, teacher: bool, fits: bool, plain_sums: bool) -> None:
    """Check that the options given to ``topo-adapt adapt`` have an effect with an objective.

    Raises:
        UserError: an option has no effect.
    """
    for option, given, objectives in (
        ("--teacher yes", teacher, ("a1", "a2", "labels")),
        ("--fits-every", fits, ("a1", "labels")),
        ("--plain-sums", plain_sums, ("a1", "labels")),
    ):
        if given and objective in objectives:
            raise UserError(f"{option} changes nothing with --loss {objective}")
