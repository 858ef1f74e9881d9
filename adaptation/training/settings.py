"""Settings of the training programs. Nothing here imports torch, so that ``--help`` is quick."""

from __future__ import annotations

from dataclasses import dataclass, field

from adaptation.losses.settings import SupervisionWeights
from adaptation.regressors.modes import Precision


@dataclass(frozen=True)
class PretrainSettings:
    """Settings of the training of a source regressor.

    Attributes:
        steps: Adam steps; the rate decays to zero along a cosine after a linear rise.
        batch: images per step, over all processes.
        rate: highest learning rate.
        rise: steps of the rise.
        largest_gradient: norm that gradients are clipped to; they explode where the camera's scale starts near zero.
        weights: weights of the losses.
        flip: share of images that are mirrored.
        zoom: largest relative change of an image's size.
        move: largest shift of an image, as a share of its side.
        channel_noise: largest relative change of a colour channel's gain, as in SPIN.
        precision: precision of convolutions and matrix products. bfloat16 takes about half the time on processors that
            support it.
        seed: seed of all random numbers.
        save_every: steps between two saves.
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
    """Settings of the training of the latent pose prior.

    Attributes:
        steps: Adam steps, with cosine decay of the rate to zero.
        batch: poses per step.
        rate: learning rate.
        hidden: units of the hidden layers.
        position_weight: weight of squared joint position errors, per metre squared, relative to squared rotation
            differences.
        spread_weight: weight of the distance from the batch's phi to uniform noise, `sliced_wasserstein`. The judge
            alone leaves gaps between the phi of usual poses: after 6,000 steps the Gaussian energy of random phi is
            664 without this term and 90 with it; that of held-out poses is 45.
        directions: number of directions that phi are projected on for that distance.
        latent_weight: weight of the encoder's loss against the judge of phi.
        pose_weight: weight of the decoder's loss against the judge of poses.
        seed: seed of all random numbers.
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
    """Settings of a universal adversarial perturbation.

    Attributes:
        strength: largest change of a pixel, in 255ths.
        steps: Adam steps.
        batch: images per step.
        rate: learning rate in 255ths; 0.1 in GD-UAP's code.
        seed: seed of all random numbers.
    """

    strength: float = 8.0
    steps: int = 400
    batch: int = 32
    rate: float = 0.1
    seed: int = 0
