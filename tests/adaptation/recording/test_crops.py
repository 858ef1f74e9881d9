"""Crops: geometry against the frame, resampling, padding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptation.recording.crops import make_crop
from adaptation.recording.detections import Detection, MaskQuality, PackedMask

GOOD = MaskQuality(False, 1.0, 1, False, True, "")


def detection(x: int, y: int, mask: np.ndarray) -> Detection:
    return Detection(7, (x, y, mask.shape[1], mask.shape[0]), PackedMask.of(mask), GOOD)


def test_fields_and_margin() -> None:
    crop = make_crop(np.zeros((200, 300, 3), np.uint8), detection(100, 50, np.ones((80, 40), bool)), 3)
    assert (crop.track, crop.frame, crop.quality) == (3, 7, GOOD)
    assert crop.box == pytest.approx((64, 34, 112, 112))  # side 1.4 * 80, centred on (120, 90)
    assert crop.image.shape == (112, 112, 3) and crop.image.dtype == np.uint8
    assert crop.mask.shape == (112, 112) and crop.mask.dtype == np.float32


def test_at_scale_one_pixels_are_copied() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    mask = np.random.default_rng(1).random((80, 40)) > 0.5
    mask[[0, -1]] = mask[:, [0, -1]] = True
    crop = make_crop(frame, detection(100, 50, mask), 1)
    assert np.array_equal(crop.image, frame[34:146, 64:176])
    expected = np.zeros((112, 112), np.float32)
    expected[16:96, 36:76] = mask
    assert np.array_equal(crop.mask, expected)


@settings(max_examples=60, deadline=None)
@given(
    x=st.integers(0, 250),
    y=st.integers(0, 150),
    w=st.integers(8, 200),
    h=st.integers(8, 200),
    size=st.sampled_from([56, 112, 224]),
)
def test_box_maps_crop_to_frame(x: int, y: int, w: int, h: int, size: int) -> None:
    """A frame whose colours are its coordinates shows where every crop pixel comes from."""
    w, h = min(w, 300 - x), min(h, 200 - y)
    frame = np.zeros((200, 300, 3), np.uint8)
    frame[..., 0] = np.arange(300) / 2
    frame[..., 1] = np.arange(200)[:, None]
    crop = make_crop(frame, detection(x, y, np.ones((h, w), bool)), 1, size=size)
    left, top, side, side_y = crop.box
    assert side == side_y
    u = left + (np.arange(size) + 0.5) * side / size
    v = top + (np.arange(size) + 0.5) * side / size
    blur = side / size  # crop pixels average this many frame pixels, also across the frame's edge
    columns = np.nonzero((u > blur + 1) & (u < 299 - blur))[0]
    rows = np.nonzero((v > blur + 1) & (v < 199 - blur))[0]
    row, column = rows[len(rows) // 2], columns[len(columns) // 2]
    assert np.abs(crop.image[row, columns, 0] - (u[columns] - 0.5) / 2).max() <= 1.5
    assert np.abs(crop.image[rows, column, 1] - (v[rows] - 0.5)).max() <= 1.5
    # The mask covers the box's share of the crop, and its centre is the crop's centre.
    inside = np.nonzero(crop.mask.any(1))[0]
    assert len(inside) == pytest.approx(h * size / side, abs=1.01)
    assert (inside[0] + inside[-1] + 1) / 2 == pytest.approx(size / 2, abs=1)


def test_outside_the_frame_is_black() -> None:
    frame = np.full((100, 100, 3), 200, np.uint8)
    crop = make_crop(frame, detection(0, 0, np.ones((80, 30), bool)), 1)
    left, top, side, _ = crop.box
    assert left < 0 and top < 0
    edge_x, edge_y = int(-left * 112 / side), int(-top * 112 / side)
    assert not crop.image[:, : edge_x - 1].any() and not crop.image[: edge_y - 1].any()
    assert (crop.image[edge_y + 2 : 90, edge_x + 2 : 90] == 200).all()
    assert not crop.mask[: edge_y - 1].any()


def test_thin_structures_are_averaged_not_skipped() -> None:
    """With every fourth column lit, shrinking by four gives a quarter of the brightness and no moiré."""
    frame = np.zeros((800, 800, 3), np.uint8)
    frame[:, ::4] = 200
    crop = make_crop(frame, detection(240, 240, np.ones((320, 320), bool)), 1)
    assert np.abs(crop.image[30:80, 30:80].astype(int) - 50).max() <= 2
