"""Algorithm 1 of Rakesh et al. (NeurIPS 2021): adapt a regressor to a camera from silhouettes alone.

Of every K steps, K - 1 train the network end to end on L_S and L_T of the silhouettes that it predicts, with one
optimiser for both losses or one for each. The last step fits bodies to the masks, starting from the network's
predictions, and trains the network on the fits: a fit can make progress where the end-to-end gradient is stuck.

Three losses that the paper does not have can be added: on labelled people of the source in the target's appearance
(`adaptation.adapting.replay`), on the predictions of the averaged network (`adaptation.adapting.teacher`), and on
bodies that were fitted to the target's crops over time (`adaptation.adapting.pseudo_labels`).
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from adaptation.adapting.abilities import check_able
from adaptation.adapting.best_fits import BestFits
from adaptation.adapting.judge import Judge, changing, check_finite, split_by_clip
from adaptation.adapting.pseudo_labels import PseudoLabels
from adaptation.adapting.replay import Replay
from adaptation.adapting.settings import AdaptSettings, Layers
from adaptation.adapting.teacher import teach
from adaptation.bodies.body import Body
from adaptation.bodies.parameters import Bodies
from adaptation.bodies.renderer import make_renderer
from adaptation.bodies.views import View
from adaptation.data.samples import Samples
from adaptation.fitting.settings import FitSettings
from adaptation.fitting.silhouette_fitter import SilhouetteFitter, point_set_data, silhouette_data
from adaptation.losses.keypoints import keypoint_loss, keypoints_of
from adaptation.losses.settings import LOSSES, SupervisionWeights
from adaptation.losses.silhouettes import SilhouetteTarget, silhouette_terms
from adaptation.losses.supervision import parameter_distance, supervision_loss
from adaptation.priors.named import pose_prior
from adaptation.regressors.base import Prediction, own_network, visible
from adaptation.regressors.low_rank import add_low_rank, has_low_rank, is_update
from adaptation.regressors.running import channels_last, predict_in, set_norm
from adaptation.support.errors import UserError
from adaptation.training.loop import Report, Schedule, check_share, load_optimizers, train
from adaptation.training.processes import batch_of, my_share, share_norms
from adaptation.training.runs import Run

# Steps over which the teacher's weight ramps up: at first the averaged network is still the source's, which is no
# better than the network that it teaches.
_TRUSTED = 100


def adapt(
    network: nn.Module,
    target: Samples,
    body: Body,
    settings: AdaptSettings,
    run: Run,
    *,
    source: Samples | None = None,
    labels: PseudoLabels | None = None,
    progress: Report | None = None,
) -> nn.Module:
    """Adapt a network, or resume a stopped run.

    Args:
        network: a `MeshNetwork`, changed in place.
        target: crops of the target with masks; its labels are used only if ``settings.supervised``.
        body: the body model that is rendered, already on the device of the computation.
        settings: settings of the adaptation.
        run: the run that keeps state and curves.
        source: labelled source crops for replay; None replays nothing.
        labels: bodies of the target's crops to learn from as well, such as fits over time.
        progress: callback that is given the number of steps done since the last call.

    Returns:
        The network with the best weights, in evaluation mode.

    Raises:
        UserError: the target has no masks, or lacks the keypoints or labels that the settings use; the labels belong
            to another body model; or a loss is not finite.
    """
    check_share(batch=settings.batch, replay=settings.replay)
    # Before the program freezes what does not train.
    trained = [(parameter, parameter.requires_grad) for parameter in network.parameters()]
    program = Adaptation(network, target, body, settings, source, labels)
    train(
        program, Schedule(settings.steps, settings.rate, settings.rise, check_every=settings.check_every), run, progress
    )
    network.load_state_dict(program.judge.best, strict=False)
    for parameter, before in trained:
        parameter.requires_grad_(before)
    return network.eval()


class Adaptation:
    """The state of an adaptation and the losses of its steps: a program of `adaptation.training.loop`.

    Arguments as for `adapt`.

    Attributes:
        network: the network that is trained.
        averaged: the network with the average of the weights of many steps. It is judged and kept, and it is the
            teacher.
        judge: measures progress on held-out crops.
        fits: the best fit so far of each image.
        optimizers: "all", or the paper's "silhouette" and "topology".
    """

    def __init__(
        self,
        network: nn.Module,
        target: Samples,
        body: Body,
        settings: AdaptSettings,
        source: Samples | None = None,
        labels: PseudoLabels | None = None,
    ) -> None:
        self.target, self.settings, self.pseudo_labels = target, settings, labels
        self.body, self.device = body, str(body.faces.device)
        self.training, held_out = split_by_clip(target, settings.hold_out, settings.seed)
        # Background subtraction may have found no person in any crop.
        if len(self.training) == 0:
            raise UserError("no crop of the target has a mask to learn from")
        check_able(network, target, settings, source=source is not None, labels=labels is not None, device=self.device)
        # Evaluation mode, because the source's batch norms stay unless `set_norm` switches them.
        self.network = share_norms(network.to(self.device).eval())
        channels_last(self.network)
        # Before the optimisers and the copy below, because it freezes what does not train.
        constants = constants_of(self.network)
        if settings.layers == "lora" and not has_low_rank(self.network):
            add_low_rank(own_network(self.network), settings.rank, settings.seed)
        parameters = choose_parameters(self.network, settings.layers, constants)
        self.keypoints = keypoints_of(target, body) if settings.keypoints else None
        self.labels = target.bodies(body) if settings.supervised else None
        self.replay = None
        # Replay measures the target's blur for staging, so it is set up only if it is used.
        if source is not None and settings.replay:
            self.replay = Replay(source, target, self.training, body, settings)
        data = point_set_data if settings.keypoints == "a2" else silhouette_data
        prior = pose_prior(settings.fit.prior, self.device)
        self.fitter = SilhouetteFitter(
            self.body, prior, make_renderer(), fit_settings(settings), data, visible(self.network)
        )
        self.fits = BestFits(len(target), self.fitter)
        names = ("all",) if settings.optimizers == "joint" else ("silhouette", "topology")
        self.optimizers: Mapping[str, torch.optim.Optimizer] = {
            name: torch.optim.Adam(parameters, settings.rate) for name in names
        }
        # Never trained itself, only averaged into; what is frozen is shared, since large networks exist once then.
        frozen = {id(each): each for each in self.network.parameters() if not each.requires_grad}
        self.averaged = copy.deepcopy(self.network, frozen)
        self.judge = Judge(self.network, target, held_out, settings.masks)

    def step(self, step: int) -> dict[str, Tensor]:
        """Compute the losses of a step, by the name of their optimiser."""
        losses = algorithm1_step(self, step)
        if self.settings.optimizers == "separate":
            return losses
        return {"all": sum(losses.values(), start=torch.zeros((), device=self.device))}

    def after(self, step: int) -> None:
        """Update the average of the weights."""
        self.network.eval()  # `set_norm` has put batch norms into training mode
        # At first the average spans only about a tenth of the steps, so that it soon forgets the source's weights.
        _average(self.averaged, self.network, min(self.settings.average, (step + 1) / (step + 10)))

    def check(self, step: int, run: Run | None) -> bool:
        """Judge the averaged network; return whether to continue, which ends after ``patience`` checks in vain."""
        agreement = self.judge.check(step, self.averaged, self.fitter, self.device)
        if run is not None:
            run.log(step, held_out_iou=agreement.iou, held_out_topology=agreement.topology)
        return self.judge.waited <= self.settings.patience

    def state(self) -> dict[str, Any]:
        """Return everything that later steps depend on."""
        return {
            "network": changing(self.network),
            "averaged": changing(self.averaged),
            **{name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "fits": self.fits.state_dict(),
            **self.judge.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Load such a state."""
        self.network.load_state_dict(state["network"], strict=False)
        self.averaged.load_state_dict(state["averaged"], strict=False)
        load_optimizers(self.optimizers, state)
        self.fits.load_state_dict(state["fits"])
        self.judge.restore(state)


