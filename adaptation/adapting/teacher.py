"""The mean teacher: the averaged network's predictions, which the network in training learns from.

In a mean teacher (Tarvainen and Valpola, NeurIPS 2017), the averaged weights of many steps have a lower error than the
weights of one step, and the mean of the predictions for a crop and its mirror image has a lower error than one of them.
Masks do not determine the depth of a limb or the direction that a person faces; the teacher preserves what the network
knows about both.

A network with large errors would teach itself these errors. Whether a network is that poor can be measured without
labels: its predictions for crops and for their mirror images then disagree. `looks_apart` measures this before
training, with batch norms that follow the target; docs/evidence.md has its values on several targets, and the effect of
a teacher there.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from adaptation.adapting.settings import AdaptSettings
from adaptation.bodies.body import Body
from adaptation.bodies.parameters import Bodies
from adaptation.bodies.views import View
from adaptation.data.samples import Samples
from adaptation.evaluation.metrics import pa_mpjpe
from adaptation.losses.settings import SupervisionWeights
from adaptation.losses.supervision import supervision_loss
from adaptation.regressors.base import Prediction
from adaptation.regressors.mirrored import Views
from adaptation.regressors.modes import Precision
from adaptation.regressors.running import set_norm
from adaptation.training.processes import gather

Teaching = Literal["auto", "yes", "no"]
TEACHINGS: tuple[Teaching, ...] = get_args(Teaching)
TEACHES_WITHIN = 45.0
"""Largest distance between a network's two views, in millimetres, at which it becomes its own teacher."""
_MEASURED, _BATCH = 256, 64  # crops


@dataclass(frozen=True)
class Lesson:
    """A teacher's predictions for B crops.

    Attributes:
        bodies: means of the predictions for each crop and its mirror image.
        agrees: (B,) 1 where the two predictions face the same way; 0 where they do not and the crop is ignored.
    """

    bodies: Bodies
    agrees: Tensor

    def loss(self, prediction: Prediction, body: Body) -> Tensor:
        """Compute the loss of B predictions for the same crops, (B,)."""
        return self.agrees * supervision_loss(prediction, self.bodies, body, SupervisionWeights())


@torch.no_grad()
def teach(network: nn.Module, images: Tensor, view: View, precision: Precision) -> Lesson:
    """Run a teacher on crops.

    Args:
        network: a `MeshNetwork` in evaluation mode.
        images: (B, 3, S, S) RGB in [0, 1].
        view: the crops in their frames.
        precision: precision of its convolutions and matrix products.
    """
    views = Views.of(network, images, view, precision)
    return Lesson(views.mean(), views.agree().float())


@torch.no_grad()
def looks_apart(network: nn.Module, samples: Samples, body: Body, device: str = "cpu") -> float:
    """Measure how far a network's predictions for crops and for their mirror images are apart.

    Args:
        network: a `MeshNetwork`; it is not changed. A copy is run with batch norms that follow the crops.
        samples: N crops, of which up to 256 are used.
        body: the body model whose joints are compared.
        device: device to compute on.

    Returns:
        The median over crops of the mean distance between joints after similarity alignment, millimetres; infinite if
        a prediction is not finite.
    """
    follows = copy.deepcopy(network).to(device).eval()
    set_norm(follows, "target", keep=False)
    body = body.to(device)
    # A fixed seed: the same crops decide whenever a run is resumed.
    index = np.random.default_rng(0).permutation(len(samples))[:_MEASURED]
    parts = np.array_split(index, math.ceil(len(index) / _BATCH))
    distances = []
    for part in parts:
        # In float32, so that the decision does not depend on the precision of the training.
        views = Views.of(follows, samples.image_batch(part, device), samples.view_batch(part, device))
        if not views.finite():
            # No network that fails on a crop may teach.
            return math.inf
        joints = [body.joints(view.rotations, view.betas) for view in (views.plain, views.mirrored)]
        distances.append(pa_mpjpe(*joints))
    # The median: a few crops that fail do not decide.
    return float(torch.cat(distances).median())


def taught(settings: AdaptSettings) -> AdaptSettings:
    """Return the same settings with a mean teacher.

    Both weights were chosen together, on crops of `style` that are in no table of docs/evidence.md.
    """
    return replace(settings, teacher_weight=2.0, loss=replace(settings.loss, pull_weight=1.5))


def taught_if_near(settings: AdaptSettings, apart: float) -> AdaptSettings:
    """Return the same settings, with a mean teacher if a network's two views are at most `TEACHES_WITHIN` mm apart."""
    return taught(settings) if apart <= TEACHES_WITHIN else settings


def choose_teacher(
    settings: AdaptSettings, network: nn.Module, target: Samples, body: Body, device: str = "cpu"
) -> tuple[AdaptSettings, float | None]:
    """Add a teacher to the settings if the network is good enough to be one; a poor network's teacher does harm.

    Returns:
        The settings, and the distance between the network's two views that decided, millimetres. The distance is None
        if the settings admit no teacher: it was measured only with replay, with batch norms that follow the target,
        and without labels or keypoints of the target.
    """
    if not settings.replay or settings.norm != "target" or settings.supervised or settings.keypoints:
        return settings, None
    # Processes may differ in the last bits; the mean lets all of them decide alike.
    apart = float(gather(torch.tensor([looks_apart(network, target, body, device)], device=device)).mean())
    return taught_if_near(settings, apart), apart
