from __future__ import annotations

import math

import pytest
import roma
import torch

from adaptation.rotations import Layout, angle_between, matrix_to_rot6d, rot6d_to_matrix


@pytest.mark.parametrize("layout", ["interleaved", "concatenated"])
def test_there_and_back(layout: Layout) -> None:
    rotations = roma.random_rotmat(50, dtype=torch.float64)
    numbers = matrix_to_rot6d(rotations, layout)
    assert numbers.shape == (50, 6)
    torch.testing.assert_close(rot6d_to_matrix(numbers, layout), rotations)


def test_layouts_differ() -> None:
    numbers = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 7.0])
    first = rot6d_to_matrix(numbers, "interleaved")[:, 0]
    torch.testing.assert_close(first, torch.nn.functional.normalize(torch.tensor([1.0, 3.0, 5.0]), dim=0))
    first = rot6d_to_matrix(numbers, "concatenated")[:, 0]
    torch.testing.assert_close(first, torch.nn.functional.normalize(torch.tensor([1.0, 2.0, 3.0]), dim=0))


def test_any_numbers_give_rotations() -> None:
    numbers = torch.randn(4, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rotations = rot6d_to_matrix(numbers)
    torch.testing.assert_close(rotations @ rotations.mT, torch.eye(3, dtype=torch.float64).expand(4, 5, 3, 3))
    torch.testing.assert_close(torch.linalg.det(rotations), torch.ones(4, 5, dtype=torch.float64))


@pytest.mark.parametrize("degrees", [0.0, 0.01, 45.0, 120.0, 180.0])
def test_angle_between(degrees: float) -> None:
    start = roma.random_rotmat(10, dtype=torch.float64)
    axis = torch.nn.functional.normalize(torch.randn(10, 3, dtype=torch.float64), dim=1)
    turned = start @ roma.rotvec_to_rotmat(axis * math.radians(degrees))
    torch.testing.assert_close(
        angle_between(start, turned), torch.full((10,), math.radians(degrees), dtype=torch.float64), atol=1e-7, rtol=0
    )
