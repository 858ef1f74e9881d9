"""m2s on meshes that draw little or nothing."""

from __future__ import annotations

import pytest
import torch
from meshes import grad_of, loose_faces, soup
from torch import Tensor

from topokernels import m2s, reference


class TestDegenerate:
    def both(self, vertices: Tensor, faces: Tensor, size: tuple[int, int], sigma: float = 0.7) -> Tensor:
        """The coverage, after comparing it with brute force and checking that gradients are finite."""
        vertices = vertices.double()
        actual = m2s(vertices, faces, size, sigma=sigma, binary=False)
        expected = reference.m2s(vertices, faces, size, sigma=sigma, binary=False)
        torch.testing.assert_close(actual, expected, rtol=0, atol=1e-9)
        grad = grad_of(lambda v: m2s(v, faces, size, sigma=sigma), vertices, torch.ones_like(actual))
        assert grad.isfinite().all()
        silhouette = m2s(vertices, faces, size, sigma=sigma, exact=True)
        assert torch.equal(silhouette, reference.m2s(vertices, faces, size, sigma=sigma, exact=True))
        grad = grad_of(lambda v: m2s(v, faces, size, sigma=sigma, exact=True), vertices, torch.ones_like(actual))
        assert grad.isfinite().all()
        return actual

    def test_face_without_area(self) -> None:
        line = torch.tensor([[[1.0, 1.0], [5.0, 5.0], [9.0, 9.0]]])
        point = torch.full((1, 3, 2), 4.5)
        for vertices in (line, point):
            assert not self.both(vertices, loose_faces(1), (10, 10)).any()
        assert not self.both(soup(0, 1, 1, (9, 9), 3.0), torch.tensor([[0, 1, 1]]), (9, 9)).any()

    def test_sliver(self) -> None:
        sliver = torch.tensor([[[1.0, 1.0], [9.0, 8.9], [5.0, 5.0]]])
        assert self.both(sliver, loose_faces(1), (10, 10)).max() > 0.4

    def test_both_windings(self) -> None:
        vertices = soup(1, 1, 8, (16, 16), 4.0)
        front = m2s(vertices, loose_faces(8), 16, sigma=1.0, binary=False)
        back = m2s(vertices, loose_faces(8).flip(1), 16, sigma=1.0, binary=False)
        torch.testing.assert_close(front, back, rtol=0, atol=1e-12)

    def test_off_screen(self) -> None:
        assert not self.both(torch.rand(1, 9, 2) + 40, loose_faces(3), (12, 12)).any()

    def test_half_off_screen(self) -> None:
        vertices = torch.tensor([[[-5.0, 3.0], [4.0, -6.0], [6.0, 30.0]]])
        assert self.both(vertices, loose_faces(1), (12, 12)).max() > 0.99

    def test_far_larger_than_the_image(self) -> None:
        vertices = torch.tensor([[[-1e6, -1e6], [1e6, -1e6], [5.25, 7.5]]])
        exact = self.both(vertices, loose_faces(1), (12, 12))
        single = m2s(vertices, loose_faces(1), 12, sigma=0.7, binary=False)
        torch.testing.assert_close(single.double(), exact, rtol=0, atol=1e-5)

    def test_many_layers_saturate(self) -> None:
        triangle = torch.tensor([[-50.0, -50.0], [60.0, -50.0], [0.0, 70.0]])
        vertices = triangle.repeat(1, 40, 1)
        faces = loose_faces(40)
        coverage = m2s(vertices, faces, 12, sigma=0.5, binary=False)
        assert torch.equal(coverage, torch.ones_like(coverage))
        grad = grad_of(lambda v: m2s(v, faces, 12, sigma=0.5), vertices, torch.ones_like(coverage))
        assert not grad.any()

    def test_no_faces(self) -> None:
        vertices = torch.rand(2, 5, 2, requires_grad=True)
        silhouette = m2s(vertices, torch.zeros(0, 3, dtype=torch.int64), (4, 5), sigma=1.0)
        assert silhouette.shape == (2, 1, 4, 5)
        silhouette.sum().backward()
        assert not silhouette.any() and not vertices.grad.any()

    def test_no_vertices(self) -> None:
        vertices = torch.zeros(2, 0, 3, requires_grad=True)
        silhouette = m2s(vertices, torch.zeros(0, 3, dtype=torch.int32), (4, 5), sigma=1.0)
        silhouette.sum().backward()
        assert not silhouette.any() and vertices.grad.shape == (2, 0, 3)

    @pytest.mark.parametrize("shape", [(0, 4, 5), (2, 0, 5), (2, 4, 0)])
    def test_no_pixels(self, shape: tuple[int, int, int]) -> None:
        batch, *size = shape
        vertices = torch.rand(batch, 3, 2, requires_grad=True)
        silhouette = m2s(vertices, loose_faces(1), size, sigma=1.0)
        assert silhouette.shape == (batch, 1, *size)
        silhouette.sum().backward()
        assert not vertices.grad.any()
