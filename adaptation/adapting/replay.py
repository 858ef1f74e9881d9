"""Replay: labelled source crops in each batch, which keep the network from forgetting."""

from __future__ import annotations

from torch import Tensor, nn

from adaptation.adapting.settings import AdaptSettings
from adaptation.adapting.staging import Stage
from adaptation.bodies.body import Body
from adaptation.data.samples import Samples
from adaptation.losses.settings import SupervisionWeights
from adaptation.losses.supervision import supervision_loss
from adaptation.regressors.running import predict_in, set_norm
from adaptation.training.processes import batch_of, my_share


class Replay:
    """The replayed source crops of each step.

    Args:
        source: labelled source crops.
        target: target crops; with ``replay_look="target"`` source people are pasted into them (staging).
        places: (M,) indices of target crops that have masks and are not held out.
        body: the body model of the labels.
        settings: settings of the adaptation.

    Raises:
        UserError: the source has no labels or labels of another body model, or its crops and the target's differ in
            size.
    """

    def __init__(self, source: Samples, target: Samples, places: Tensor, body: Body, settings: AdaptSettings) -> None:
        self._source, self._truth, self._body = source, source.bodies(body), body
        self._places, self._settings = places, settings
        # Staging erases a target person, which needs a mask; source crops as they are need none.
        self._stage = Stage.of(source, target, settings.masks) if settings.replay_look == "target" else None

    def loss(self, network: nn.Module, step: int, device: str) -> Tensor:
        """Compute the supervised loss of a network on the source crops of a step, a scalar."""
        settings = self._settings
        # Seeds of their own, so that people, places and the target's batch are drawn independently.
        people = my_share(batch_of(step, settings.replay, len(self._source), settings.seed + 1))
        # Also of people in other scenes: their labels are what their own camera saw.
        view = self._source.view_batch(people.numpy(), device)
        if self._stage is None:
            images = self._source.image_batch(people.numpy(), device)
        else:
            places = my_share(batch_of(step, settings.replay, len(self._places), settings.seed + 2))
            images = self._stage.show(people, self._places[places], device)
        # Batch norms use this batch's statistics but do not keep them: the kept ones are those of the target alone.
        set_norm(network, settings.norm, keep=False)
        prediction = predict_in(settings.precision, network, images, view)
        truth = self._truth.select(people).to(device)
        return supervision_loss(prediction, truth, self._body, SupervisionWeights()).mean()
