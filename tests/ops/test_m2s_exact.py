"""m2s with ``exact=True``."""

from __future__ import annotations

import pytest
import torch
from meshes import SIZES, grad_of, loose_faces, noise, soup
from torch import Tensor

from topokernels import m2s, reference


@pytest.mark.parametrize("spread", [0.6, 3.0, 30.0])
@pytest.mark.parametrize("size", SIZES)
def test_exact_silhouette_and_its_gradient_equal_brute_force(
    size: tuple[int, int], spread: float, device: torch.device
) -> None:
    vertices, faces = soup(23, 3, 30, size, spread), loose_faces(30)
    weights = noise(24, 3, 1, *size)
    for options in ({"sigma": 0.4}, {"sigma": 1.25, "blur_radius": 0.0}, {"sigma": 1.0, "gain": 2.0}):
        for dtype, tolerance in [(torch.float64, 1e-7), (torch.float32, 2e-4)]:
            given = vertices.to(dtype)
            expected = reference.m2s(given.double(), faces, size, exact=True, **options)
            actual = m2s(given.to(device), faces.to(device), size, exact=True, **options)
            assert actual.dtype == dtype
            assert torch.equal(actual.cpu().double(), expected)

            def reference_draw(v: Tensor, o: dict[str, float] = options) -> Tensor:
                return reference.m2s(v, faces, size, exact=True, **o)

            def draw(v: Tensor, o: dict[str, float] = options) -> Tensor:
                return m2s(v, faces.to(device), size, exact=True, **o)

            expected_grad = grad_of(reference_draw, given.double(), weights)
            found = grad_of(draw, given.to(device), weights)
            assert (found.cpu() - expected_grad).abs().max() <= tolerance * expected_grad.abs().max()


def test_exact_silhouette_has_no_cracks() -> None:
    # Pixel centres lie on shared edges and corners.
    vertices = torch.tensor([[[0.5, 0.5], [4.5, 0.5], [4.5, 4.5], [0.5, 4.5]]])
    for faces in ([[0, 1, 2], [0, 2, 3]], [[2, 1, 0], [0, 2, 3]]):
        for radius in (0.0, None):
            drawn = m2s(vertices, torch.tensor(faces), 6, sigma=0.1, blur_radius=radius, exact=True)[0, 0]
            assert drawn[:5, :5].all() and drawn.sum() == 25


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_pixel_saturated_from_outside_is_still_covered_by_a_later_face(dtype: torch.dtype) -> None:
    beside = torch.tensor([[2.51, 0.0], [9.0, 2.5], [2.51, 5.0]], dtype=dtype)  # next to the pixel centre (2.5, 2.5)
    over = torch.tensor([[2.0, 2.0], [4.0, 2.2], [2.2, 4.0]], dtype=dtype)
    vertices = torch.cat([beside.repeat(60, 1), over])[None]
    without = m2s(vertices, loose_faces(60), 5, sigma=1.0, exact=True)
    assert m2s(vertices, loose_faces(60), 5, sigma=1.0, binary=False)[0, 0, 2, 2] > 1 - 1e-6
    assert not without[0, 0, :, :2].any() and without[0, 0, 2, 2] == 0 and without[0, 0, 2, 3] == 1
    assert m2s(vertices, loose_faces(61), 5, sigma=1.0, exact=True)[0, 0, 2, 2] == 1
