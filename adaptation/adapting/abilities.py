"""What a network can learn from: checked on one crop, before anything is trained or written."""

from __future__ import annotations

import torch
from torch import nn

from adaptation.adapting.settings import AdaptSettings
from adaptation.data.samples import Samples
from adaptation.regressors.base import Prediction, crop_rule, visible
from adaptation.regressors.running import predict_in
from adaptation.support.errors import UserError


@torch.no_grad()
def try_network(network: nn.Module, samples: Samples, device: str = "cpu") -> Prediction:
    """Return a network's prediction for the first crop of a set, in evaluation mode.

    Raises:
        UserError: its crops have another size, or it returns what cannot be used; the message says what was expected.
    """
    rule = crop_rule(network)
    if rule is not None and samples.size != rule.size:
        raise UserError(
            f"the crops have {samples.size} pixels, and this network's have {rule.size}; make them with --size"
        )
    index = torch.arange(1).numpy()
    crops = samples.image_batch(index, device), samples.view_batch(index, device)
    return predict_in("float32", network.to(device).eval(), *crops)


def check_able(
    network: nn.Module, samples: Samples, settings: AdaptSettings, *, source: bool, labels: bool, device: str = "cpu"
) -> None:
    """Check that a network predicts what settings need.

    Silhouettes need vertices alone. All else needs rotations and shape of a body model.

    Args:
        network: a `MeshNetwork`.
        samples: crops of the target.
        settings: settings of the adaptation.
        source: whether labelled source crops are replayed.
        labels: whether pseudo-labels are learnt from.
        device: device to compute on.

    Raises:
        UserError: it does not, or its output cannot be used at all.
    """
    predicted = try_network(network, samples, device)
    if settings.keypoints == "a2" and visible(network) is not None:
        raise UserError(
            "--loss a2 compares whole bodies with masks, and this network sees a part of its crops; use ours"
        )
    if predicted.parameters is not None:
        return
    for asked, option, remedy in (
        (settings.supervised, "--loss labels", "use ours"),
        (settings.keypoints is not None, f"--loss {settings.keypoints}", "use ours"),
        (source and settings.replay > 0, "--source", "leave it out"),
        (labels, "--fits", "leave it out"),
        (settings.teacher_weight > 0, "--teacher yes", "leave it out"),
        (settings.every > 0, "fits in the loop", "give --fits-every 0"),
        (settings.loss.bone_weight > 0, "the weight of bones", "set it to 0"),
    ):
        if asked:
            raise UserError(
                f"this network predicts vertices without rotations and shape of SMPL's body model, which {option} "
                f"needs; {remedy}"
            )
