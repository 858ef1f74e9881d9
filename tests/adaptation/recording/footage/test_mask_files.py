"""Masks made elsewhere: which file belongs to which frame, and what is refused."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from recordings import HEIGHT, WIDTH, write_folder, write_video

from adaptation.recording.footage.mask_files import open_masks
from adaptation.recording.footage.video import open_frames
from adaptation.support.errors import UserError


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "clip.avi", 20)


def write_mask(path: Path, value: int, shape: tuple[int, int] = (HEIGHT, WIDTH)) -> None:
    mask = np.zeros(shape, np.uint8)
    mask[2:5, 3:7] = value
    cv2.imwrite(str(path), mask)


def test_masks_by_stem(tmp_path: Path) -> None:
    frames = open_frames(write_folder(tmp_path / "images", ["a.png", "b.png", "c.png"]))
    (tmp_path / "masks").mkdir()
    write_mask(tmp_path / "masks" / "c.png", 255)
    write_mask(tmp_path / "masks" / "a.png", 1)
    masks = open_masks(tmp_path / "masks", frames)
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[2:5, 3:7] = True
    assert np.array_equal(masks.mask(0), expected)
    assert masks.mask(1) is None
    assert np.array_equal(masks.mask(2), expected)


def test_shadow_label_of_a_given_mask_is_background(tmp_path: Path) -> None:
    frames = open_frames(write_folder(tmp_path / "images", ["a.png"]))
    (tmp_path / "masks").mkdir()
    mask = np.full((HEIGHT, WIDTH), 127, np.uint8)
    mask[0, 0] = 255
    cv2.imwrite(str(tmp_path / "masks" / "a.png"), mask)
    read = open_masks(tmp_path / "masks", frames).mask(0)
    assert read is not None and read.sum() == 1 and read[0, 0]


def test_masks_of_a_video(video: Path, tmp_path: Path) -> None:
    frames = open_frames(video)
    by_number = tmp_path / "by_number"
    by_number.mkdir()
    for number in (4, 19, 99):
        write_mask(by_number / f"frame_{number:05d}.png", 255)
    assert sorted(open_masks(by_number, frames).files) == [4, 19]
    by_order = tmp_path / "by_order"
    by_order.mkdir()
    for number in range(1, 21):  # counted from 1, as many tools do
        write_mask(by_order / f"{number}.png", 255)
    files = open_masks(by_order, frames).files
    assert sorted(files) == list(range(20)) and files[9][0].name == "10.png"


def test_bad_masks(video: Path, tmp_path: Path) -> None:
    frames = open_frames(video)
    with pytest.raises(UserError, match="no such folder"):
        open_masks(tmp_path / "nowhere", frames)
    folder = tmp_path / "masks"
    folder.mkdir()
    with pytest.raises(UserError, match="no PNG"):
        open_masks(folder, frames)
    write_mask(folder / "500.png", 255)
    with pytest.raises(UserError, match="none of the 1 masks"):
        open_masks(folder, frames)
    write_mask(folder / "3.png", 255, (10, 20))
    with pytest.raises(UserError, match=r"3\.png.*20x10.*64x48"):
        open_masks(folder, frames)
