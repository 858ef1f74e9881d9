"""Judging the progress of an adaptation without labels: by silhouettes on held-out crops."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from adaptation.data.samples import MaskKind, Samples
from adaptation.evaluation.metrics import silhouette_iou
from adaptation.fitting.silhouette_fitter import SilhouetteFitter
from adaptation.losses.silhouettes import topology_agreement
from adaptation.regressors.running import predict_in
from adaptation.support.batches import Batch
from adaptation.support.errors import UserError

Known = TypeVar("Known", bound=Batch)


@dataclass(frozen=True)
class Agreement:
    """How well predictions match masks.

    Attributes:
        iou: mean intersection over union, in [0, 1].
        topology: mean L_T, pixels between skeletons.
    """

    iou: float
    topology: float


class Judge:
    """Keeps the weights whose predictions match held-out masks best.

    The first check, before any step, measures the source model, so that weights with a lower IoU are never kept.

    Args:
        network: the source model, whose weights are kept first.
        target: crops and masks of the target.
        held_out: (M,) indices of the crops to judge on.
        masks: the kind of mask to compare with.

    Attributes:
        best: the weights that are kept, without frozen ones.
        waited: checks since the last improvement.
        curve: step, iou and topology of all checks.
    """

    def __init__(self, network: nn.Module, target: Samples, held_out: Tensor, masks: MaskKind) -> None:
        self._target, self._held_out, self._masks = target, held_out, masks
        self._best_iou = -1.0  # below any IoU, so that the first check is always kept
        self.best: dict[str, Tensor] = copy.deepcopy(changing(network))
        self.waited = 0
        self.curve: dict[str, list[float]] = {"step": [], "iou": [], "topology": []}

    def check(self, step: int, network: nn.Module, fitter: SilhouetteFitter, device: str) -> Agreement:
        """Measure a network, and keep its weights if it is the best so far."""
        agreement = agree(network, self._target, self._held_out, fitter, self._masks, device)
        for name, value in {"step": step, **asdict(agreement)}.items():
            self.curve[name].append(value)
        if agreement.iou > self._best_iou:
            self._best_iou, self.best, self.waited = agreement.iou, copy.deepcopy(changing(network)), 0
        else:
            self.waited += 1
        return agreement

    def state(self) -> dict[str, Any]:
        """Return everything that later checks depend on."""
        return {"best_iou": self._best_iou, "best": self.best, "waited": self.waited, "curve": self.curve}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Load such a state."""
        self._best_iou, self.best = float(state["best_iou"]), state["best"]
        self.waited, self.curve = int(state["waited"]), state["curve"]


@torch.no_grad()
def agree(
    network: nn.Module, samples: Samples, index: Tensor, fitter: SilhouetteFitter, masks: MaskKind, device: str
) -> Agreement:
    """Compare predicted silhouettes with the masks of the crops of an index (M,)."""
    ious, topologies = [], []
    for part in index.split(64):
        images, view = samples.image_batch(part.numpy(), device), samples.view_batch(part.numpy(), device)
        bodies = check_finite(predict_in("float32", network, images, view).shape)
        target = fitter.target(samples.mask_batch(part.numpy(), masks, device))
        silhouette = fitter.posed(bodies, samples.size).silhouette
        ious.append(silhouette_iou(silhouette, target.mask))
        topologies.append(topology_agreement(silhouette, target))
    return Agreement(float(torch.cat(ious).mean()), float(torch.cat(topologies).mean()))


def changing(network: nn.Module) -> dict[str, Tensor]:
    """Return what a training changes of a network: its state dict without frozen parameters."""
    frozen = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    return {name: value for name, value in network.state_dict().items() if name not in frozen}


def check_finite(bodies: Known) -> Known:
    """Return the same bodies or prediction, after checking that they can be rendered.

    Raises:
        UserError: one of their numbers is infinite or nan.
    """
    if not bodies.finite():
        raise UserError("the network's predictions are not finite; the last saved state is unchanged")
    return bodies


def split_by_clip(samples: Samples, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Split a crop set by sequence into crops to learn from and held-out crops.

    Neighbouring frames are nearly equal, so a sequence is never split. With a single sequence, both parts hold all
    crops.

    Args:
        samples: N crops with masks.
        share: share of the sequences that are held out, in (0, 1).
        seed: seed of the choice.

    Returns:
        Indices of both parts; crops that have an empty mask are in neither.

    Raises:
        UserError: the set has no masks, or masks with values other than 0 and 1.
    """
    if samples.masks is None:
        raise UserError("the target has no masks (masks.npy)")
    usable = np.zeros(len(samples), bool)
    # One crop at a time: the masks are memory-mapped, and may be larger than memory.
    for i in range(len(samples)):
        masks = np.asarray(samples.masks[i])
        if masks.max() > 1:
            raise UserError(f"masks must hold 0 and 1, got {masks.max()} in crop {i}")
        usable[i] = masks.any(axis=(1, 2)).all()  # in all kinds of mask: the split depends on none
    clips = np.unique(samples.sequences)
    rng = np.random.default_rng(seed)
    # At least one sequence, however small the share; with a single one, none can be spared.
    aside = rng.permutation(clips)[: max(1, round(share * len(clips)))] if len(clips) > 1 else clips[:0]
    judged = np.isin(samples.sequences, aside)
    training, judging = (torch.from_numpy(np.flatnonzero(usable & part)) for part in (~judged, judged))
    return training, judging if len(judging) else training
