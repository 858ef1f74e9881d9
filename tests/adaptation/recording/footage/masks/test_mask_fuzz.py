"""Damaged masks of every format are refused in one line, or read as masks of the right size."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import fuzzing
import numpy as np
from PIL import Image

from adaptation.recording.footage.masks.images import read_mask_images
from adaptation.recording.footage.masks.tally import Surveyed
from adaptation.recording.footage.masks.values import understand

WIDTH, HEIGHT = 40, 30


def read(file: Path) -> None:
    """Read a file as the only mask of a recording."""
    for image in read_mask_images(file, (WIDTH, HEIGHT)):
        mask = understand([Surveyed.of(image, str(file))], str(file)).mask(image, str(file))
        assert mask.shape == (HEIGHT, WIDTH) and mask.dtype == bool


def contents() -> list[bytes]:
    """Good masks of two people in each format."""
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    ids[5:25, 5:12], ids[6:26, 20:30] = 1, 2
    white = np.where(ids > 0, 255, 0).astype(np.uint8)
    palette = Image.frombytes("P", (WIDTH, HEIGHT), ids.tobytes())
    palette.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    rgba = Image.fromarray(np.dstack([white, white, white, white]), "RGBA")
    images: list[tuple[Image.Image, str, dict[str, object]]] = [
        (palette, "PNG", {}),
        (palette, "PNG", {"bits": 2, "transparency": b"\0\xff"}),
        (Image.fromarray(ids), "PNG", {}),
        (Image.fromarray(ids > 0), "PNG", {}),
        (Image.fromarray(np.array([0, 1001, 1002], np.uint16)[ids]), "PNG", {}),
        (Image.fromarray(np.array([[0] * 3, [255, 0, 0], [0, 0, 255]], np.uint8)[ids]), "PNG", {}),
        (rgba, "PNG", {}),
        (Image.fromarray(np.dstack([white, white]), "LA"), "PNG", {}),
        (Image.fromarray(white), "JPEG", {"quality": 95}),
        (Image.fromarray(white), "BMP", {}),
        (Image.fromarray(white), "TIFF", {}),
        (Image.fromarray(np.float32(white / 255)), "TIFF", {}),
        (rgba, "WEBP", {"lossless": True}),
    ]
    made = []
    for image, name, options in images:
        image.save(stream := io.BytesIO(), name, **options)
        made.append(stream.getvalue())
    for array in (ids > 0, np.float32(ids > 0)[None], ids.astype(np.int64)):
        np.save(stream := io.BytesIO(), array)
        made.append(stream.getvalue())
    made.append(cv2.imencode(".png", white, [cv2.IMWRITE_PNG_BILEVEL, 1])[1].tobytes())
    return made


def test_damaged_masks_end_in_one_line(tmp_path: Path) -> None:
    good = contents()
    for content in good:
        (tmp_path / "mask").write_bytes(content)
        read(tmp_path / "mask")
    outcome = fuzzing.fuzz(read, good, ".png", count=500)
    print(outcome)
    assert not outcome.findings, "\n".join(outcome.findings[:5])
    assert outcome.counts["refused"] > 300
