"""Fit bodies to silhouettes alone, many crops at once: the paper's inference-time fitting.

Pose, global orientation, shape and camera are all optimised from the first step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from adaptation.bodies.body import Body
from adaptation.bodies.parameters import Bodies
from adaptation.bodies.renderer import Renderer
from adaptation.bodies.views import Margins
from adaptation.evaluation.metrics import silhouette_iou
from adaptation.fitting.fitter import Fitter, Stage
from adaptation.fitting.posed import PosedBodies, Scene
from adaptation.fitting.schedule import Geometric, constant
from adaptation.fitting.settings import FitSettings
from adaptation.fitting.terms import PointSetTerm, PriorTerm, SilhouetteTerm, SkeletonTerm, Term, shape_term
from adaptation.fitting.variables import BodyLeaves, BodyVariables
from adaptation.losses.settings import LossSettings
from adaptation.losses.silhouettes import SilhouetteTarget, topology_agreement
from adaptation.priors.base import PosePrior
from adaptation.regressors.base import Prediction
from adaptation.support.batches import Batch

AnyLeaves = TypeVar("AnyLeaves", bound=BodyLeaves)

_TOPOLOGY_SHARE = 0.8  # share of the steps over which the weight of the skeleton term grows


@dataclass(frozen=True)
class Evaluation(Batch):
    """How well B bodies match their masks, (B,) each.

    Attributes:
        loss: the data loss of the settings, skeletons included and priors not.
        topology: L_T, mean pixels between the skeletons.
        iou: intersection over union of the binary silhouettes and the masks, in [0, 1].
        prior: energy of the pose under the prior.
    """

    loss: Tensor
    topology: Tensor
    iou: Tensor
    prior: Tensor


DataTerms = Callable[[SilhouetteTarget, LossSettings], dict[str, Term]]
"""Builds the terms "data" and "skeletons" of a fit to masks; "skeletons" may be missing."""


def silhouette_data(target: SilhouetteTarget, settings: LossSettings) -> dict[str, Term]:
    """Return the terms that compare silhouettes and their skeletons by a silhouette loss."""
    return {"data": SilhouetteTerm(target, settings), "skeletons": SkeletonTerm(target, settings)}


def point_set_data(target: SilhouetteTarget, _settings: LossSettings) -> dict[str, Term]:
    """Return the term of baseline A2, which compares point sets and no skeletons."""
    return {"data": PointSetTerm(target)}


def stage_of(settings: FitSettings, steps: int | None = None) -> Stage:
    """Return the single stage of a fit to silhouettes; ``steps`` replaces the number of steps of the settings."""
    topology = settings.loss.topology_weight
    return Stage(
        steps=settings.steps if steps is None else steps,
        weights={
            "data": constant(1.0),
            # The weight never falls: with a topology weight below topology_start it is constant.
            "skeletons": Geometric(min(settings.topology_start, topology), topology, _TOPOLOGY_SHARE),
            "prior": Geometric(settings.prior_start, settings.prior_end),
            "shape": constant(settings.shape_weight),
        },
        # Offsets are in crop coordinates, which run over [-1, 1]: a crop's side is 2 of their units.
        # Every leaf moves from the first step: fits of the camera alone at first ended worse.
        rates={
            "pose": settings.pose_rate,
            "betas": settings.shape_rate,
            "scale": settings.scale_rate,
            "offset": 2 * settings.shift_rate,
        },
    )


class SilhouetteFitter:
    """Fits one body model to silhouettes.

    Args:
        body: the body model, already on the device of the computation.
        prior: pose prior.
        renderer: renderer of the silhouettes.
        settings: loss, weights and rates.
        data: builds the terms that compare bodies with masks.
        visible: parts of the crops that count; None for whole crops.

    Attributes:
        scene: body model and renderer.
    """

    def __init__(
        self,
        body: Body,
        prior: PosePrior,
        renderer: Renderer,
        settings: FitSettings | None = None,
        data: DataTerms = silhouette_data,
        visible: Margins | None = None,
    ) -> None:
        self.scene, self.prior, self.data = Scene(body, renderer, visible), prior, data
        self.settings = settings or FitSettings()

    @property
    def body(self) -> Body:
        """The body model."""
        return self.scene.body

    def with_settings(self, settings: FitSettings) -> SilhouetteFitter:
        """Return a fitter that differs from this one in its settings alone."""
        return SilhouetteFitter(self.body, self.prior, self.scene.renderer, settings, self.data, self.scene.visible)

    def seeing(self, visible: Margins | None) -> SilhouetteFitter:
        """Return a fitter that differs from this one in the parts of the crops that count."""
        return SilhouetteFitter(self.body, self.prior, self.scene.renderer, self.settings, self.data, visible)

    def target(self, masks: Tensor) -> SilhouetteTarget:
        """Return the target for masks (B, 1, S, S) of 0 and 1: the masks and all that is computed once per mask."""
        if self.scene.visible is not None:
            masks = masks * self.scene.visible.window(masks.shape[-1], masks.device)
        return SilhouetteTarget.of(masks, iterations=self.settings.loss.iterations)

    def posed(self, bodies: Bodies | BodyVariables | Prediction, size: int) -> PosedBodies:
        """Return bodies posed for images of ``size`` x ``size`` pixels."""
        # Variables already have the axis-angle pose that priors need.
        if isinstance(bodies, BodyVariables):
            return self.scene.posed(bodies.bodies(), size, bodies.pose)
        return self.scene.posed(bodies, size)

    @torch.no_grad()
    def evaluate(self, bodies: Bodies | BodyVariables | Prediction, target: SilhouetteTarget) -> Evaluation:
        """Compute losses and IoU of B bodies against B masks, without gradients; vertices alone have an energy of 0."""
        posed = self.posed(bodies, target.mask.shape[-1])
        # The final weights, not those of a step, so that starts and fits compare. Callers weight the prior themselves.
        weights = {"data": 1.0, "skeletons": self.settings.loss.topology_weight}
        terms = self.data(target, self.settings.loss)
        iou = silhouette_iou(posed.silhouette, target.mask)
        return Evaluation(
            loss=sum((term(posed, weights[name]) for name, term in terms.items()), start=torch.zeros(())),
            topology=topology_agreement(posed.silhouette, target),
            iou=iou,
            prior=self.prior.energy(posed.pose) if posed.known else torch.zeros_like(iou),
        )

    def fitter(self, target: SilhouetteTarget, start: BodyVariables, steps: int | None = None) -> Fitter[BodyLeaves]:
        """Return the fit of B bodies to B masks before its first step; arguments as for `fit`."""
        return self.fitter_of(BodyLeaves(start, self.scene, target.mask.shape[-1]), target, steps)

    def fitter_of(
        self,
        variables: AnyLeaves,
        target: SilhouetteTarget,
        steps: int | None = None,
        others: Mapping[str, tuple[Term, float]] | None = None,
    ) -> Fitter[AnyLeaves]:
        """Return a fit of given variables to B masks before its first step.

        Args:
            variables: B bodies.
            target: B masks.
            steps: Adam steps; None uses those of the settings.
            others: further terms and their weights, by name.
        """
        others = others or {}
        data = self.data(target, self.settings.loss)
        stage = stage_of(self.settings, steps)
        terms: dict[str, Term] = {**data, "prior": PriorTerm(self.prior), "shape": shape_term}
        # Point sets have no skeletons; any other weight must have its term.
        weights = {name: weight for name, weight in stage.weights.items() if name in terms or name != "skeletons"}
        terms |= {name: term for name, (term, _) in others.items()}
        weights |= {name: constant(weight) for name, (_, weight) in others.items()}
        return Fitter(variables, terms, [Stage(stage.steps, weights, stage.rates)])

    def fit(
        self,
        target: SilhouetteTarget,
        start: BodyVariables,
        *,
        steps: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> BodyVariables:
        """Fit B bodies to B masks.

        Args:
            target: B masks.
            start: B bodies to start from.
            steps: Adam steps; None uses those of the settings.
            progress: callback that is given 1 after each step.

        Returns:
            The fitted bodies, detached.

        Raises:
            FloatingPointError: the loss became infinite or nan.
        """
        fitter = self.fitter(target, start, steps)
        fitter.run(progress)
        with torch.no_grad():
            return fitter.variables.value().detach()