def algorithm1_step(run: Adaptation, step: int) -> dict[str, Tensor]:
    """Compute the losses of one step of Algorithm 1 (Rakesh et al., NeurIPS 2021), by the name of their optimiser.

    Args:
        run: network, data and settings.
        step: step from 0. Every K-th step learns from fits, the others end to end.
    """
    settings, device = run.settings, run.device
    # 1. Draw a batch of target images; of several processes, each takes its share.
    # The batch depends only on seed and step, so that a resumed run draws the same.
    index = run.training[my_share(batch_of(step, settings.batch, len(run.training), settings.seed))]
    images, view = run.target.image_batch(index.numpy(), device), run.target.view_batch(index.numpy(), device)

    # 2. Predict the parameters Theta of a body for each: pose, shape and camera. Other networks predict a mesh.
    set_norm(run.network, settings.norm, keep=True)
    prediction = predict_in(settings.precision, run.network, images, view)

    # Not in the paper: replay, a teacher and pseudo-labels; and supervision by labels, the ceiling of what adaptation
    # can reach.
    extra = extra_loss(run, step, index, (images, view), prediction)
    if run.labels is not None:
        truth = run.labels.select(index).to(device)
        return {"silhouette": supervision_loss(prediction, truth, run.body, SupervisionWeights()).mean() + extra}

    # 3. Distance maps and skeleton of the target's masks: S2D (eq. 2) and D2T (eq. 3).
    target = run.fitter.target(run.target.mask_batch(index.numpy(), settings.masks, device))
    if settings.every == 0 or step % settings.every < settings.every - 1:
        # 4. K - 1 of K steps: L_S and L_T (eq. 5) of the predicted silhouettes, end to end through M2S, S2D and D2T.
        losses = end_to_end(run, index, prediction.shape, target)
    else:
        # 5. Every K-th step: fit bodies to the masks, starting from the prediction (ten iterations in the paper) ...
        # Detached: fits are targets, which no gradient runs through.
        fitted = run.fits.improve(index, target, check_finite(prediction.bodies).detach(), settings.fit_steps)
        # 6. ... and learn from the best fits so far: L_Theta.
        losses = {"silhouette": settings.fit_weight * distance_to_fits(run, prediction, fitted)}
    # 7. The loop descends each loss with the optimiser of its name: the paper has one for L_S and one for L_T.
    return {**losses, "silhouette": losses["silhouette"] + extra}


