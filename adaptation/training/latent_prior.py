"""Trains the pose prior on any set of poses, and says how good it is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import roma
import torch
import torch.nn.functional as F
from torch import Tensor

from adaptation.bodies.body import Body
from adaptation.bodies.rotations import angle_between
from adaptation.priors.gaussian import GaussianPosePrior
from adaptation.priors.latent import LATENT, Discriminators, LatentPosePrior, least_squares


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
class PriorFigures:
    """How good a prior is, on poses it was not trained on.

    Attributes:
        degrees: root mean square error of a joint's rotation after encoding and decoding.
        millimetres: mean error of joint positions, the pelvis held.
        random_energy: mean energy, under a Gaussian of the training poses, of poses decoded from uniform phi; the
            training poses themselves have ``data_energy``.
        between_energy: of poses decoded half way between two encoded ones.
        data_energy: of held-out poses.
    """

    degrees: float
    millimetres: float
    random_energy: float
    between_energy: float
    data_energy: float


def train_prior(
    poses: Tensor, settings: PriorSettings, *, progress: Callable[[int], None] | None = None
) -> LatentPosePrior:
    """Train on poses (N, 24, 3) axis-angle, joint 0 ignored."""
    torch.manual_seed(settings.seed)
    body = Body.free()
    prior, judges = LatentPosePrior(settings.hidden), Discriminators()
    rotations = roma.rotvec_to_rotmat(poses[:, 1:])
    optimizer = torch.optim.Adam(prior.parameters(), settings.rate)
    opponent = torch.optim.Adam(judges.parameters(), settings.rate)
    decay = [torch.optim.lr_scheduler.CosineAnnealingLR(o, settings.steps) for o in (optimizer, opponent)]
    for _ in range(settings.steps):
        real = rotations[torch.randint(len(rotations), (settings.batch,))]
        noise = 2 * torch.rand(settings.batch, LATENT) - 1

        phi = prior.encode(real)
        again, made = prior.decode(phi), prior.decode(noise)
        loss = (again - real).square().sum((-2, -1)).mean()
        loss = loss + settings.position_weight * _position_error(body, again, real).square().sum(-1).mean()
        spread = sliced_wasserstein(phi, noise, settings.directions)
        loss = loss + settings.spread_weight * spread
        loss = loss + settings.latent_weight * least_squares(judges.judge_latent(phi), 1.0)
        loss = loss + settings.pose_weight * least_squares(judges.judge_pose(made), 1.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

        judged = (
            least_squares(judges.judge_latent(noise), 1.0)
            + least_squares(judges.judge_latent(phi.detach()), 0.0)
            + least_squares(judges.judge_pose(real), 1.0)
            + least_squares(judges.judge_pose(made.detach()), 0.0)
        )
        opponent.zero_grad()
        judged.backward()
        opponent.step()
        for schedule in decay:
            schedule.step()
        if progress:
            progress(1)
    return prior.frozen()


def sliced_wasserstein(first: Tensor, second: Tensor, directions: int) -> Tensor:
    """Squared distance of two sets of points (N, D), as of heaps of sand that are moved along random directions.

    On a line the cheapest way to move one set onto another is in sorted order (Kolouri et al., "Sliced-Wasserstein
    auto-encoders", ICLR 2019). O(directions N (D + log N)).
    """
    along = F.normalize(torch.randn(first.shape[1], directions), dim=0)
    return ((first @ along).sort(0).values - (second @ along).sort(0).values).square().mean()


@torch.no_grad()
def measure_prior(prior: LatentPosePrior, training: Tensor, held_out: Tensor) -> PriorFigures:
    """Figures of a prior, from the poses it was trained on and others, (N, 24, 3) each."""
    body, gaussian = Body.free(), GaussianPosePrior.fit(training)
    real = roma.rotvec_to_rotmat(held_out[:, 1:])
    phi = prior.encode(real)
    again = prior.decode(phi)
    generator = torch.Generator().manual_seed(0)
    noise = 2 * torch.rand(len(real), LATENT, generator=generator) - 1

    def energy(rotations: Tensor) -> float:
        pose = roma.rotmat_to_rotvec(rotations)
        return float(gaussian.energy(torch.cat([pose[:, :1], pose], dim=1)).mean())

    return PriorFigures(
        degrees=math.degrees(float(angle_between(again, real).square().mean().sqrt())),
        millimetres=1000 * float(_position_error(body, again, real).norm(dim=-1).mean()),
        random_energy=energy(prior.decode(noise)),
        between_energy=energy(prior.decode((phi + phi.roll(1, 0)) / 2)),
        data_energy=energy(real),
    )


def _position_error(body: Body, first: Tensor, second: Tensor) -> Tensor:
    """Differences (B, 24, 3) in metres between the joints of two sets of rotations (B, 23, 3, 3)."""
    root = torch.eye(3).expand(len(first), 1, 3, 3)
    betas = torch.zeros(len(first), 10)
    return body.joints(torch.cat([root, first], 1), betas) - body.joints(torch.cat([root, second], 1), betas)
