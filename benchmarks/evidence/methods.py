"""The methods of the adaptation grid. Each one is a change of settings; nothing is read out of its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

from adaptation.adapting.presets import preset
from adaptation.adapting.settings import AdaptSettings, with_loss
from adaptation.losses.settings import LossName
from adaptation.synthetic.settings import Split

Change = Callable[[AdaptSettings], AdaptSettings]
Keypoints = Literal["source norms", "target norms"]
"""Batch norms of the detector that finds keypoints: the source's, or such as follow the target (AdaBN)."""


def _nothing(settings: AdaptSettings) -> AdaptSettings:
    return settings


@dataclass(frozen=True)
class Method:
    """A way to adapt the source model.

    Changes are functions of a module or `functools.partial` of one, so that cells can be sent to other processes.

    Attributes:
        name: name in files, records and tables.
        text: description for the document, without a full stop.
        change: changes the settings of `OURS` to those of this method.
        preset: preset that the settings start from. "paper" is used as it is: neither ``change`` nor the scaling to
            network and crops applies to it.
        adapts: whether anything is adapted; if not, the source model itself is measured.
        learns_from: split of the target that is adapted to.
        flips_teacher: whether a teacher is used exactly where `adaptation.adapting.teacher` chooses none.
        keypoints: which detector finds the target's keypoints; None if the method uses none.
    """

    name: str
    text: str
    # Partials are never equal; names identify methods.
    change: Change = field(default=_nothing, compare=False)
    preset: Literal["small", "paper"] = "small"
    adapts: bool = True
    learns_from: Split = "adapt"
    flips_teacher: bool = False
    keypoints: Keypoints | None = None


def _set(**values: Any) -> Change:
    return partial(replace, **values)


def _norms_only(settings: AdaptSettings) -> AdaptSettings:
    # At rate 0 nothing but the statistics changes, which settle within 60 batches.
    return replace(settings, rate=0.0, replay=0, steps=min(settings.steps, 60))


def _heavy(settings: AdaptSettings) -> AdaptSettings:
    return replace(settings, silhouette_weight=4 * settings.silhouette_weight)


def _with_pixels(settings: AdaptSettings) -> AdaptSettings:
    return replace(settings, loss=replace(settings.loss, pixel_weight=4.0))


def _with_gaussian(settings: AdaptSettings) -> AdaptSettings:
    return replace(settings, fit=replace(settings.fit, prior="gaussian"))


def _loss(name: LossName) -> Change:
    return partial(with_loss, name=name)


def _alone(settings: AdaptSettings, name: LossName) -> AdaptSettings:
    # Without replay nothing keeps the network from forgetting: fewer and smaller steps, as users get them.
    alone = preset("small").adapt_alone
    settings = replace(settings, replay=0, rate=alone.rate, steps=min(alone.steps, settings.steps))
    return with_loss(settings, name)


def _no_replay(name: LossName) -> Change:
    return partial(_alone, name=name)


