"""Algorithm 1 of Kundu et al. (NeurIPS 2021): adapt a regressor to a camera from silhouettes alone.

Of every K steps, K - 1 train the network end to end on L_S and L_T of the silhouettes that it
predicts, with one optimiser for both or one for each. The last one fits bodies to the masks, starting from the
network's predictions, and trains the network on the fits: where the end-to-end gradient is stuck,
the fit may not be. As in SPIN, the best fit so far of every image is kept.

Two things the paper does not have may train the network beside: labelled people of the source in the target's look
(`adaptation.adapting.staging`), and what the averaged network says about the target (`adaptation.adapting.teacher`).

Progress is judged without labels, by the agreement of silhouettes on images set aside; the best
state is what the run ends with.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import roma
import torch
from torch import Tensor, nn

from adaptation.adapting.staging import Stage
from adaptation.adapting.teacher import TEACHES_WITHIN, looks_apart, teach
from adaptation.bodies.body import Body
from adaptation.bodies.renderer import make_renderer
from adaptation.data.keypoints import keypoint_loss, keypoints_of
from adaptation.data.samples import Domain, MaskKind
from adaptation.evaluation.metrics import silhouette_iou
from adaptation.fitting.fitter import BodyParameters, FitSettings, Fitter
from adaptation.fitting.point_chamfer import PointFitter
from adaptation.losses.silhouettes import LossName, LossSettings, SilhouetteTarget, silhouette_terms, topology_agreement
from adaptation.losses.supervision import SupervisionWeights, Truth, parameter_distance, supervision_loss, truth_of
from adaptation.priors.gaussian import pose_prior
from adaptation.regressors.hmr import Prediction
from adaptation.regressors.running import Norm, Precision, channels_last, predict_in, set_norm, warm_cosine
from adaptation.support.errors import UserError
from adaptation.training.processes import average_gradients, batch_of, gather, my_share, share_norms, world
from adaptation.training.runs import Run

Layers = Literal["all", "head", "norm"]
Optimizers = Literal["joint", "separate"]
FitDistance = Literal["weighted", "plain"]
ReplayLook = Literal["source", "target"]
Teaching = Literal["auto", "yes", "no"]
KeypointUse = Literal["a1", "a2", "weak"]
TEACHINGS: tuple[Teaching, ...] = get_args(Teaching)
KEYPOINT_USES: tuple[KeypointUse, ...] = get_args(KeypointUse)
_TRUSTED = 100  # steps over which the teacher, the source's network at first, comes to count in full


@dataclass(frozen=True)
class AdaptSettings:
    """How a regressor is adapted. The defaults were measured by `evidence`.

    The paper's constants, where it gives them, are rate 1e-6, batch 16, K = 4, ten steps per fit, separate optimisers.

    Attributes:
        loss: the silhouette loss and its weights.
        supervised: train on the target's labels instead: the ceiling of what adaptation can reach.
        keypoints: what 2D keypoints of the target are used for, None for nothing. a1: they alone, end to end; a2: a1,
            and fits to the masks as point sets; weak: beside the silhouette loss. Masks judge progress in any case.
        keypoint_weight: of their loss; SPIN's, 5 times its common factor of 60.
        masks: which masks of the domain are seen.
        steps: of the network.
        batch: images per step, over all processes.
        rate: learning rate of the network at its highest; it decays to zero along a cosine.
        rise: steps of the linear rise before.
        precision: of the network's convolutions and matrix products.
        optimizers: "joint", one of the sum of all losses, or the paper's "separate" ones of L_S and L_T. Adam's steps
            do not shrink with the loss: a second optimiser moves the network as far as the first at any weight of L_T.
        silhouette_weight: of all that the target's masks say, end to end, beside replay.
        every: K; one step in K learns from fits. 0: none does.
        fit_steps: Adam steps of a fit.
        fit: rates and weights of the fits.
        fit_weight: of the distance to the fits, L_Theta.
        fit_distance: "weighted", SPIN's terms, or "plain", the norm that the paper prints.
        prior_weight: of the pose prior's energy end to end.
        shape_weight: of the squared shape coefficients end to end.
        teacher_weight: of what the averaged network says about the target's crops and their mirror images, as
            `adaptation.adapting.teacher` tells, beside every loss but that of labels; `choose_teacher` says where.
        replay: labelled source images seen beside each batch, over all processes.
        replay_look: "target": their people are shown in the target's places and colours, as
            `adaptation.adapting.staging` tells; "source": as they are.
        layers: which of them train: all, the head, or the scales and shifts of the norms alone.
        norm: statistics of the batch norms. "target": each batch's own while it trains, the target's afterwards, as in
            AdaBN (Li et al., "Revisiting batch normalization for practical domain adaptation", 2016). "frozen": the
            source's.
        average: decay per step of the averaged weights that are evaluated and kept; 0 averages nothing.
        hold_out: share of the target's clips that are set aside to judge progress.
        check_every: steps between two looks at them; the state is saved then.
        patience: looks without a better one after which the run ends.
        seed: of everything random.
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
    fit_distance: FitDistance = "weighted"
    prior_weight: float = 0.02
    shape_weight: float = 0.01
    teacher_weight: float = 0.0
    replay: int = 16
    replay_look: ReplayLook = "target"
    layers: Layers = "all"
    norm: Norm = "target"
    average: float = 0.99
    hold_out: float = 0.1
    check_every: int = 50
    patience: int = 6
    seed: int = 0


