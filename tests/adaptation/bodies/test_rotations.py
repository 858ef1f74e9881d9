from __future__ import annotations

import math

import pytest
import roma
import torch

from adaptation.bodies.rotations import Layout, angle_between, matrix_to_rot6d, rot6d_to_matrix, rotvec_to_matrix


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-6, 1e-3, 0.1, 1.0, math.pi, 4.0, 2 * math.pi, 7.0])
def test_rotvec_to_matrix_is_roma_s_with_the_gradient_of_the_exponential(angle: float) -> None:
    generator = torch.Generator().manual_seed(0)
    axis = torch.nn.functional.normalize(torch.randn(2, 5, 3, generator=generator, dtype=torch.float64), dim=-1)
    weight = torch.randn(2, 5, 3, 3, generator=generator, dtype=torch.float64)
    vectors = (axis * angle).requires_grad_()
    ours = rotvec_to_matrix(vectors)
    torch.testing.assert_close(ours, roma.rotvec_to_rotmat(vectors), rtol=0, atol=1e-12)

    turns = torch.linalg.cross(torch.eye(3).expand(2, 5, 3, 3).to(axis), vectors[..., None, :])
    # roma's own gradient is a difference of nearly equal numbers where angles are small.
    (wanted,) = torch.autograd.grad(torch.linalg.matrix_exp(turns), vectors, weight)
    torch.testing.assert_close(torch.autograd.grad(ours, vectors, weight)[0], wanted, rtol=0, atol=1e-12)


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
