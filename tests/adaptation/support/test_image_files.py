"""Images on disk: order, colours, and what is refused."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from fuzzing import fuzz

from adaptation.support.errors import UserError
from adaptation.support.image_files import list_images, read_grey, read_image
from adaptation.support.levels import Levels
from adaptation.support.reading.findings import kept_findings


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


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(kind: int, depth: int, rows: list[bytes], *extra: bytes) -> bytes:
    """Return a PNG image of a type of colour, with rows of as many pixels as there are rows."""
    header = struct.pack(">IIBBBBB", len(rows), len(rows), depth, kind, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(extra) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


PALETTE = chunk(b"PLTE", bytes([9, 9, 9, 200, 100, 50]))
KINDS = {
    "grey": (png(0, 8, [b"\x00\xc8", b"\xc8\x00"]), [200, 200, 200]),
    "one bit": (png(0, 1, [b"\x40", b"\x80"]), [255, 255, 255]),
    "colours": (png(2, 8, [bytes([0, 0, 0, 200, 100, 50])] * 2), [200, 100, 50]),
    "palette": (png(3, 8, [b"\0\1"] * 2, PALETTE), [200, 100, 50]),
    "palette of one bit": (png(3, 1, [b"\x40"] * 2, PALETTE), [200, 100, 50]),
}
TRANSPARENT = {
    "grey and alpha": (png(4, 8, [bytes([0, 255, 200, 128])] * 2), [100, 100, 100]),
    "colours and alpha": (png(6, 8, [bytes([0, 0, 0, 255, 200, 100, 50, 128])] * 2), [100, 50, 25]),
    "palette and alpha": (png(3, 8, [b"\0\1"] * 2, PALETTE, chunk(b"tRNS", b"\xff\x80")), [100, 50, 25]),
    "nothing but alpha": (png(6, 8, [bytes([9, 9, 9, 0, 200, 100, 50, 0])] * 2), [0, 0, 0]),
}


@pytest.mark.parametrize("name", [*KINDS, *TRANSPARENT])
def test_kinds_of_png(tmp_path: Path, name: str) -> None:
    content, expected = (KINDS | TRANSPARENT)[name]
    (tmp_path / "0.png").write_bytes(content)
    with kept_findings() as lines:
        image = read_image(tmp_path / "0.png")
    assert image.shape == (2, 2, 3) and np.abs(image[0, 1].astype(int) - expected).max() <= 1
    assert ("transparent parts, which are shown over black" in "".join(lines)) == (name in TRANSPARENT)


def test_opaque_alpha_is_not_mentioned(tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(png(6, 8, [bytes([0, 0, 0, 255, 200, 100, 50, 255])] * 2))
    with kept_findings() as lines:
        assert read_image(tmp_path / "0.png")[0, 1].tolist() == [200, 100, 50]
    assert not lines


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".bmp", ".ppm"])
def test_other_formats(tmp_path: Path, suffix: str) -> None:
    image = np.zeros((6, 8, 3), np.uint8)
    image[..., 2] = 200
    cv2.imwrite(str(tmp_path / f"0{suffix}"), image, [cv2.IMWRITE_WEBP_QUALITY, 101] if suffix == ".webp" else [])
    assert [file.name for file in list_images(tmp_path)] == [f"0{suffix}"]
    assert read_image(tmp_path / f"0{suffix}")[3, 4].tolist() == [200, 0, 0]


def test_orientation_of_a_jpeg_is_applied(tmp_path: Path) -> None:
    image = np.zeros((16, 32, 3), np.uint8)
    image[:, :16] = 255
    data = cv2.imencode(".jpg", image)[1].tobytes()
    tags = b"MM\0*" + struct.pack(">IH", 8, 1) + struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0) + bytes(4)
    exif = b"Exif\0\0" + tags
    (tmp_path / "0.jpg").write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(exif)) + exif + data[2:])
    turned = read_image(tmp_path / "0.jpg")  # orientation 6: turned by a quarter, clockwise
    assert turned.shape == (32, 16, 3) and turned[4].mean() > 250 and turned[28].mean() < 5


def test_sixteen_bits_with_a_range(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "0.png"), np.array([[29000, 29500, 30000, 65535]], np.uint16))
    cv2.imwrite(str(tmp_path / "0.tif"), np.array([[29000, 29500, 30000, 65535]], np.uint16))
    for name in ("0.png", "0.tif"):
        assert read_image(tmp_path / name, Levels(29000, 30000))[0, :, 0].tolist() == [0, 128, 255, 255]
    cv2.imwrite(str(tmp_path / "1.png"), np.zeros((4, 4), np.uint8))
    with pytest.raises(UserError, match=r"1\.png: expected 16 bits"):
        read_image(tmp_path / "1.png", Levels(0, 9))


def test_floating_point_is_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "0.tif"), np.zeros((4, 4), np.float32))
    with pytest.raises(UserError, match=r"0\.tif: got pixels of type float32"):
        read_image(tmp_path / "0.tif")


def test_a_header_that_claims_a_huge_image(tmp_path: Path) -> None:
    data = bytearray(KINDS["colours"][0])
    data[16:24] = struct.pack(">II", 60000, 60000)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    (tmp_path / "0.png").write_bytes(data)
    with pytest.raises(UserError, match=r"0\.png: not an image"):
        read_image(tmp_path / "0.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".webp"])
def test_damaged_images(tmp_path: Path, suffix: str) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    good = [cv2.imencode(suffix, cv2.resize(colours, (40, 30)))[1].tobytes()]
    if suffix == ".png":
        good += [content for content, _ in (KINDS | TRANSPARENT).values()]
    outcome = fuzz(read_image, good, suffix, count=300)
    assert not outcome.findings, "\n".join(outcome.findings[:5])
    assert outcome.counts["refused"] > 20
