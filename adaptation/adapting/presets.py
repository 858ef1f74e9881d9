"""Sizes and settings by name: tiny for tests, small for two CPU cores, paper for a GPU."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

from adaptation.adapting.settings import AdaptSettings
from adaptation.losses.settings import LossSettings
from adaptation.training.settings import PretrainSettings

PresetName = Literal["tiny", "small", "paper"]
PRESETS: tuple[PresetName, ...] = get_args(PresetName)
CROP_SIZE = 96
"""Side in pixels of the crops of the preset "small", whose network comes with the package."""


@dataclass(frozen=True)
class Preset:
    """The size of a network, and the settings of its training and adaptation.

    Attributes:
        size: side of the crops in pixels.
        blocks: residual blocks in each of the ResNet's four stages.
        width: channels of the ResNet's first stage.
        hidden: units of the head's layers.
        heatmaps: whether the network finds joints with heatmaps first.
        pretrain: settings of the training on the source domain.
        adapt: settings of an adaptation with replay of labelled source crops.
        adapt_alone: settings of an adaptation without them, where nothing keeps the network from forgetting.
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
        """The arguments of the network's constructor."""
        return {"blocks": self.blocks, "width": self.width, "hidden": self.hidden, "heatmaps": self.heatmaps}


_TINY = AdaptSettings(steps=4, batch=4, replay=4, fit_steps=2, check_every=2)
# No fits (every=0): on the targets of docs/evidence.md they do not help.
_SMALL = AdaptSettings(steps=600, rate=5e-4, replay=32, check_every=100, every=0)
# The paper's constants: rate, batch, K = 4 and ten steps per fit (the defaults), and an optimiser for each of L_S and
# L_T. The paper neither adapts batch norms nor changes the appearance of source crops.
_PAPER = AdaptSettings(
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

_PRESETS: dict[PresetName, Preset] = {
    # A network that learns nothing, but goes through every step of a run within seconds: for tests.
    "tiny": Preset(
        size=48,
        blocks=(1, 1, 1, 1),
        width=4,
        hidden=32,
        heatmaps=False,
        pretrain=PretrainSettings(steps=4, batch=8, save_every=2),
        adapt=_TINY,
        adapt_alone=_TINY,
    ),
    # Trains on two CPU cores. A network this small needs heatmaps to find limbs.
    "small": Preset(
        size=CROP_SIZE,
        blocks=(2, 2, 2, 2),
        width=24,
        hidden=256,
        heatmaps=True,
        pretrain=PretrainSettings(steps=8000, batch=64, rate=2e-3),
        adapt=_SMALL,
        # Nothing keeps the network from forgetting without replay, so it takes fewer and smaller steps.
        adapt_alone=replace(_SMALL, steps=300, rate=2e-4, replay=0),
    ),
    # A ResNet-50 with the head and the crop size of SPIN, for a GPU.
    "paper": Preset(
        size=224,
        blocks=(3, 4, 6, 3),
        width=64,
        hidden=1024,
        heatmaps=False,
        pretrain=PretrainSettings(steps=40000, batch=64, rate=5e-4),
        adapt=_PAPER,
        adapt_alone=_PAPER,
    ),
}


def preset(name: PresetName) -> Preset:
    """Return a preset by name."""
    return _PRESETS[name]
