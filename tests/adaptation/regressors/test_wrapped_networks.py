from __future__ import annotations

import pytest
import roma
import torch
from torch import Tensor, nn

from adaptation.bodies.rotations import matrix_to_rot6d
from adaptation.regressors.base import wrap


def images(count: int = 2) -> Tensor:
    return torch.rand(count, 3, 48, 48, generator=torch.Generator().manual_seed(0))


class Foreign(nn.Module):
    """Somebody's network, in any of the three forms."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form = form
        self.inner = nn.Linear(1, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        vectors = 0.3 * torch.ones(len(images), 24, 3)
        rotations = roma.rotvec_to_rotmat(vectors)
        pose = {
            "matrix": rotations,
            "axis_angle": vectors.flatten(1),
            "rot6d": matrix_to_rot6d(rotations, "concatenated").flatten(1),
        }[self.form]
        return pose, torch.zeros(len(images), 10), torch.ones(len(images), 3)


@pytest.mark.parametrize("form", ["matrix", "axis_angle", "rot6d"])
def test_foreign_networks_are_wrapped(form: str) -> None:
    network = wrap(Foreign(form), pose=form, layout="concatenated")  # type: ignore[arg-type]
    expected = roma.rotvec_to_rotmat(0.3 * torch.ones(2, 24, 3))
    torch.testing.assert_close(network(images()).bodies.rotations, expected)
    assert all(name.startswith("network.") for name in network.state_dict())