def extra_loss(run: Adaptation, step: int, index: Tensor, crops: tuple[Tensor, View], prediction: Prediction) -> Tensor:
    """Compute the losses that do not come from the target's masks, a scalar; 0 without them.

    They are those of replay, of the teacher, and of pseudo-labels of the crops ``index``.
    """
    settings = run.settings
    loss = torch.zeros((), device=run.device)
    if run.replay is not None:
        loss = run.replay.loss(run.network, step, run.device)
    if settings.teacher_weight:
        lesson = teach(run.averaged, *crops, settings.precision)
        weight = settings.teacher_weight * min(1.0, step / _TRUSTED)
        loss = loss + weight * lesson.loss(prediction, run.body).mean()
    if run.pseudo_labels is not None:
        known = run.pseudo_labels.select(index).to(run.device)
        away = supervision_loss(prediction, known.bodies, run.body, SupervisionWeights())
        loss = loss + settings.label_weight * (known.trust * away).mean()
    return loss


def end_to_end(run: Adaptation, index: Tensor, predicted: Prediction, target: SilhouetteTarget) -> dict[str, Tensor]:
    """Compute the end-to-end losses of B predictions: L_S with priors and keypoints, and L_T, by optimiser.

    Args:
        run: network, data and settings.
        index: (B,) indices of the target's crops.
        predicted: B predictions.
        target: their B masks.
    """
    settings, fitter, size = run.settings, run.fitter, target.mask.shape[-1]
    posed, loss = fitter.posed(check_finite(predicted), size), torch.zeros_like(target.area)
    if posed.known:  # vertices alone have neither a prior nor a shape; the masks still say all that they say
        loss = settings.prior_weight * fitter.prior.energy(posed.pose)
        loss = loss + settings.shape_weight * posed.bodies.betas.square().sum(1)
    if run.keypoints is not None:
        keypoints = run.keypoints[index].to(run.device)
        loss = loss + settings.keypoint_weight * keypoint_loss(posed.bodies, keypoints, run.body, size)
    if settings.keypoints in ("a1", "a2"):  # these compare no silhouettes end to end
        return {"silhouette": settings.silhouette_weight * loss.mean()}
    bones = posed.bones if settings.loss.bone_weight else None
    terms = silhouette_terms(posed.silhouette, target, settings.loss, bones)
    # Priors are within this weight: they balance the masks, not replay.
    losses = {"silhouette": settings.silhouette_weight * (terms.silhouette + loss).mean()}
    # A loss without skeletons has no topology loss: its optimiser then makes no step at all.
    if LOSSES[settings.loss.name].skeletons is not None:
        losses["topology"] = settings.silhouette_weight * terms.topology.mean()
    return losses


