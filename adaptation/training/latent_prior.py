"""Training the latent pose prior on a set of poses, and measuring its quality."""

from __future__ import annotations

import math
from dataclasses import dataclass

import roma
import torch
import torch.nn.functional as F
from torch import Tensor

from adaptation.bodies.body import Body
from adaptation.bodies.rotations import angle_between
from adaptation.priors.gaussian import GaussianPosePrior
from adaptation.priors.latent import LATENT, Discriminators, LatentPosePrior, least_squares
from adaptation.training.loop import PlainProgram, Report, Schedule, train
from adaptation.training.settings import PriorSettings


@dataclass(frozen=True)
class PriorFigures:
    """Quality of a prior on poses that it was not trained on.

    Energies are means under a Gaussian that is fitted to the training poses.

    Attributes:
        degrees: root mean square error of a joint's rotation after encoding and decoding, degrees.
        millimetres: mean error of joint positions after encoding and decoding, with the pelvis fixed.
        random_energy: energy of poses decoded from uniform phi, to be compared with ``data_energy``.
        between_energy: energy of poses decoded halfway between two encoded poses.
        data_energy: energy of the held-out poses.
    """

    degrees: float
    millimetres: float
    random_energy: float
    between_energy: float
    data_energy: float


def train_prior(
    poses: Tensor, settings: PriorSettings, body: Body, *, progress: Report | None = None
) -> LatentPosePrior:
    """Train a prior.

    Args:
        poses: (N, J, 3) axis-angle, radians; joint 0 is ignored.
        settings: settings of the training.
        body: body model that gives the positions of the joints.
        progress: callback that is given the number of steps done since the last call.
    """
    # Initial weights and samples both come from torch's global generator.
    torch.manual_seed(settings.seed)
    program = _PriorTraining(roma.rotvec_to_rotmat(poses[:, 1:]), settings, body)
    train(program, Schedule(settings.steps, settings.rate), progress=progress)
    return program.network.frozen()


class _PriorTraining(PlainProgram):
    """One step of the auto-encoder and one of its discriminators ("judges"), on the same samples."""

    network: LatentPosePrior

    def __init__(self, rotations: Tensor, settings: PriorSettings, body: Body) -> None:
        self._rotations, self._settings, self._body = rotations, settings, body
        self.network, self._judges = LatentPosePrior(settings.hidden), Discriminators()
        self.optimizers = {
            "prior": torch.optim.Adam(self.network.parameters(), settings.rate),
            "judges": torch.optim.Adam(self._judges.parameters(), settings.rate),
        }

    def step(self, step: int) -> dict[str, Tensor]:
        settings, prior, judges = self._settings, self.network, self._judges
        real = self._rotations[torch.randint(len(self._rotations), (settings.batch,))]
        # Uniform on the cube: the distribution that phi are to have.
        noise = 2 * torch.rand(settings.batch, LATENT) - 1
        phi = prior.encode(real)
        again, made = prior.decode(phi), prior.decode(noise)
        # Reconstruction, in rotations and in the joint positions that they add up to along the limbs.
        loss = (again - real).square().sum((-2, -1)).mean()
        loss = loss + settings.position_weight * _position_error(self._body, again, real).square().sum(-1).mean()
        # Phi like uniform noise, and decoded noise like poses.
        loss = loss + settings.spread_weight * sliced_wasserstein(phi, noise, settings.directions)
        loss = loss + settings.latent_weight * least_squares(judges.judge_latent(phi), 1.0)
        loss = loss + settings.pose_weight * least_squares(judges.judge_pose(made), 1.0)
        # Least-squares GAN: the judges learn 1 for real and 0 for made samples. What the auto-encoder made is detached,
        # so that the judges' loss does not reach it.
        judged = (
            least_squares(judges.judge_latent(noise), 1.0)
            + least_squares(judges.judge_latent(phi.detach()), 0.0)
            + least_squares(judges.judge_pose(real), 1.0)
            + least_squares(judges.judge_pose(made.detach()), 0.0)
        )
        return {"prior": loss, "judges": judged}


def sliced_wasserstein(first: Tensor, second: Tensor, directions: int) -> Tensor:
    """Compute the squared sliced Wasserstein distance of two sets of points (N, D), over random directions.

    Projected onto a line, the cheapest way to move one set onto another is in sorted order (Kolouri et al.,
    "Sliced-Wasserstein auto-encoders", ICLR 2019). Time is O(directions N (D + log N)).
    """
    along = F.normalize(torch.randn(first.shape[1], directions), dim=0)
    return ((first @ along).sort(0).values - (second @ along).sort(0).values).square().mean()


@torch.no_grad()
def measure_prior(prior: LatentPosePrior, training: Tensor, held_out: Tensor, body: Body) -> PriorFigures:
    """Measure a prior.

    Args:
        prior: the prior.
        training: (N, J, 3) axis-angle poses that it was trained on, radians.
        held_out: (M, J, 3) axis-angle poses that it was not trained on.
        body: body model that gives the positions of the joints.
    """
    # Independent of the prior, whose own energy would favour what it decodes.
    gaussian = GaussianPosePrior.fit(training)
    real = roma.rotvec_to_rotmat(held_out[:, 1:])
    phi = prior.encode(real)
    again = prior.decode(phi)
    generator = torch.Generator().manual_seed(0)  # figures of two priors compare on the same noise
    noise = 2 * torch.rand(len(real), LATENT, generator=generator) - 1

    def energy(rotations: Tensor) -> float:
        pose = roma.rotmat_to_rotvec(rotations)
        # The Gaussian ignores the root, so any rotation can fill its place.
        return float(gaussian.energy(torch.cat([pose[:, :1], pose], dim=1)).mean())

    return PriorFigures(
        degrees=math.degrees(float(angle_between(again, real).square().mean().sqrt())),
        millimetres=1000 * float(_position_error(body, again, real).norm(dim=-1).mean()),
        random_energy=energy(prior.decode(noise)),
        # Each phi with its neighbour's: pairs of different poses.
        between_energy=energy(prior.decode((phi + phi.roll(1, 0)) / 2)),
        data_energy=energy(real),
    )


def _position_error(body: Body, first: Tensor, second: Tensor) -> Tensor:
    """Differences (B, J, 3) in metres between the joints that two sets of rotations (B, J - 1, 3, 3) give."""
    root = torch.eye(3).expand(len(first), 1, 3, 3)
    betas = body.mean_shape(len(first))
    # Both have the same root, so differences are errors with the pelvis fixed.
    return body.joints(torch.cat([root, first], 1), betas) - body.joints(torch.cat([root, second], 1), betas)
