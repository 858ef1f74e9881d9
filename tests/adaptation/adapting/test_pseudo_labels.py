from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from networks import saved_weights, tiny_network

from adaptation.adapting.pseudo_labels import PseudoLabels
from adaptation.adapting.settings import AdaptSettings
from adaptation.bodies.body import Body
from adaptation.data.samples import Samples
from adaptation.losses.settings import SupervisionWeights
from adaptation.losses.supervision import supervision_loss

SETTINGS = AdaptSettings(steps=30, batch=8, every=0, replay=0, check_every=15, patience=99, rate=3e-3, hold_out=0.0)


def labels(target: Samples, body: Body, trust: float) -> PseudoLabels:
    return PseudoLabels(target.bodies(body), torch.full((len(target),), trust))


def test_a_network_learns_the_bodies(target: Samples, body: Body, adapt) -> None:
    known = labels(target, body, 1.0)
    images = target.image_batch(torch.arange(len(target)).numpy())

    @torch.no_grad()
    def away(network: torch.nn.Module) -> float:
        return float(supervision_loss(network(images), known.bodies, body, SupervisionWeights()).mean())

    alone = away(adapt(tiny_network(), target, SETTINGS, "alone"))
    taught = away(adapt(tiny_network(), target, SETTINGS, "taught", labels=known))
    assert taught < 0.7 * alone


def test_bodies_without_trust_teach_nothing(target: Samples, body: Body, adapt, tmp_path: Path) -> None:
    settings = replace(SETTINGS, steps=4, check_every=4)
    for name, options in (("without", {}), ("untrusted", {"labels": labels(target, body, 0.0)})):
        adapt(tiny_network(), target, settings, name, **options)
    assert torch.equal(saved_weights(tmp_path / "without"), saved_weights(tmp_path / "untrusted"))
