from __future__ import annotations

import pytest
import torch
from scipy.spatial import cKDTree

from adaptation.losses.point_sets import mask_points, point_chamfer
from adaptation.support.errors import UserError


def test_points_are_the_pixels_of_the_mask() -> None:
    mask = torch.zeros(2, 1, 5, 7)
    mask[0, 0, 1, 2] = mask[0, 0, 3, 6] = 1
    mask[1] = 1
    points = mask_points(mask, 4)
    assert points[0].tolist() == [[2.5, 1.5], [2.5, 1.5], [6.5, 3.5], [6.5, 3.5]]
    everything = mask_points(mask[1:], 35)[0]
    assert everything[0].tolist() == [0.5, 0.5] and everything[-1].tolist() == [6.5, 4.5]
    assert len({tuple(point) for point in everything.tolist()}) == 35
    with pytest.raises(UserError, match="mask 1 of the batch is empty"):
        mask_points(torch.stack([mask[0], 0 * mask[0]]), 4)


def test_equal_to_nearest_neighbours_by_tree() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = torch.rand(3, 40, 2, generator=generator), torch.rand(3, 70, 2, generator=generator)
    for one, other, value in zip(a, b, point_chamfer(a, b), strict=True):
        there, back = cKDTree(other.numpy()).query(one.numpy())[0], cKDTree(one.numpy()).query(other.numpy())[0]
        assert value.item() == pytest.approx(there.mean() + back.mean(), rel=1e-5)


def test_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    a = torch.rand(2, 9, 2, generator=generator, dtype=torch.float64).requires_grad_()
    b = torch.rand(2, 13, 2, generator=generator, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda points: point_chamfer(points, b), (a,))
    assert point_chamfer(a, a.detach()).abs().max() == 0
    (grad,) = torch.autograd.grad(point_chamfer(a, a.detach()).sum(), a)
    assert not grad.any()  # and finite, where points coincide