SOURCE_ONLY = Method("source-only", "the source model, not adapted", adapts=False)
NORMS = Method("norms", "only the statistics of the batch norms follow the target (AdaBN)", _norms_only)
REPLAY = Method(
    "replay",
    "replay of labelled source people in the target's colours and places; no silhouette loss",
    _set(silhouette_weight=0.0),
)
REPLAY_FLIPPED = Method(
    "replay, other choice",
    "replay without a teacher where one is chosen, and with one where none is",
    _set(silhouette_weight=0.0),
    flips_teacher=True,
)
A1 = Method(
    "a1",
    "2D keypoints from a detector that was trained only on the source and sees the same shift; with replay",
    _set(keypoints="a1"),
    keypoints="source norms",
)
A1_NORMS = Method(
    "a1, norms",
    "2D keypoints from a detector that was trained only on the source and whose batch norms follow the target, "
    "as the regressor's do; with replay",
    _set(keypoints="a1"),
    keypoints="target norms",
)
A2_NORMS = Method(
    "a2, norms",
    "the keypoints of `a1, norms`, and one step in four learns from fits to the masks as point sets; with replay",
    _set(keypoints="a2", every=4),
    keypoints="target norms",
)
B1 = Method("b1", "squared pixel differences, at four times the weight of L_S; with replay", _loss("b1"))
B1_FLIPPED = Method("b1, other choice", "b1 with the opposite choice of a teacher", _loss("b1"), flips_teacher=True)
B2 = Method("b2", "L_S alone; with replay", _loss("b2"))
B2_FLIPPED = Method("b2, other choice", "b2 with the opposite choice of a teacher", _loss("b2"), flips_teacher=True)
B3 = Method("b3", "L_S and squared pixel differences of skeletons; with replay", _loss("b3"))
B3_FLIPPED = Method("b3, other choice", "b3 with the opposite choice of a teacher", _loss("b3"), flips_teacher=True)
# No change: all other methods are described by how they differ from this one.
OURS = Method("ours", "L_S and L_T; with replay, as `topo-adapt adapt --source` does")
PAPERS = Method(
    "paper's settings",
    "L_S and L_T with the paper's learning rate of 1e-6 and separate optimisers; one step in four learns from fits, "
    "and batch norms and replayed crops stay those of the source, as `topo-adapt adapt --preset paper` does",
    preset="paper",
)
OURS_FLIPPED = Method(
    "ours, other choice",
    "ours with the opposite choice of a teacher, and of the pull that goes with it",
    flips_teacher=True,
)
B1_ALONE = Method(
    "b1, no replay",
    "squared pixel differences without source labels, in fewer and smaller steps",
    _no_replay("b1"),
)
B2_ALONE = Method("b2, no replay", "L_S without source labels, in fewer and smaller steps", _no_replay("b2"))
B3_ALONE = Method(
    "b3, no replay",
    "L_S and squared pixel differences of skeletons without source labels, in fewer and smaller steps",
    _no_replay("b3"),
)
OURS_ALONE = Method(
    "ours, no replay",
    "L_S and L_T without source labels, in fewer and smaller steps, as `topo-adapt adapt` does without `--source`",
    _no_replay("ours"),
)
OURS_FITS = Method("ours, fits", "ours, in which one step in four learns from fits (Algorithm 1)", _set(every=4))
OURS_NO_PRIOR = Method("ours, no prior", "ours without a pose prior", _set(prior_weight=0.0))
OURS_POOR_MASKS = Method(
    "ours, poor masks",
    "ours with masks that have holes, bites, missing parts and shadows, and are too wide or too narrow",
    _set(masks="degraded"),
)
LABELS = Method(
    "labels", "full supervision on the target, for as many steps; with replay", _set(supervised=True, every=0)
)

# The order of rows in tables: from no adaptation to the upper bound.
ALL = (
    SOURCE_ONLY,
    NORMS,
    REPLAY,
    REPLAY_FLIPPED,
    A1,
    A1_NORMS,
    A2_NORMS,
    B1,
    B1_FLIPPED,
    B2,
    B2_FLIPPED,
    B3,
    B3_FLIPPED,
    OURS,
    PAPERS,
    Method("ours, pixels", "ours with b1 added at its own weight", _with_pixels),
    OURS_FITS,
    Method("ours, separate", "ours with the paper's separate optimisers", _set(optimizers="separate")),
    OURS_FLIPPED,
    Method("ours, heavy", "ours with four times the weight of L_S and L_T relative to the replayed labels", _heavy),
    B1_ALONE,
    B2_ALONE,
    B3_ALONE,
    OURS_ALONE,
    Method(
        "ours, source's look", "ours with the labelled source crops replayed as they are", _set(replay_look="source")
    ),
    Method("ours, gaussian", "ours with a Gaussian pose prior in place of the latent one", _with_gaussian),
    OURS_NO_PRIOR,
    Method(
        "ours, exact masks",
        "ours with the true silhouettes in place of masks from background subtraction",
        _set(masks="truth"),
    ),
    OURS_POOR_MASKS,
    Method(
        "ours, here",
        "ours adapted to the very crops that are measured, without seeing their labels",
        learns_from="test",
    ),
    LABELS,
)
METHODS = {method.name: method for method in ALL}
"""All methods by name, in the order of tables."""
