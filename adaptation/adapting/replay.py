"""Labelled source crops that a network learns from along with the target's: they keep it from forgetting."""

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
    """Source crops by step.

    Args:
        source: labelled.
        target: whose appearance they may be shown in.
        places: (M,) indices of target crops that have masks and are not held out.
        body: the body model of the labels.
        settings: of the adaptation.

    Raises:
        UserError: the source has no labels or those of another body, or its crops have another size than the target's.
    """

    def __init__(self, source: Samples, target: Samples, places: Tensor, body: Body, settings: AdaptSettings) -> None:
        self._source, self._truth, self._body = source, source.bodies(body), body
        self._places, self._settings = places, settings
        self._stage = Stage.of(source, target, settings.masks) if settings.replay_look == "target" else None

    def loss(self, network: nn.Module, step: int, device: str) -> Tensor:
        """The supervised loss of a network on a step's source crops, a scalar."""
        settings = self._settings
        people = my_share(batch_of(step, settings.replay, len(self._source), settings.seed + 1))
        if self._stage is None:
            images = self._source.image_batch(people.numpy(), device)
        else:
            places = my_share(batch_of(step, settings.replay, len(self._places), settings.seed + 2))
            images = self._stage.show(people, self._places[places], device)
        # The statistics that are kept for later are those of the target's batches alone.
        set_norm(network, settings.norm, keep=False)
        prediction = predict_in(settings.precision, network, images)
        truth = self._truth.select(people).to(device)
        return supervision_loss(prediction, truth, self._body, SupervisionWeights()).mean()
