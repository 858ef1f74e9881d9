"""Settings of the training programs. Nothing here imports torch, so that ``--help`` is quick."""

from __future__ import annotations

from dataclasses import dataclass, field

from adaptation.losses.settings import SupervisionWeights
from adaptation.regressors.modes import Precision


@dataclass(frozen=True)
class PretrainSettings:
    """How a source regressor is trained.

    Attributes:
        steps: of Adam, with cosine decay to zero after a linear rise.
        batch: images per step, over all processes.
        rate: learning rate at its highest.
        rise: steps of the rise.
        largest_gradient: norm that gradients are cut to; the camera's scale may start near zero, where they explode.
        weights: of the losses.
        flip: share of images that are mirrored.
        zoom: images are enlarged or shrunk by up to this,
        move: and moved by up to this share of their side.
        channel_noise: colour channels are multiplied by 1 +- this, as in SPIN.
        precision: of convolutions and matrix products. bfloat16 takes about half the time on processors that have it.
        seed: of everything random.
        save_every: steps between saves.
    """

    steps: int = 4000
    batch: int = 64
    rate: float = 5e-4
    rise: int = 100
    largest_gradient: float = 1.0
    weights: SupervisionWeights = field(default_factory=SupervisionWeights)
    flip: float = 0.5
    zoom: float = 0.15
    move: float = 0.06
    channel_noise: float = 0.2
    precision: Precision = "float32"
    seed: int = 0
    save_every: int = 200


@dataclass(frozen=True)
class PriorSettings:
    """How the prior is trained.

    Attributes:
        steps: of Adam, with cosine decay to zero.
        batch: poses per step.
        rate: learning rate.
        hidden: units of the hidden layers.
        position_weight: of joint positions, per metre squared, beside squared rotation differences.
        spread_weight: of the distance from the batch's phi to uniform noise, `sliced_wasserstein`. The judge alone
            leaves gaps between the phi of usual poses: after 6,000 steps the Gaussian energy of random phi is 664
            without this term and 90 with it, that of held-out poses 45.
        directions: on which phi are projected for it.
        latent_weight: of the encoder's part in fooling the judge of phi.
        pose_weight: of the decoder's part in fooling the judge of poses.
        seed: of everything random.
    """

    steps: int = 12000
    batch: int = 512
    rate: float = 1e-3
    hidden: int = 384
    position_weight: float = 100.0
    spread_weight: float = 20.0
    directions: int = 64
    latent_weight: float = 0.02
    pose_weight: float = 0.01
    seed: int = 0


@dataclass(frozen=True)
class UapSettings:
    """How it is crafted.

    Attributes:
        strength: largest change of a pixel, in 255ths.
        steps: of Adam.
        batch: images per step.
        rate: learning rate in 255ths, 0.1 in GD-UAP's code.
        seed: of everything random.
    """

    strength: float = 8.0
    steps: int = 400
    batch: int = 32
    rate: float = 0.1
    seed: int = 0
