"""The painted hall without people."""

from __future__ import annotations

import numpy as np

from adaptation.synthetic.hall_scene import empty_hall


def hall(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    return empty_hall(size, np.random.default_rng(seed))


def test_equal_seeds_give_equal_pixels() -> None:
    first = hall((120, 160))
    assert first.shape == (120, 160, 3) and first.dtype == np.uint8
    np.testing.assert_array_equal(hall((120, 160)), first)
    assert (hall((120, 160), seed=1) != first).any()


def test_sizes_show_the_same_hall() -> None:
    small, large = hall((60, 80)).astype(float), hall((240, 320)).astype(float)
    shrunk = large.reshape(60, 4, 80, 4, 3).mean((1, 3))
    assert np.abs(shrunk - small).mean() < 1


def test_little_is_clipped_and_the_scene_has_structure() -> None:
    """Clipped pixels could not show the lighting change; a plain wall could not show a shadow's texture."""
    picture = hall((240, 320))
    assert ((picture == 0) | (picture == 255)).mean() < 0.01
    assert (picture.std((0, 1)) > 15).all()
