"""What the averaged network says about crops, for the network that trains to learn from.

A mean teacher (Tarvainen and Valpola, NeurIPS 2017): the average of the weights of many steps errs less than the
weights of one, and the mean of two looks less than one. Masks do not say how deep a limb lies or which way somebody
faces; this keeps the network's better opinion of it.

A network that is far off teaches itself its errors. How far off it is shows without labels: it then sees other bodies
in mirror images than in the crops. `looks_apart` measures that before anything is learnt, once batch norms follow the
target; docs/evidence.md has what it says of several targets, and what a teacher changes there.
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
"""Millimetres that a network's two looks may be apart for it to teach."""
_MEASURED, _BATCH = 256, 64  # crops


@dataclass(frozen=True)
class Lesson:
    """What a teacher says about B crops.

    Attributes:
        bodies: means over a crop and its mirror image.
        agrees: (B,) 1 where the two face one way, 0 where nothing is to be learnt.
    """

    bodies: Bodies
    agrees: Tensor

    def loss(self, prediction: Prediction, body: Body) -> Tensor:
        """Of a prediction for the same crops, per image (B,)."""
        return self.agrees * supervision_loss(prediction, self.bodies, body, SupervisionWeights())


@torch.no_grad()
def teach(network: nn.Module, images: Tensor, precision: Precision) -> Lesson:
    """Ask a teacher.

    Args:
        network: a `MeshNetwork` in evaluation mode.
        images: (B, 3, S, S) in [0, 1].
        precision: of its convolutions and matrix products.
    """
    views = Views.of(network, images, precision)
    return Lesson(views.mean(), views.agree().float())


@torch.no_grad()
def looks_apart(network: nn.Module, samples: Samples, body: Body, device: str = "cpu") -> float:
    """How differently a network sees crops and their mirror images once its batch norms follow them.

    Args:
        network: a `MeshNetwork`; it stays as it is.
        samples: N crops, of which up to 256 are looked at.
        body: whose joints are compared.
        device: where to compute.

    Returns:
        The median over crops of the millimetres between joints after a similarity; infinite if what it sees is not
        finite.
    """
    follows = copy.deepcopy(network).to(device).eval()
    set_norm(follows, "target", keep=False)
    body = body.to(device)
    index = np.random.default_rng(0).permutation(len(samples))[:_MEASURED]
    parts = np.array_split(index, math.ceil(len(index) / _BATCH))
    apart = []
    for part in parts:
        views = Views.of(follows, samples.image_batch(part, device))
        if not views.finite():
            return math.inf
        joints = [body.joints(view.rotations, view.betas) for view in (views.plain, views.mirrored)]
        apart.append(pa_mpjpe(*joints))
    return float(torch.cat(apart).median())


def taught(settings: AdaptSettings) -> AdaptSettings:
    """Return the same settings with a mean teacher.

    Both weights were chosen together, on crops of `style` that no table shows.
    """
    return replace(settings, teacher_weight=2.0, loss=replace(settings.loss, pull_weight=1.5))


def taught_if_near(settings: AdaptSettings, apart: float) -> AdaptSettings:
    """Return the same settings, with a mean teacher if a network's two views are few enough millimetres apart."""
    return taught(settings) if apart <= TEACHES_WITHIN else settings


def choose_teacher(
    settings: AdaptSettings, network: nn.Module, target: Samples, body: Body, device: str = "cpu"
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