def with_loss(settings: AdaptSettings, name: LossName) -> AdaptSettings:
    """The same settings with another loss.

    b1, a share of pixels, counts four times as much as distances in pixels: at one weight it would be the weaker for
    that alone.
    """
    weight = settings.silhouette_weight * (4 if name == "b1" else 1)
    return replace(settings, loss=replace(settings.loss, name=name), silhouette_weight=weight)


def taught(settings: AdaptSettings) -> AdaptSettings:
    """The same with a mean teacher; both weights were chosen together, on crops of `style` that no table shows."""
    return replace(settings, teacher_weight=2.0, loss=replace(settings.loss, pull_weight=1.5))


def taught_if_near(settings: AdaptSettings, apart: float) -> AdaptSettings:
    """The same with a mean teacher where two looks are few enough millimetres apart."""
    return taught(settings) if apart <= TEACHES_WITHIN else settings


def choose_teacher(
    settings: AdaptSettings, network: nn.Module, target: Domain, body: Body, device: str = "cpu"
) -> tuple[AdaptSettings, float | None]:
    """Settings with a teacher where the network is near enough to be one: it helps there, and harms elsewhere.

    Returns:
        The settings, and the millimetres between two looks that decide it; None where there is no choice: a teacher
        was only measured beside replay, with batch norms that follow the target, and no labels or keypoints of it.
    """
    if not settings.replay or settings.norm != "target" or settings.supervised or settings.keypoints:
        return settings, None
    apart = float(gather(torch.tensor([looks_apart(network, target, body, device)], device=device)).mean())
    return taught_if_near(settings, apart), apart


@dataclass(frozen=True)
class Agreement:
    """How well predictions explain masks: mean IoU, and mean pixels between skeletons."""

    iou: float
    topology: float


