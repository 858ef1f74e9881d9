"""Dilation, erosion, opening, closing and bands against SciPy with the same structure."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from functions import threads
from s2d_cases import awkward_masks
from samples import MASK_DTYPES, blobs, mask_batches, soft
from scipy import ndimage

from topokernels import boundary_band, closing, dilate, edt, erode, opening

RADII = (0, 0.9, 1, 1.5, 2, 2.3, 3, 5, 8.3, 13, 25)
SHAPES = ("disc", "square")


def element(radius: float, shape: str) -> np.ndarray:
    reach = int(radius)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return np.ones_like(y, dtype=bool) if shape == "square" else y * y + x * x <= radius * radius


def cases(seed: int, batches: int) -> Iterator[tuple[np.ndarray, float, str]]:
    settings = itertools.cycle(itertools.product(RADII, SHAPES))
    for masks, (radius, shape) in zip(mask_batches(seed, batches, 4, largest=40), settings, strict=False):
        yield masks, radius, shape


def test_equals_scipy_on_hundreds_of_masks() -> None:
    for i, (masks, radius, shape) in enumerate(cases(seed=0, batches=110)):
        batch, structure = torch.from_numpy(masks).to(MASK_DTYPES[i % len(MASK_DTYPES)]), element(radius, shape)
        results = {
            "dilation": dilate(batch, radius, shape=shape),
            "erosion": erode(batch, radius, shape=shape, black_border=True),
            "opening": opening(batch, radius, shape=shape, black_border=True),
            "closing": closing(batch, radius, shape=shape, black_border=True),
        }
        for name, result in results.items():
            assert result.dtype == batch.dtype
            theirs = getattr(ndimage, f"binary_{name}")
            expected = torch.from_numpy(np.stack([theirs(mask, structure) for mask in masks]))
            assert torch.equal(result, expected.to(batch.dtype)), (name, radius, shape)


def test_the_outside_is_ignored_without_a_black_border() -> None:
    """Equal to SciPy where the image is continued: with foreground for an erosion."""
    for masks, radius, shape in cases(seed=1, batches=66):
        batch, structure = torch.from_numpy(masks), element(radius, shape)
        eroded = [ndimage.binary_erosion(mask, structure, border_value=1) for mask in masks]
        assert torch.equal(erode(batch, radius, shape=shape), torch.from_numpy(np.stack(eroded)))
        opened = [ndimage.binary_dilation(mask, structure) for mask in eroded]
        assert torch.equal(opening(batch, radius, shape=shape), torch.from_numpy(np.stack(opened)))
        closed = closing(batch, radius, shape=shape)
        dilated = [ndimage.binary_dilation(mask, structure) for mask in masks]
        expected = [ndimage.binary_erosion(mask, structure, border_value=1) for mask in dilated]
        assert torch.equal(closed, torch.from_numpy(np.stack(expected)))
        assert not (batch & ~closed).any()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", awkward_masks())
def test_equals_the_distance_map_on_awkward_masks(name: str, shape: str, device: torch.device) -> None:
    mask = torch.from_numpy(awkward_masks()[name]).to(device)
    for radius in (2.5, 63, 64, 129):
        if shape == "disc":
            expected = mask.any() & (edt(~mask, squared=True) <= radius**2)
        else:
            wide = mask.float()[None, None]
            reach = int(radius)
            wide = torch.nn.functional.max_pool2d(wide, (2 * reach + 1, 1), 1, (reach, 0))
            expected = torch.nn.functional.max_pool2d(wide, (1, 2 * reach + 1), 1, (0, reach))[0, 0] > 0
        assert torch.equal(dilate(mask, radius, shape=shape), expected)


@pytest.mark.parametrize("black_border", [False, True])
def test_bands(black_border: bool, device: torch.device) -> None:
    for masks, radius, shape in cases(seed=2, batches=44):
        batch = torch.from_numpy(masks).to(device)
        dilated = dilate(batch, radius, shape=shape)
        eroded = erode(batch, radius, shape=shape, black_border=black_border)

        def band(side: str, given: tuple = (batch, radius, shape)) -> torch.Tensor:
            return boundary_band(given[0], given[1], side=side, shape=given[2], black_border=black_border)

        assert torch.equal(band("both"), dilated & ~eroded)
        assert torch.equal(band("inside"), batch & ~eroded)
        assert torch.equal(band("outside"), dilated & ~batch)


def test_a_band_needs_a_known_side() -> None:
    with pytest.raises(ValueError, match="boundary_band: side must be 'both', 'inside' or 'outside', got 'left'"):
        boundary_band(torch.ones(2, 2), 1, side="left")


def test_endless_radii(device: torch.device) -> None:
    mask = torch.zeros(3, 70, dtype=torch.bool, device=device)
    assert not dilate(mask, 1e30).any()
    mask[2, 69] = True
    assert dilate(mask, 1e30).all() and dilate(mask, 1e30, shape="square").all()
    assert not erode(mask, 1e30).any() and erode(~(mask & False), 1e30).all()
    assert not erode(~(mask & False), 1e30, black_border=True).any()


def test_no_gradient_threads_vmap_and_compile() -> None:
    mask = soft(3, 2, 30, 31, low=0.0, high=1.0).requires_grad_()
    result = dilate(mask, 2)
    assert not result.requires_grad
    assert torch.equal(result, dilate((mask > 0.5).double(), 2))
    assert torch.equal(torch.vmap(lambda m: dilate(m, 2))(mask), result)
    torch.compiler.reset()
    compiled = torch.compile(lambda m: boundary_band(m, 2.5), fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(mask), boundary_band(mask, 2.5))
    large = blobs(4, 1, 600, 700)
    results = []
    for count in (1, 2, 5):
        with threads(count):
            results.append(opening(large, 7))
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])
