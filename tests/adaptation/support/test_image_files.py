"""Images on disk: order, colours, and what is refused."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from adaptation.support.errors import UserError
from adaptation.support.image_files import list_images, read_grey, read_image


def test_images_are_listed_in_natural_order(tmp_path: Path) -> None:
    for name in ("f10.png", "F2.PNG", "f1.jpg", "f1b.bmp", ".f3.png", "f4.txt"):
        (tmp_path / name).touch()
    (tmp_path / "f5.png").mkdir()
    assert [file.name for file in list_images(tmp_path)] == ["f1.jpg", "f1b.bmp", "F2.PNG", "f10.png"]


def test_colours_are_rgb(tmp_path: Path) -> None:
    red = np.zeros((6, 8, 3), np.uint8)
    red[..., 2] = 200  # OpenCV writes blue, green, red
    cv2.imwrite(str(tmp_path / "1.png"), red)
    image = read_image(tmp_path / "1.png")
    assert image.shape == (6, 8, 3) and image[0, 0].tolist() == [200, 0, 0]
    assert read_grey(tmp_path / "1.png").shape == (6, 8)


@pytest.mark.parametrize("read", [read_image, read_grey])
def test_images_of_sixteen_bits_are_refused(tmp_path: Path, read) -> None:
    """The low byte, which may hold all the contrast of a thermal camera's scene, would be lost."""
    cv2.imwrite(str(tmp_path / "0.png"), np.full((8, 8), 30000, np.uint16))
    with pytest.raises(UserError, match=r"0\.png: expected 8 bits per channel, got 16"):
        read(tmp_path / "0.png")


@pytest.mark.parametrize("content", [b"", b"damaged", b"\x89PNG\r\n\x1a\n"])
def test_damaged_images_are_one_line_errors(tmp_path: Path, content: bytes, capfd) -> None:
    (tmp_path / "0.png").write_bytes(content)
    with pytest.raises(UserError, match=r"0\.png: not an image") as caught:
        read_image(tmp_path / "0.png")
    assert "\n" not in str(caught.value) and capfd.readouterr().err == ""


def test_a_missing_image(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"0\.png: cannot be read: No such file"):
        read_image(tmp_path / "0.png")