def distance_to_fits(run: Adaptation, prediction: Prediction, fitted: Bodies) -> Tensor:
    """Compute L_Theta, the mean distance of predictions from fits, a scalar."""
    if run.settings.fit_distance == "plain":
        return parameter_distance(prediction.bodies, fitted).mean()
    return supervision_loss(prediction, fitted, run.body, SupervisionWeights()).mean()


def fit_settings(settings: AdaptSettings) -> FitSettings:
    """Return the settings of the fits in the loop: the loss of the adaptation, with a constant skeleton weight."""
    # A fit in the loop starts near its end and has few steps, so the weight does not ramp up.
    return replace(settings.fit, loss=settings.loss, topology_start=settings.loss.topology_weight)


def constants_of(network: nn.Module) -> frozenset[str]:
    """Return the names of what a network came with frozen, such as a body model in it.

    There are none if all of it is frozen, as networks that were loaded for predictions are.
    """
    every = dict(network.named_parameters())
    frozen = frozenset(name for name, parameter in every.items() if not parameter.requires_grad)
    return frozenset() if all(name in frozen for name, each in every.items() if each.is_floating_point()) else frozen


def choose_parameters(
    network: nn.Module, layers: Layers, constants: Collection[str] = frozenset()
) -> list[nn.Parameter]:
    """Freeze all parameters but those of the chosen layers, and return these.

    Args:
        network: the network.
        layers: the layers that train.
        constants: names of parameters that never train.

    Raises:
        UserError: the network has no such layers.
    """
    every = {name: parameter for name, parameter in network.named_parameters() if parameter.is_floating_point()}
    chosen = set(every) - set(constants)
    if layers == "norm":
        norms = {name for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d | nn.LayerNorm)}
        chosen = {name for name in chosen if name.rpartition(".")[0] in norms}
    elif layers == "lora":
        chosen = {name for name in every if is_update(name)}
    elif layers == "head":
        # SPIN's names: fc1, fc2, decpose, decshape, deccam.
        chosen = {name for name in chosen if name.rpartition(".")[0].rpartition(".")[2].startswith(("fc", "dec"))}
    # Frozen, not merely left out of the optimiser: backward then skips their gradients.
    for name, parameter in every.items():
        parameter.requires_grad_(name in chosen)
    if not chosen:
        raise UserError(f"this network has no layers of the kind {layers!r}")
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


@torch.no_grad()
def _average(averaged: nn.Module, network: nn.Module, decay: float) -> None:
    for kept, new in zip(_values(averaged), _values(network), strict=True):
        if kept is new:  # frozen, and shared
            continue
        if kept.is_floating_point():  # batch norms also count their batches, in integers
            kept.lerp_(new, 1 - decay)
        else:
            kept.copy_(new)


def _values(network: nn.Module) -> Iterator[Tensor]:
    yield from network.parameters()
    yield from network.buffers()
