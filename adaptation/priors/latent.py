"""The pose prior of Rakesh et al. (NeurIPS 2021): the decoder of an adversarial auto-encoder, frozen.

phi in [-1, 1]^32 encodes the rotations of all joints but the root. The encoder ends in tanh. A first discriminator
makes its phi spread over the cube like uniform noise (Makhzani et al., "Adversarial autoencoders", 2015); a second one
makes the poses that the decoder returns for such noise look real. Every phi is then a plausible pose, and every usual
pose has a phi.

The energy, which fits minimise, has two parts: that of phi, and that of the residual rotations between a pose and its
decoded phi. With phi = erf(u / sqrt 2), uniform phi correspond to standard normal u, so |u|^2 is the squared
Mahalanobis distance of u. Fits that optimise u instead of the pose end worse, with and without the residuals: from the
same starts, more of them stay in wrong poses.
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
"""Dimension of phi."""
_JOINTS = len(SMPL) - 1  # all but the root
# Six numbers per rotation are continuous; axis-angle vectors are not.
_NUMBERS = 6 * _JOINTS
FORMAT = "topo-adapt pose prior 1"
# Root mean square residual of a joint's rotation after encoding and decoding, in usual poses.
_DEVIATION = math.radians(8)
# Largest |phi| in the energy: u is infinite at 1, and 3.5 standard deviations here.
_EDGE = 0.9995


class LatentPosePrior(nn.Module):
    """Encoder and decoder between rotations (B, J - 1, 3, 3) of all joints but the root and phi (B, 32).

    Args:
        hidden: units of the two hidden layers on each side.
    """

    mean: Tensor

    def __init__(self, hidden: int = 384) -> None:
        super().__init__()
        self.hidden = hidden
        self.encoder = _layers(_NUMBERS, hidden, LATENT)
        self.decoder = _layers(LATENT, hidden, _NUMBERS)
        # A linear path beside the hidden layers, so that these need not learn the part that is linear in phi.
        self.linear = nn.Linear(LATENT, _NUMBERS)
        nn.init.zeros_(self.linear.bias)
        # The rest pose: the network encodes and decodes differences from it.
        self.register_buffer("mean", matrix_to_rot6d(torch.eye(3)).repeat(_JOINTS))

    def encode(self, rotations: Tensor) -> Tensor:
        """Return phi (B, 32) of rotations (B, J - 1, 3, 3)."""
        return torch.tanh(self.encoder(matrix_to_rot6d(rotations).flatten(1) - self.mean))

    def decode(self, phi: Tensor) -> Tensor:
        """Return the rotations (B, J - 1, 3, 3) of phi (B, 32)."""
        numbers = self.mean + self.linear(phi) + self.decoder(phi)
        return rot6d_to_matrix(numbers.view(-1, _JOINTS, 6))

    def forward(self, phi: Tensor) -> Tensor:
        """Decode phi."""
        return self.decode(phi)

    def energy(self, pose: Tensor) -> Tensor:
        """Compute (|u|^2 + |residuals|^2 / (8 degrees)^2) / 2, about 27 for usual poses.

        Half the squares, a negative log-likelihood, so that weights that suit `GaussianPosePrior` suit this prior too.

        Args:
            pose: (B, J, 3) axis-angle, radians; joint 0 is ignored.

        Returns:
            (B,); lower is more plausible.
        """
        rotations = rotvec_to_matrix(pose[:, 1:])
        # The clamp also bounds the gradient of erfinv, which is infinite at 1.
        phi = self.encode(rotations).clamp(-_EDGE, _EDGE)
        u = math.sqrt(2) * torch.erfinv(phi)
        # The transpose is the inverse: what is left of the pose after its decoded phi.
        residuals = roma.rotmat_to_rotvec(self.decode(phi).mT @ rotations)
        return (u.square().sum(1) + residuals.square().sum((1, 2)) / _DEVIATION**2) / 2

    def frozen(self) -> LatentPosePrior:
        """Freeze the weights and return this prior, in evaluation mode."""
        return self.requires_grad_(False).eval()

    def save(self, path: Path, notes: dict[str, str] | None = None) -> None:
        """Write the weights, as float16, and notes to a safetensors file."""
        meta = {"format": FORMAT, "hidden": str(self.hidden), "notes": json.dumps(notes or {})}
        # Half the size of float32; the package ships such a file.
        weights = {name: value.half().cpu() for name, value in self.state_dict().items()}
        with whole_file(path) as file:
            file.write(save(weights, meta))

    @classmethod
    def default(cls) -> LatentPosePrior:
        """Load the prior that comes with the package, frozen. It was trained on sampled poses of all kinds."""
        with resources.as_file(resources.files("adaptation") / "assets" / "pose_prior.safetensors") as path:
            return cls.load(path)

    @classmethod
    def named(cls, name: str) -> LatentPosePrior:
        """Load the prior that comes with the package, "latent", or a file.

        Raises:
            UserError: there is no such file, or it is not a pose prior.
        """
        if name == "latent":
            return cls.default()
        if not Path(name).exists():
            raise UserError(
                f"no pose prior {name!r}: expected gaussian, motion, mixture, latent, or a file written by "
                "`topo-adapt prior`"
            )
        return cls.load(Path(name))

    @classmethod
    def load(cls, path: Path) -> LatentPosePrior:
        """Read a file that `save` wrote; the prior is frozen.

        Raises:
            UserError: the file is missing, or not a pose prior.
        """
        try:
            with safe_open(path, "pt") as file:
                meta = file.metadata() or {}
                # Regressors are safetensors files, too: only the format tells the two apart.
                if meta.get("format") != FORMAT:
                    raise UserError(f"{path} is not a pose prior of topo-adapt")
                prior = cls(int(meta["hidden"]))
                prior.load_state_dict({name: file.get_tensor(name) for name in file.keys()})
        except FileNotFoundError:
            raise UserError(f"no such file: {path}") from None
        except (SafetensorError, OSError, RuntimeError, ValueError, KeyError) as error:
            raise UserError(f"{path} is not a pose prior of topo-adapt: {error}") from None
        return prior.frozen()


class Discriminators(nn.Module):
    """The discriminators of the training: one judges phi, one judges poses as six numbers per joint."""

    def __init__(self, hidden: int = 256) -> None:
        super().__init__()
        self.latent = _layers(LATENT, hidden, 1)
        self.pose = _layers(_NUMBERS, hidden, 1)

    def judge_pose(self, rotations: Tensor) -> Tensor:
        """Score rotations (B, J - 1, 3, 3), (B,): 1 for poses of the data, 0 for decoded noise."""
        return self.pose(matrix_to_rot6d(rotations).flatten(1)).squeeze(1)

    def judge_latent(self, phi: Tensor) -> Tensor:
        """Score phi (B, 32), (B,): 1 for uniform noise, 0 for phi of the encoder."""
        return self.latent(phi).squeeze(1)


def _layers(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, outputs)
    )


def least_squares(scores: Tensor, label: float) -> Tensor:
    """Compute the adversarial loss of LSGAN (Mao et al., ICCV 2017): mean squared difference of scores and a label."""
    return F.mse_loss(scores, torch.full_like(scores, label))
