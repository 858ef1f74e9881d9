"""The pose prior of Kundu et al. (NeurIPS 2021): the decoder of an adversarial auto-encoder, frozen.

phi in [-1, 1]^32 stands for the rotations of joints 1 to 23. The encoder ends in tanh; a discriminator
makes what it gives spread like uniform noise over the cube (Makhzani et al., "Adversarial
autoencoders", 2015), a second one makes what the decoder gives for such noise look like poses. So any
phi is a plausible pose, and every usual pose has a phi.

As an energy, which fits descend, it is that of phi and of what phi cannot say: phi = erf(u / sqrt 2) makes
uniform phi of standard normal u, so that |u|^2 is to u what the squared Mahalanobis distance is to a
Gaussian; the rests are the rotations between a pose and the decoded one. Fits that change u in place of
the pose end worse, with the rests or without: from the same starts more of them stay in wrong poses.
"""

from __future__ import annotations

import json
import math
from importlib import resources
from pathlib import Path

import roma
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from adaptation.bodies.joint_sets import SMPL
from adaptation.bodies.rotations import matrix_to_rot6d, rot6d_to_matrix, rotvec_to_matrix
from adaptation.support.errors import UserError
from adaptation.support.files import whole_file

LATENT = 32
"""Numbers of phi."""
_JOINTS = len(SMPL) - 1  # all but the root
_NUMBERS = 6 * _JOINTS
_FORMAT = "topo-adapt pose prior 1"
# What is left of a joint's rotation in usual poses after encoding and decoding, root mean square.
_DEVIATION = math.radians(8)
# Of |phi|, whose u would be infinite at 1: 3.5 standard deviations.
_EDGE = 0.9995


class LatentPosePrior(nn.Module):
    """Encoder and decoder between rotations (B, 23, 3, 3) of joints 1 to 23 and phi (B, 32).

    Args:
        hidden: units of the two hidden layers on each side.
    """

    mean: Tensor

    def __init__(self, hidden: int = 384) -> None:
        super().__init__()
        self.hidden = hidden
        self.encoder = _layers(_NUMBERS, hidden, LATENT)
        self.decoder = _layers(LATENT, hidden, _NUMBERS)
        # What is linear in phi need not be learnt by the hidden layers.
        self.linear = nn.Linear(LATENT, _NUMBERS)
        nn.init.zeros_(self.linear.bias)
        self.register_buffer("mean", matrix_to_rot6d(torch.eye(3)).repeat(_JOINTS))

    def encode(self, rotations: Tensor) -> Tensor:
        """Phi (B, 32) of rotations (B, 23, 3, 3)."""
        return torch.tanh(self.encoder(matrix_to_rot6d(rotations).flatten(1) - self.mean))

    def decode(self, phi: Tensor) -> Tensor:
        """Rotations (B, 23, 3, 3) of phi (B, 32)."""
        numbers = self.mean + self.linear(phi) + self.decoder(phi)
        return rot6d_to_matrix(numbers.view(-1, _JOINTS, 6))

    def forward(self, phi: Tensor) -> Tensor:
        """The same as `decode`."""
        return self.decode(phi)

    def energy(self, pose: Tensor) -> Tensor:
        """(|u|^2 + |rests|^2 / (8 degrees)^2) / 2, about 27 for usual poses.

        Half the squares, a negative log-likelihood, so that weights that suit `GaussianPosePrior` suit this one.

        Args:
            pose: (B, 24, 3) axis-angle; joint 0 is ignored.

        Returns:
            (B,).
        """
        rotations = rotvec_to_matrix(pose[:, 1:])
        phi = self.encode(rotations).clamp(-_EDGE, _EDGE)
        u = math.sqrt(2) * torch.erfinv(phi)
        rests = roma.rotmat_to_rotvec(self.decode(phi).mT @ rotations)
        return (u.square().sum(1) + rests.square().sum((1, 2)) / _DEVIATION**2) / 2

    def frozen(self) -> LatentPosePrior:
        """This prior, without gradients to its weights."""
        return self.requires_grad_(False).eval()

    def save(self, path: Path, notes: dict[str, str] | None = None) -> None:
        """Write weights, as float16, and notes as safetensors."""
        meta = {"format": _FORMAT, "hidden": str(self.hidden), "notes": json.dumps(notes or {})}
        weights = {name: value.half().cpu() for name, value in self.state_dict().items()}
        with whole_file(path) as file:
            file.write(save(weights, meta))

    @classmethod
    def default(cls) -> LatentPosePrior:
        """The one that ships, frozen: of sampled poses of all kinds."""
        with resources.as_file(resources.files("adaptation") / "assets" / "pose_prior.safetensors") as path:
            return cls.load(path)

    @classmethod
    def named(cls, name: str) -> LatentPosePrior:
        """The one that ships, "latent", or that of a file.

        Raises:
            UserError: no such file, or not a pose prior.
        """
        if name == "latent":
            return cls.default()
        if not Path(name).exists():
            raise UserError(
                f"no pose prior {name!r}: it is neither a name that is known nor a file of `topo-adapt prior`"
            )
        return cls.load(Path(name))

    @classmethod
    def load(cls, path: Path) -> LatentPosePrior:
        """Read such a file, frozen.

        Raises:
            UserError: missing, or not a pose prior.
        """
        try:
            with safe_open(path, "pt") as file:
                meta = file.metadata() or {}
                if meta.get("format") != _FORMAT:
                    raise UserError(f"{path} is not a pose prior of topo-adapt")
                prior = cls(int(meta["hidden"]))
                prior.load_state_dict({name: file.get_tensor(name) for name in file.keys()})
        except FileNotFoundError:
            raise UserError(f"no such file: {path}") from None
        except (SafetensorError, OSError, RuntimeError, ValueError, KeyError) as error:
            raise UserError(f"{path} is not a pose prior of topo-adapt: {error}") from None
        return prior.frozen()


class Discriminators(nn.Module):
    """Judges of the training: one of phi, one of poses given as six numbers per joint."""

    def __init__(self, hidden: int = 256) -> None:
        super().__init__()
        self.latent = _layers(LATENT, hidden, 1)
        self.pose = _layers(_NUMBERS, hidden, 1)

    def judge_pose(self, rotations: Tensor) -> Tensor:
        """Scores (B,) of rotations (B, 23, 3, 3); 1 is a pose of the data, 0 is made up."""
        return self.pose(matrix_to_rot6d(rotations).flatten(1)).squeeze(1)

    def judge_latent(self, phi: Tensor) -> Tensor:
        """Scores (B,) of phi (B, 32); 1 is uniform noise, 0 is of the encoder."""
        return self.latent(phi).squeeze(1)


def _layers(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, outputs)
    )


def least_squares(scores: Tensor, wanted: float) -> Tensor:
    """The adversarial loss of LSGAN (Mao et al., ICCV 2017)."""
    return F.mse_loss(scores, torch.full_like(scores, wanted))
