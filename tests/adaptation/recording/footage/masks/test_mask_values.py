"""Whatever the format and the values of masks, a person is a person, or a line names the file and its values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from recordings import HEIGHT, WIDTH, write_folder

from adaptation.recording.footage.mask_files import open_masks
from adaptation.recording.footage.video import open_frames
from adaptation.support.errors import UserError
from adaptation.support.reading.findings import kept_findings

Labels = npt.NDArray[np.int64]
Write = Callable[[Path, Labels], object]
COUNT = 6
DAVIS = ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))


def labels(number: int) -> Labels:
    """Return the people of a frame by id: nobody in the first, one in two frames, then two."""
    image = np.zeros((HEIGHT, WIDTH), np.int64)
    if number >= 1:
        image[10:40, 8 + number : 20 + number] = 1
    if number >= 3:
        image[12:42, 36:50] = 2
    return image


def levels(*values: int, dtype: type[np.unsignedinteger[Any]] = np.uint8) -> Write:
    """Write label k as grey level values[k]."""
    return lambda path, ids: cv2.imwrite(str(path), np.array(values, dtype)[ids])


def palette(
    *colours: tuple[int, int, int], order: tuple[int, ...] = (0, 1, 2), bits: int = 8, opacity: bytes | None = None
) -> Write:
    """Write label k as index order[k] of a palette."""

    def write(path: Path, ids: Labels) -> None:
        image = Image.fromarray(np.array(order, np.uint8)[ids]).convert("L")
        indexed = Image.frombytes("P", image.size, image.tobytes())
        indexed.putpalette([part for colour in colours for part in colour][:768])
        options: dict[str, Any] = {} if opacity is None else {"transparency": opacity}
        indexed.save(path, "PNG", bits=bits, **options)

    return write


def colours(*table: tuple[int, ...], mode: str = "RGB") -> Write:
    """Write label k as a colour, with or without opacity."""
    return lambda path, ids: Image.fromarray(np.array(table, np.uint8)[ids], mode).save(path, "PNG")


def one_bit(path: Path, ids: Labels) -> None:
    Image.fromarray(ids > 0).save(path, "PNG")


def cut_out(path: Path, ids: Labels) -> None:
    """Write a photo whose background is transparent."""
    noise = np.random.default_rng(int(ids.sum())).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    alpha = np.where(ids > 0, 255, 0).astype(np.uint8)
    Image.fromarray(np.dstack([noise, alpha]), "RGBA").save(path, "PNG")


def soft(path: Path, ids: Labels) -> None:
    cv2.imwrite(str(path), cv2.GaussianBlur(np.where(ids > 0, 255, 0).astype(np.uint8), (5, 5), 0))


def soft_16(path: Path, ids: Labels) -> None:
    cv2.imwrite(str(path), cv2.GaussianBlur(np.where(ids > 0, 65535, 0).astype(np.uint16), (5, 5), 0))


def jpeg(path: Path, ids: Labels) -> None:
    mask = np.where(ids > 0, 255, 0).astype(np.uint8)
    path.with_suffix(".jpg").write_bytes(cv2.imencode(".jpg", np.dstack([mask] * 3))[1].tobytes())


def reopened_jpeg(path: Path, ids: Labels) -> None:
    """Write a PNG of what is left of a mask after JPEG."""
    data = cv2.imencode(".jpg", np.where(ids > 0, 255, 0).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 60])[1]
    cv2.imwrite(str(path), cv2.imdecode(data, cv2.IMREAD_GRAYSCALE))


def void(value: int, write: Write) -> Write:
    """Write with a band of the label "ignore" on top of each person."""

    def banded(path: Path, ids: Labels) -> None:
        marked = ids.copy()
        marked[9:10][ids[12:13] > 0] = value
        write(path, marked)

    return banded


def array(path: Path, ids: Labels) -> None:
    np.save(path.with_suffix(".npy"), ids.astype(np.uint16)[None])


def optimised(path: Path, ids: Labels) -> None:
    """Write as optimisers do: empty masks as one bit of grey, others with a palette in an order of its own."""
    if not ids.any():
        one_bit(path, ids)
    elif ids.max() == 1:
        palette(DAVIS[1], (0, 0, 0), order=(1, 0), bits=1)(path, ids)
    else:
        palette(DAVIS[2], (0, 0, 0), DAVIS[1], order=(1, 2, 0), bits=2)(path, ids)


ACCEPTED: dict[str, tuple[Write, str]] = {
    "0 and 255": (levels(0, 255, 255), ""),
    "one bit": (one_bit, ""),
    "grey palette of one bit": (palette((0, 0, 0), (255, 255, 255), order=(0, 1, 1), bits=1), ""),
    "0 and 255 in colour": (colours((0,) * 3, (255,) * 3, (255,) * 3), ""),
    "DAVIS": (palette(*DAVIS), "palette PNG with indices 0, 1, 2; each but 0 is a person"),
    "DAVIS of two bits": (palette(*DAVIS, bits=2), "indices 0, 1, 2; each but 0"),
    "DAVIS with transparency": (palette(*DAVIS, opacity=b"\0\xff\xff"), "opaque pixels are a person"),
    "DAVIS with void": (void(3, palette(*DAVIS[:3], *DAVIS * 84, order=(0, 1, 2, 255))), "255 means 'ignore'"),
    "palette of one colour": (palette(*DAVIS[:1] * 3), "indices 0, 1, 2; each but 0"),
    "palette reordered": (palette(DAVIS[1], (0, 0, 0), DAVIS[2], order=(1, 0, 2)), "each but #000000 is a person"),
    "palettes of an optimiser": (optimised, "each but #000000 is a person"),
    "ids": (levels(0, 1, 2), "values 0, 1, 2; each but 0 is a person"),
    "ids of 16 bits": (levels(0, 1001, 1002, dtype=np.uint16), "16-bit grey PNG with values 0, 1001, 1002"),
    "small ids of 16 bits": (levels(0, 1, 2, dtype=np.uint16), "values 0, 1, 2"),
    "white of 16 bits": (levels(0, 65535, 65535, dtype=np.uint16), ""),
    "8-bit white in 16 bits": (levels(0, 255, 255, dtype=np.uint16), ""),
    "grey of colours": (levels(0, 38, 75), "values 0, 38, 75; each but 0"),
    "half grey": (levels(0, 128, 128), "values 0, 128; any but 0"),
    "ids with void": (void(3, levels(0, 1, 2, 255)), "255 means 'ignore'"),
    "colours": (colours((0, 0, 0), (255, 0, 0), (0, 255, 0)), "#000000, #00ff00, #ff0000; each but #000000"),
    "colours on white": (colours((255,) * 3, (200, 0, 0), (200, 0, 0)), "any but #ffffff, which fills most"),
    "alpha": (colours((0, 0, 0, 0), (0, 0, 0, 255), (0, 0, 0, 255), mode="RGBA"), "opaque pixels are a person"),
    "alpha of an overlay": (colours((0, 0, 0, 0), (255, 0, 0, 128), (0, 0, 255, 128), mode="RGBA"), "opacities 0, 128"),
    "opaque alpha": (colours((0, 0, 0, 255), (255,) * 4, (255,) * 4, mode="RGBA"), ""),
    "grey with alpha": (colours((9, 0), (9, 255), (9, 255), mode="LA"), "opaque pixels are a person"),
    "person cut out": (cut_out, "opaque pixels are a person"),
    "inverted": (levels(255, 0, 0), "white pixels fill most of every edge, so white is the background"),
    "soft": (soft, "values above 127 of 255 are a person"),
    "soft in 16 bits": (soft_16, "values above 32767 of 65535 are a person"),
    "JPEG": (jpeg, "values above 127 of 255 are a person"),
    "JPEG saved as PNG": (reopened_jpeg, "values above 127 of 255 are a person"),
    "arrays": (array, "values 0, 1, 2; each but 0"),
}


LABELS = ("DAVIS with void", "ids of 16 bits", "small ids of 16 bits", "ids with void")


@pytest.mark.parametrize("name", ACCEPTED)
def test_people_are_found_in_any_format(tmp_path: Path, name: str) -> None:
    write, finding = ACCEPTED[name]
    frames = open_frames(write_folder(tmp_path / "images", [f"{number:04d}.png" for number in range(COUNT)]))
    (tmp_path / "masks").mkdir()
    for number in range(COUNT):
        write(tmp_path / "masks" / f"{number:04d}.png", labels(number))
    with kept_findings() as found:
        masks = open_masks(tmp_path / "masks", frames)
    assert (finding in "".join(found)) if finding else not found, found
    for number in range(COUNT):
        mask, expected = masks.mask(number), labels(number) > 0
        assert mask is not None and mask.dtype == bool
        # JPEG and blur move an outline by less than a pixel.
        assert (mask ^ expected).sum() <= (0 if "soft" not in name and "JPEG" not in name else 12), name
        apart = masks.people(number)
        assert apart is not None and np.array_equal(np.any([*apart, np.zeros_like(mask)], 0), mask)
        # A label tells who it is; white does not.
        assert masks.instances == ("each but" in finding or name in LABELS), name
        assert len(apart) == labels(number).max() if masks.instances else len(apart) <= 1


def test_a_shadow_is_background(tmp_path: Path) -> None:
    frames = open_frames(write_folder(tmp_path / "images", ["0.png", "1.png"]))
    (tmp_path / "masks").mkdir()
    for number in range(2):
        levels(0, 127, 255)(tmp_path / "masks" / f"{number}.png", labels(4))
    with kept_findings() as found:
        mask = open_masks(tmp_path / "masks", frames).mask(0)
    assert mask is not None and np.array_equal(mask, labels(4) == 2)
    assert any("127 is taken for a shadow" in line for line in found)


REFUSED: dict[str, tuple[Write, str]] = {
    "a trimap or ids": (levels(0, 128, 255), r"\.png: found a grey PNG with values 0, 128, 255: .*save the masks"),
    "scaled ids": (levels(0, 100, 255), "values 0, 100, 255"),
    "shadows alone": (levels(0, 127, 127), "127 is the label of shadows"),
    "nobody": (levels(0, 0, 0), "no person found in the masks, which hold the value 0 alone"),
    "white alone": (levels(255, 255, 255), "the value 255 alone"),
    "void alone": (palette(*DAVIS * 86, order=(0, 255, 255)), 'indices 0, 255: 255 usually means "ignore"'),
    "ids and white": (levels(0, 255, 1), "values 0, 1, 255: it is not clear"),
    "a photo": (
        lambda path, ids: cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3))),
        "looks like a picture",
    ),
    "a grey photo": (
        lambda path, ids: cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH))),
        "neither are labels nor",
    ),
    "JPEG of ids": (
        lambda path, ids: path.with_suffix(".jpg").write_bytes(
            cv2.imencode(".jpg", (40 * ids).astype(np.uint8))[1].tobytes()
        ),
        r"\.jpg: found a grey JPEG with .*only masks of black and white",
    ),
    "JPEG of colours": (
        lambda path, ids: path.with_suffix(".jpg").write_bytes(
            cv2.imencode(".jpg", np.array([(0, 0, 0), (255, 0, 0), (0, 255, 0)], np.uint8)[ids])[1].tobytes()
        ),
        "changes the colours",
    ),
    "two masks in one": (
        colours((0, 0, 0, 0), (0, 0, 0, 255), (255, 255, 255, 255), mode="RGBA"),
        "colours are one mask and its transparency",
    ),
    "scene labels": (
        lambda path, ids: levels(0, 24, 7, 8, 23)(path, np.where(ids > 0, 1, 2 + np.indices(ids.shape)[0] // 17)),
        "the background should be 0 and fill most of the image's edge",
    ),
    "logits": (lambda path, ids: np.save(path.with_suffix(".npy"), 20.0 * (ids > 0) - 10), "save scores > 0"),
    "half the masks inverted": (
        lambda path, ids: levels(*((255, 0, 0) if int(path.stem) < 4 else (0, 255, 255)))(path, ids),
        "white in 4 of 6 masks",
    ),
    "another format": (
        lambda path, ids: path.write_bytes(b"GIF89a" + bytes(50)),
        "not an image of a mask but a GIF image; save",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_clear_is_refused_with_values_and_remedy(tmp_path: Path, name: str) -> None:
    write, message = REFUSED[name]
    frames = open_frames(write_folder(tmp_path / "images", [f"{number:04d}.png" for number in range(COUNT)]))
    (tmp_path / "masks").mkdir()
    for number in range(COUNT):
        write(tmp_path / "masks" / f"{number:04d}.png", labels(number))
    with pytest.raises(UserError, match=message) as error:
        open_masks(tmp_path / "masks", frames)
    assert str(tmp_path / "masks") in str(error.value) and "\n" not in str(error.value)


def test_masks_that_were_not_looked_at_first_may_not_contradict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adaptation.recording.footage.mask_files._SURVEYED", 2)
    frames = open_frames(write_folder(tmp_path / "images", [f"{number}.png" for number in range(5)]))
    (tmp_path / "masks").mkdir()
    # The first and the last show nobody, so more are looked at.
    for number in range(5):
        levels(0, 255, 255)(tmp_path / "masks" / f"{number}.png", labels(number) if 0 < number < 4 else labels(0))
    levels(0, 1, 2)(tmp_path / "masks" / "3.png", labels(4))
    masks = open_masks(tmp_path / "masks", frames)
    first = masks.mask(1)
    assert first is not None and np.array_equal(first, labels(1) > 0)
    with pytest.raises(UserError, match=r"3\.png: found values 0, 1, 2, but other masks hold 0 and 255 alone"):
        masks.mask(3)


def test_a_frame_without_transparency_among_others(tmp_path: Path) -> None:
    frames = open_frames(write_folder(tmp_path / "images", ["0.png", "1.png", "2.png"]))
    (tmp_path / "masks").mkdir()
    white = colours((0, 0, 0, 0), (255,) * 4, (255,) * 4, mode="RGBA")
    white(tmp_path / "masks" / "0.png", labels(1))
    colours((0, 0, 0, 255), mode="RGBA")(tmp_path / "masks" / "1.png", labels(0))
    empty = open_masks(tmp_path / "masks", frames).mask(1)
    assert empty is not None and not empty.any()
    colours((90, 80, 70, 255), mode="RGBA")(tmp_path / "masks" / "2.png", labels(0))
    with pytest.raises(UserError, match=r"2\.png: found no transparent pixels, but other masks have some"):
        open_masks(tmp_path / "masks", frames)


def test_files_of_zero_and_one_among_files_of_white(tmp_path: Path) -> None:
    frames = open_frames(write_folder(tmp_path / "images", ["0.png", "1.png"]))
    (tmp_path / "masks").mkdir()
    levels(0, 255, 255)(tmp_path / "masks" / "0.png", labels(1))
    levels(0, 1, 1)(tmp_path / "masks" / "1.png", labels(2))
    masks = open_masks(tmp_path / "masks", frames)
    for number in (0, 1):
        mask = masks.mask(number)
        assert mask is not None and np.array_equal(mask, labels(number + 1) > 0)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((HEIGHT // 2, WIDTH // 2), "32x24, wanted 64x48 as the frames: they are 0.5 times the size"),
        ((WIDTH, HEIGHT), "width and height are swapped"),
        ((HEIGHT, HEIGHT), "proportions differ"),
    ],
)
def test_a_wrong_size_says_how_it_relates(tmp_path: Path, shape: tuple[int, int], message: str) -> None:
    frames = open_frames(write_folder(tmp_path / "images", ["0.png"]))
    (tmp_path / "masks").mkdir()
    cv2.imwrite(str(tmp_path / "masks" / "0.png"), np.zeros(shape, np.uint8))
    with pytest.raises(UserError, match=rf"0\.png: .*{message}"):
        open_masks(tmp_path / "masks", frames)
