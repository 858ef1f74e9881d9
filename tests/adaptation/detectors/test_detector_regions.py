from __future__ import annotations

import numpy as np
import pytest

from adaptation.detectors.regions import MARGIN, Region, upright_region


def ramp(height: int, width: int) -> np.ndarray:
    """An image whose red is 2 x and whose green is 2 y at the centre of each pixel."""
    rows, columns = np.indices((height, width))
    return np.stack([2 * columns, 2 * rows, 0 * rows], -1).astype(np.uint8)


@pytest.mark.parametrize("angle", [0.0, 0.4, -2.0])
def test_a_cut_shows_what_lies_there(angle: float) -> None:
    region = Region(60, 50, 40, angle)
    cut = region.cut(ramp(100, 120), 40) * 255
    rows, columns = np.indices((40, 40))
    places = region.to_image(np.stack([columns + 0.5, rows + 0.5], -1).astype(np.float32) / 40)
    inside = ((places - np.array([60, 50])) ** 2).sum(-1) < 35**2
    np.testing.assert_allclose((cut[..., :2] / 2 + 0.5)[inside], places[inside], atol=0.6)


def test_a_larger_region_is_averaged() -> None:
    board = np.zeros((100, 100, 3), np.uint8)
    board[::2] = 255
    cut = Region(50, 50, 100).cut(board, 25)
    np.testing.assert_allclose(cut[2:-2, 2:-2], 0.5, atol=0.05)


def test_values_are_pasted_where_they_were_cut() -> None:
    region = Region(40, 30, 32, 0.5)
    values = np.zeros((64, 64), np.float32)
    values[20:30, 40:50] = 1
    pasted = region.paste(values, (60, 80))
    rows, columns = np.nonzero(pasted > 0.5)
    centre = region.to_image(np.array([45, 25], np.float32) / 64)
    np.testing.assert_allclose([columns.mean() + 0.5, rows.mean() + 0.5], centre, atol=0.3)
    assert (pasted > 0.5).sum() == pytest.approx(25, abs=4)


def test_vectors_turn_with_the_region() -> None:
    region = Region(0, 0, 2, 0.3)
    step = region.to_image(np.array([[1.0, 0.5]], np.float32)) - region.to_image(np.array([[0.5, 0.5]], np.float32))
    np.testing.assert_allclose(region.turned(np.array([[1.0, 0, 5]], np.float32)), [[*step[0], 5]], atol=1e-6)


def test_regions_around_people() -> None:
    assert Region.around((10, 20, 30, 80)) == Region(25, 60, 100)
    upright = upright_region(np.array([50.0, 60.0]), np.array([50.0, 20.0]))
    assert upright == Region(50, 60, 80 * MARGIN)
    leaning = upright_region(np.array([50.0, 60.0]), np.array([90.0, 60.0]))
    assert leaning.angle == pytest.approx(np.pi / 2)
    # The second point lies above the first one in the region's axes.
    np.testing.assert_allclose(leaning.to_image(np.array([[0.5, 0.1]], np.float32)), [[90, 60]], atol=1e-4)
