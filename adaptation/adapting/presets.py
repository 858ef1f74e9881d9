"""Sizes that fit a machine: tiny for tests, small for two CPU cores, paper for a GPU."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

from adaptation.adapting.settings import AdaptSettings
from adaptation.losses.settings import LossSettings
from adaptation.training.settings import PretrainSettings

PresetName = Literal["tiny", "small", "paper"]
PRESETS: tuple[PresetName, ...] = get_args(PresetName)
CROP_SIZE = 96
"""Side of the crops of the preset "small", whose network ships, in pixels."""


@dataclass(frozen=True)
class Preset:
    """A network, and how it is trained and adapted.

    Attributes:
        size: side of the crops in pixels.
        blocks: of the ResNet.
        width: of the ResNet.
        hidden: units of the head.
        heatmaps: whether it looks for joints with heatmaps.
        pretrain: settings of the source training.
        adapt: settings of the adaptation beside labelled crops of the source.
        adapt_alone: without them. Nothing keeps the network from forgetting then.
    """

    size: int
    blocks: tuple[int, int, int, int]
    width: int
    hidden: int
    heatmaps: bool
    pretrain: PretrainSettings
    adapt: AdaptSettings
    adapt_alone: AdaptSettings

    @property
    def network(self) -> dict[str, object]:
        """What the network is built from."""
        return {"blocks": self.blocks, "width": self.width, "hidden": self.hidden, "heatmaps": self.heatmaps}


def preset(name: PresetName) -> Preset:
    """A preset by name."""
    if name == "tiny":
        adapt = AdaptSettings(steps=4, batch=4, replay=4, fit_steps=2, check_every=2)
        return Preset(
            size=48,
            blocks=(1, 1, 1, 1),
            width=4,
            hidden=32,
            heatmaps=False,
            pretrain=PretrainSettings(steps=4, batch=8, save_every=2),
            adapt=adapt,
            adapt_alone=adapt,
        )
    if name == "small":
        adapt = AdaptSettings(steps=600, rate=5e-4, replay=32, check_every=100, every=0)
        return Preset(
            size=CROP_SIZE,
            blocks=(2, 2, 2, 2),
            width=24,
            hidden=256,
            heatmaps=True,
            pretrain=PretrainSettings(steps=8000, batch=64, rate=2e-3),
            adapt=adapt,
            adapt_alone=replace(adapt, steps=300, rate=2e-4, replay=0),
        )
    adapt = AdaptSettings(
        loss=LossSettings(),
        steps=4000,
        batch=16,
        rate=1e-6,
        optimizers="separate",
        silhouette_weight=1.0,
        prior_weight=0.003,
        replay_look="source",
        norm="frozen",
    )
    return Preset(
        size=224,
        blocks=(3, 4, 6, 3),
        width=64,
        hidden=1024,
        heatmaps=False,
        pretrain=PretrainSettings(steps=40000, batch=64, rate=5e-4),
        adapt=adapt,
        adapt_alone=adapt,
    )