def adapt(
    network: nn.Module,
    target: Domain,
    body: Body,
    settings: AdaptSettings,
    folder: Path,
    *,
    source: Domain | None = None,
    describe: dict[str, object] | None = None,
    device: str = "cpu",
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> nn.Module:
    """Adapt, or go on with a run that was stopped.

    Args:
        network: a `MeshNetwork`, changed in place.
        target: images and masks; its labels are not looked at unless ``settings.supervised``.
        body: that is rendered.
        settings: of the adaptation.
        folder: of the run.
        source: labelled images for replay; none is replayed without it.
        describe: of network and domains, for the run's settings.
        device: where to compute.
        overwrite: start anew.
        progress: called with the number of steps done since the last call.

    Returns:
        The network with the best weights, in evaluation mode.

    Raises:
        UserError: the target has no masks, or no keypoints where they are used; or a loss is not finite.
    """
    for name, count in (("batch", settings.batch), ("replay", settings.replay)):
        if count % world()[1]:
            raise UserError(f"a {name} of {count} cannot be shared by {world()[1]} processes")
    training, judging = split_by_clip(target, settings.hold_out, settings.seed)
    if len(training) == 0:
        raise UserError("no crop of the target has a mask to learn from")
    body = body.to(device)
    network = share_norms(network.to(device).eval())
    channels_last(network)
    parameters = choose_parameters(network, settings.layers)
    keypoints = keypoints_of(target) if settings.keypoints else None
    labels = truth_of(target) if settings.supervised else None
    replay = None if source is None or settings.replay == 0 else Replay(source, target, training, settings)
    fits_every = 0 if settings.keypoints == "a1" else settings.every
    make_fitter = PointFitter if settings.keypoints == "a2" else Fitter
    fitter = make_fitter(body, pose_prior(settings.fit.prior, device), make_renderer(), _fit_settings(settings))
    fits = FitStore(len(target))
    names = ("all",) if settings.optimizers == "joint" else ("silhouette", "topology")
    optimizers = {name: torch.optim.Adam(parameters, settings.rate) for name in names}
    averaged = copy.deepcopy(network)
    best, waited, start, looked = (-1.0, copy.deepcopy(network.state_dict())), 0, 0, -1
    curve: dict[str, list[float]] = {"step": [], "iou": [], "topology": []}
    run = Run(folder, {"adapt": asdict(settings), **(describe or {})}, overwrite=overwrite)
    if state := run.load(network):
        network.load_state_dict(state["network"])
        averaged.load_state_dict(state["averaged"])
        for name, optimizer in optimizers.items():
            optimizer.load_state_dict(state[name])
        fits.load_state_dict(state["fits"])
        best, waited, start = (float(state["best_iou"]), state["best"]), int(state["waited"]), int(state["step"])
        curve, looked = state["curve"], start
        if progress:
            progress(start)

    for step in range(start, settings.steps + 1):
        if step != looked and (step % settings.check_every == 0 or step == settings.steps):
            # The first look, before any step, is what the source model gives: nothing worse is ever kept.
            agreement = agree(averaged, target, judging, fitter, settings.masks, device)
            run.log(step, held_out_iou=agreement.iou, held_out_topology=agreement.topology)
            for name, value in {"step": step, **asdict(agreement)}.items():
                curve[name].append(value)
            if agreement.iou > best[0]:
                best, waited = (agreement.iou, copy.deepcopy(averaged.state_dict())), 0
            else:
                waited += 1
            run.save(
                {
                    "network": network.state_dict(),
                    "averaged": averaged.state_dict(),
                    **{name: optimizer.state_dict() for name, optimizer in optimizers.items()},
                    "fits": fits.state_dict(),
                    "best_iou": best[0],
                    "best": best[1],
                    "waited": waited,
                    "curve": curve,
                    "step": step,
                }
            )
        if waited > settings.patience or step == settings.steps:
            break

        for group in (group for optimizer in optimizers.values() for group in optimizer.param_groups):
            group["lr"] = settings.rate * warm_cosine(step, settings.steps, settings.rise)
        index = training[my_share(batch_of(step, settings.batch, len(training), settings.seed))]
        images = target.image_batch(index.numpy(), device)
        set_norm(network, settings.norm, keep=True)
        prediction = predict_in(settings.precision, network, images)
        regular = torch.zeros((), device=device)
        if replay is not None:
            regular = replay.loss(network, body, step, device)
        if labels is not None:
            loss = supervision_loss(prediction, labels.select(index).to(device), body, SupervisionWeights()).mean()
            losses = {"silhouette": loss + regular}
        else:
            if settings.teacher_weight:
                lesson = teach(averaged, images, settings.precision)
                weight = settings.teacher_weight * min(1.0, step / _TRUSTED)
                regular = regular + weight * lesson.loss(prediction, body).mean()
            masks = target.mask_batch(index.numpy(), settings.masks, device)
            goal = fitter.target(masks)
            if fits_every and step % fits_every == fits_every - 1:
                fitted = fits.improve(index, fitter, goal, prediction, settings.fit_steps)
                losses = {"silhouette": settings.fit_weight * _to_fits(prediction, fitted, body, settings) + regular}
            else:
                seen = None if keypoints is None else keypoints[index].to(device)
                losses = _end_to_end(prediction, goal, seen, fitter, settings)
                losses["silhouette"] = losses["silhouette"] + regular
        run.log(step, **{f"loss_{name}": loss.item() for name, loss in losses.items()})
        if settings.optimizers == "joint":
            losses = {"all": sum(losses.values(), start=torch.zeros((), device=device))}
        _update(losses, optimizers, parameters, step)
        network.eval()
        # At first the average reaches back over a tenth of the steps only, so that it soon forgets the source.
        _average(averaged, network, min(settings.average, (step + 1) / (step + 10)))
        if progress:
            progress(1)
    run.close()
    network.load_state_dict(best[1])
    return network.eval()


def split_by_clip(domain: Domain, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Indices of crops to learn from and of crops set aside, by clip; empty masks are in neither.

    Raises:
        UserError: masks hold something else than 0 and 1.
    """
    usable = np.zeros(len(domain), bool)
    for i in range(len(domain)):
        masks = np.asarray(domain.masks[i])
        if masks.max() > 1:
            raise UserError(f"masks must hold 0 and 1, got {masks.max()} in crop {i}")
        usable[i] = masks.any(axis=(1, 2)).all()
    clips = np.unique(domain.clip)
    rng = np.random.default_rng(seed)
    aside = rng.permutation(clips)[: max(1, round(share * len(clips)))] if len(clips) > 1 else clips[:0]
    judged = np.isin(domain.clip, aside)
    training, judging = (torch.from_numpy(np.flatnonzero(usable & part)) for part in (~judged, judged))
    return training, judging if len(judging) else training


def choose_parameters(network: nn.Module, layers: Layers) -> list[nn.Parameter]:
    """The parameters that train; all others are frozen.

    Raises:
        UserError: there are none of that kind.
    """
    chosen = {name for name, _ in network.named_parameters()}
    if layers == "norm":
        norms = {name for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d | nn.LayerNorm)}
        chosen = {name for name in chosen if name.rpartition(".")[0] in norms}
    elif layers == "head":
        chosen = {name for name in chosen if name.rpartition(".")[0].rpartition(".")[2].startswith(("fc", "dec"))}
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name in chosen)
    if not chosen:
        raise UserError(f"this network has no layers of the kind {layers!r}")
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


class FitStore:
    """The best fit so far of every image, on the CPU."""

    def __init__(self, count: int) -> None:
        self._parameters = torch.zeros(count, 24 * 3 + 10 + 3)
        self._loss = torch.full((count,), torch.inf)

    def improve(
        self, index: Tensor, fitter: Fitter, goal: SilhouetteTarget, prediction: Prediction, steps: int
    ) -> Truth:
        """Fit from predictions, and give the better of these fits and those stored."""
        _bodies(prediction)
        camera = prediction.camera.detach()
        start = BodyParameters(prediction.pose.detach(), prediction.betas.detach(), camera)
        try:
            fitted = fitter.fit(goal, start, steps=steps)
        except FloatingPointError as error:
            raise UserError(f"a fit diverged ({error}); the state of the last save is the last good one") from None
        judged = fitter.evaluate(fitted, goal)
        loss = (judged.loss + fitter.settings.prior_end * judged.prior).cpu()
        flat = torch.cat([fitted.pose.flatten(1), fitted.betas, fitted.camera], dim=1).cpu()
        everywhere = gather(index), gather(flat), gather(loss)
        for image, parameters, value in zip(*everywhere, strict=True):
            if value < self._loss[image]:
                self._parameters[image], self._loss[image] = parameters, value
        pose, betas, camera = self._parameters[index].to(goal.mask.device).split([72, 10, 3], dim=1)
        return Truth(roma.rotvec_to_rotmat(pose.reshape(-1, 24, 3)), betas, camera)

    def state_dict(self) -> dict[str, Tensor]:
        """For a save."""
        return {"parameters": self._parameters, "loss": self._loss}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """From a save.

        Raises:
            UserError: it is of another number of images.
        """
        if state["loss"].shape != self._loss.shape:
            raise UserError(f"the saved fits are of {len(state['loss'])} images, not of {len(self._loss)}")
        self._parameters, self._loss = state["parameters"], state["loss"]


@torch.no_grad()
def agree(network: nn.Module, domain: Domain, index: Tensor, fitter: Fitter, masks: MaskKind, device: str) -> Agreement:
    """Agreement of predicted silhouettes with masks of a domain."""
    ious, topologies = [], []
    for part in index.split(64):
        prediction = network(domain.image_batch(part.numpy(), device))
        goal = fitter.target(domain.mask_batch(part.numpy(), masks, device))
        silhouette = fitter.silhouette(_bodies(prediction), domain.size)
        ious.append(silhouette_iou(silhouette, goal.mask))
        topologies.append(topology_agreement(silhouette, goal))
    return Agreement(float(torch.cat(ious).mean()), float(torch.cat(topologies).mean()))


def _end_to_end(
    prediction: Prediction, goal: SilhouetteTarget, keypoints: Tensor | None, fitter: Fitter, settings: AdaptSettings
) -> dict[str, Tensor]:
    bodies, size = _bodies(prediction), goal.mask.shape[-1]
    loss = settings.prior_weight * fitter.prior.energy(roma.rotmat_to_rotvec(prediction.rotations))
    loss = loss + settings.shape_weight * prediction.betas.square().sum(1)
    if keypoints is not None:
        loss = loss + settings.keypoint_weight * keypoint_loss(prediction, keypoints, fitter.body, size)
    if settings.keypoints in ("a1", "a2"):
        return {"silhouette": settings.silhouette_weight * loss.mean()}
    silhouette, joints = fitter.seen(bodies, size)
    terms = silhouette_terms(silhouette, goal, settings.loss, joints)
    losses = {"silhouette": settings.silhouette_weight * (terms.silhouette + loss).mean()}
    if settings.loss.name in ("b3", "ours"):
        losses["topology"] = settings.silhouette_weight * terms.topology.mean()
    return losses


def _to_fits(prediction: Prediction, fitted: Truth, body: Body, settings: AdaptSettings) -> Tensor:
    if settings.fit_distance == "plain":
        return parameter_distance(prediction, fitted).mean()
    return supervision_loss(prediction, fitted, body, SupervisionWeights()).mean()


def _bodies(prediction: Prediction) -> BodyParameters:
    """What is rendered.

    Raises:
        UserError: a prediction is not finite.
    """
    if not all(torch.isfinite(part).all() for part in (prediction.rotations, prediction.betas, prediction.camera)):
        raise UserError("the network's predictions are not finite; the state of the last save is the last good one")
    return BodyParameters(prediction.rotations, prediction.betas, prediction.camera)


class Replay:
    """Labelled source crops that are learnt from beside the target's.

    Args:
        source: labelled.
        target: whose look they may be shown in.
        places: crops of the target that have masks and are not set aside.
        settings: of the adaptation.

    Raises:
        UserError: the source has no labels, or crops of another size than the target's.
    """

    def __init__(self, source: Domain, target: Domain, places: Tensor, settings: AdaptSettings) -> None:
        self._source, self._truth = source, truth_of(source)
        self._places, self._settings = places, settings
        self._stage = Stage.of(source, target, settings.masks) if settings.replay_look == "target" else None

    def loss(self, network: nn.Module, body: Body, step: int, device: str) -> Tensor:
        """Of a network on a step's crops, scalar."""
        settings = self._settings
        people = my_share(batch_of(step, settings.replay, len(self._source), settings.seed + 1))
        if self._stage is None:
            images = self._source.image_batch(people.numpy(), device)
        else:
            places = my_share(batch_of(step, settings.replay, len(self._places), settings.seed + 2))
            images = self._stage.show(people, self._places[places], device)
        set_norm(network, settings.norm, keep=False)
        prediction = predict_in(settings.precision, network, images)
        truth = self._truth.select(people).to(device)
        return supervision_loss(prediction, truth, body, SupervisionWeights()).mean()


def _update(
    losses: dict[str, Tensor], optimizers: dict[str, torch.optim.Adam], parameters: list[nn.Parameter], step: int
) -> None:
    """A step of each loss's own optimiser, whose gradients are taken before any of them moves the weights."""
    gradients = {}
    for number, (name, loss) in enumerate(losses.items()):
        if not torch.isfinite(loss):
            raise UserError(f"the {name} loss is {loss.item()} at step {step}; the last good state was kept")
        last = number + 1 == len(losses)
        gradients[name] = torch.autograd.grad(loss, parameters, retain_graph=not last, allow_unused=True)
    for name, grads in gradients.items():
        for parameter, grad in zip(parameters, grads, strict=True):
            parameter.grad = grad
        average_gradients(parameters)
        optimizers[name].step()


@torch.no_grad()
def _average(averaged: nn.Module, network: nn.Module, decay: float) -> None:
    for kept, new in zip(_values(averaged), _values(network), strict=True):
        if kept.is_floating_point():
            kept.lerp_(new, 1 - decay)
        else:
            kept.copy_(new)


def _values(network: nn.Module) -> Iterator[Tensor]:
    yield from network.parameters()
    yield from network.buffers()


def _fit_settings(settings: AdaptSettings) -> FitSettings:
    return replace(settings.fit, loss=settings.loss, topology_start=settings.loss.topology_weight)
