"""Decoding masks without losing what their pixels mean: palette indices, ids of 16 bits, transparency.

Sources: the PNG specification (https://www.w3.org/TR/png-3/) for chunks, colour types and palettes.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from adaptation.support.errors import UserError
from adaptation.support.image_files import quiet_opencv
from adaptation.support.reading.array_files import read_arrays
from adaptation.support.reading.file_kinds import kind_of

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".npy")
_DECODED = ("PNG image", "JPEG image", "BMP image", "TIFF image", "WebP image")
_PNG = b"\x89PNG\r\n\x1a\n"
_PALETTE = 3  # PNG's colour type
# Differences between the channels of a grey JPEG that was saved in colour.
_GREY_WITHIN = 24

Values = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class MaskImage:
    """Pixels of a mask as its file stores them.

    Attributes:
        form: format and kind of pixels, such as "palette PNG".
        plane: what `values` are: "level" (grey levels or ids), "index" (of a palette), or "colour" (0xRRGGBB).
        values: (H, W) unsigned integers.
        top: value of white in a plane of levels, 255 or 65535.
        alpha: (H, W) opacity, uint8, or None if the file has none.
        palette: (K,) colours of the indices, 0xRRGGBB, or None.
        lossy: whether the format changes values.
    """

    form: str
    plane: str
    values: Values
    top: int = 255
    alpha: Values | None = None
    palette: Values | None = None
    lossy: bool = False


def read_mask_images(file: Path, size: tuple[int, int]) -> list[MaskImage]:
    """Read the masks of one frame: one of an image file, and any number, a layer per person, of an npy file.

    Args:
        file: PNG, JPEG, BMP, TIFF, WebP or npy file, told apart by its content.
        size: width and height of the frames, pixels.

    Raises:
        UserError: the file cannot be read, is damaged or of another kind, or has another size.
    """
    kind = kind_of(file)
    if kind == "npy file of NumPy":
        return of_layers(read_arrays(file)[""], str(file), size)
    return [_read_image(file, kind, size)]


def _read_image(file: Path, kind: str, size: tuple[int, int]) -> MaskImage:
    if kind not in _DECODED:
        raise UserError(f"{file}: not an image of a mask but a {kind}; save masks as PNG")
    content = file.read_bytes()
    if kind == "PNG image":
        return _png(content, file, size)
    # What is missing of a truncated JPEG would be decoded as grey.
    if kind == "JPEG image" and b"\xff\xd9" not in content[-64:]:
        raise UserError(f"{file}: the JPEG image is truncated or damaged")
    lossy = kind in ("JPEG image", "WebP image")
    # JPEG may state an orientation, which OpenCV ignores in images read unchanged.
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH if kind == "JPEG image" else cv2.IMREAD_UNCHANGED
    image = _decode(content, flags, file)
    if image.dtype not in (np.uint8, np.uint16):
        if image.ndim == 2:
            return of_array(image, str(file), size)
        raise UserError(f"{file}: found pixels of type {image.dtype}, expected 8 or 16 bits per channel")
    return of_pixels(image, kind.removesuffix(" image"), str(file), size, lossy=lossy)


def of_layers(array: Any, where: str, size: tuple[int, int]) -> list[MaskImage]:
    """Return masks that are stored as an array of numbers, one per person.

    Args:
        array: (H, W), (K, H, W) with K people, also with further axes of length 1; see `of_array`.
        where: file and place of the array, for messages.
        size: width and height of the frames, pixels.

    Raises:
        UserError: the array has another shape or holds other numbers.
    """
    array = np.asarray(array)
    height_width = size[::-1]
    if array.ndim == 4 and array.shape[1] == 1:  # detectors' masks have a channel
        array = array[:, 0]
    if array.ndim == 3 and array.shape[1:] == height_width and array.shape[2] > 1:
        return [of_array(layer, where, size) for layer in array]
    return [of_array(array, where, size)]


def of_array(array: Any, where: str, size: tuple[int, int]) -> MaskImage:
    """Return a mask that is stored as an array of numbers.

    Args:
        array: (H, W), also with axes of length 1: bool, ids from 0 to 65535, or numbers from 0 to 1.
        where: file and place of the array, for messages.
        size: width and height of the frames, pixels.

    Raises:
        UserError: the array has another shape or holds other numbers.
    """
    array = np.asarray(array)
    found = array.shape
    while array.ndim > 2 and 1 in (array.shape[0], array.shape[-1]):
        array = array[0] if array.shape[0] == 1 else array[..., 0]
    if array.ndim != 2 or array.dtype.kind not in "buif":
        raise UserError(f"{where}: found an array {found} of {array.dtype}, expected numbers of shape (height, width)")
    check_size((array.shape[1], array.shape[0]), size, where)
    if array.dtype.kind == "b":
        return MaskImage("array", "level", array.astype(np.uint8))
    low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high)) or low < 0 or high > 65535:
        raise UserError(
            f"{where}: found numbers from {low:g} to {high:g}, expected 0 to 65535; if they are the scores of a "
            "network, save scores > 0 instead"
        )
    if array.dtype.kind == "f":
        if high <= 1:
            array = array * np.float64(255)
        elif (array != np.rint(array)).any():
            raise UserError(f"{where}: found fractions up to {high:g}, expected ids, or numbers from 0 to 1")
        array = np.rint(array)
    return MaskImage("array", "level", array.astype(np.uint16), 255 if high <= 255 else 65535)


def check_size(found: tuple[int, int], wanted: tuple[int, int], where: str) -> None:
    """Check that a mask has the size of the frames.

    Args:
        found: width and height of the mask, pixels.
        wanted: width and height of the frames, pixels.
        where: file of the mask, for the message.

    Raises:
        UserError: the sizes differ; the message says how they are related.
    """
    if found == wanted:
        return
    (w, h), (width, height) = found, wanted
    ratio = w / width
    if (w, h) == (height, width):
        how = "width and height are swapped; turn the masks by 90 degrees, as players show the recording"
    elif abs(h - ratio * height) <= 1:
        how = f"they are {ratio:.3g} times the size of the frames; resize them, without smoothing, to the frames' size"
    else:
        how = "their proportions differ; make the masks from these frames, without cropping or padding"
    raise UserError(f"{where}: the mask is {w}x{h}, wanted {width}x{height} as the frames: {how}")


def _png(content: bytes, file: Path, size: tuple[int, int]) -> MaskImage:
    """Read a PNG. A palette is decoded to its indices, which OpenCV would replace by colours."""
    chunks = _chunks(content, file)
    header = chunks[b"IHDR"]
    width, height, bits, colour_type = struct.unpack(">IIBB", header[:10])
    # Before anything is decoded: a small file may hold an enormous image.
    check_size((width, height), size, str(file))
    indexed = colour_type == _PALETTE
    if indexed:  # decoded as grey levels, which are the indices, scaled to the full range
        header = header[:9] + b"\0" + header[10:]
    # Other chunks, such as gamma or a transparent colour, may change what OpenCV returns.
    parts = ((b"IHDR", header), (b"IDAT", chunks[b"IDAT"]), (b"IEND", b""))
    image = _decode(_PNG + b"".join(_chunk(name, part) for name, part in parts), cv2.IMREAD_UNCHANGED, file)
    if not indexed:
        return of_pixels(image, "PNG", str(file), size)
    if image.ndim != 2 or image.dtype != np.uint8 or b"PLTE" not in chunks:
        raise UserError(f"{file}: its palette is damaged")
    indices = image // (255 // (2**bits - 1))
    colours = np.frombuffer(chunks[b"PLTE"][: len(chunks[b"PLTE"]) // 3 * 3], np.uint8).reshape(-1, 3)
    palette = np.zeros(256, np.uint32)  # the standard allows palettes that are shorter than the range of indices
    palette[: len(colours)] = _packed(colours[None, :256, ::-1])[0] if len(colours) else 0
    alpha = None
    if b"tRNS" in chunks:
        opacity = np.full(256, 255, np.uint8)
        stored = np.frombuffer(chunks[b"tRNS"], np.uint8)[:256]
        opacity[: len(stored)] = stored
        alpha = opacity[indices]
    return MaskImage("palette PNG", "index", indices, alpha=alpha, palette=palette)


def _chunks(content: bytes, file: Path) -> dict[bytes, bytes]:
    """Return the contents of a PNG's chunks by name; parts of the pixels' data are joined.

    Raises:
        UserError: a chunk is truncated or its checksum is wrong, or one is missing.
    """
    chunks: dict[bytes, bytes] = {}
    pixels = []
    at = len(_PNG)
    while at + 12 <= len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        name, end = content[at + 4 : at + 8], at + 8 + length
        data = content[at + 8 : end]
        if content[end : end + 4] != zlib.crc32(name + data).to_bytes(4, "big"):
            break
        if name == b"IDAT":
            pixels.append(data)
        else:
            chunks.setdefault(name, data)
        if name == b"IEND":
            break
        at = end + 4
    if b"IEND" not in chunks or not pixels or len(chunks.get(b"IHDR", b"")) != 13:
        raise UserError(f"{file}: the PNG image is truncated or damaged")
    return {**chunks, b"IDAT": b"".join(pixels)}


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + zlib.crc32(name + data).to_bytes(4, "big")


def _decode(content: bytes, flags: int, file: Path) -> Values:
    with quiet_opencv():
        try:
            image = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
        except cv2.error:  # an image too large, or a damaged header
            image = None
    if image is None:
        raise UserError(f"{file}: not an image that can be decoded; the file may be damaged")
    return np.asarray(image)


def of_pixels(image: Values, name: str, where: str, size: tuple[int, int], *, lossy: bool = False) -> MaskImage:
    """Return a decoded image as levels or colours.

    Args:
        image: (H, W) or (H, W, C) of 8 or 16 bits, in OpenCV's order of channels.
        name: name of the format.
        where: file of the mask, for messages.
        size: width and height of the frames, pixels.
        lossy: whether the format changes values.

    Raises:
        UserError: the mask has another size than the frames.
    """
    check_size((image.shape[1], image.shape[0]), size, where)
    top = 65535 if image.dtype == np.uint16 else 255
    depth = "16-bit " if top > 255 else ""
    if image.ndim == 2:
        return MaskImage(f"{depth}grey {name}", "level", image, top, lossy=lossy)
    blue, green, red = (image[..., channel] for channel in range(3))
    alpha = None
    if image.shape[2] == 4:
        # uint8 is enough to see half, and rounding up keeps faint opacity apart from none.
        alpha = image[..., 3] if top == 255 else np.ceil(image[..., 3] / 257).astype(np.uint8)
    within = _GREY_WITHIN if lossy else 0
    if all(int(cv2.absdiff(green, other).max(initial=0)) <= within for other in (blue, red)):
        form = f"{depth}grey {name}" + (" with transparency" if alpha is not None else "")
        return MaskImage(form, "level", green, top, alpha, lossy=lossy)
    if top > 255:
        image = (image >> 8).astype(np.uint8)
    colours = _packed(image[..., :3])
    form = f"colour {name}" + (" with transparency" if alpha is not None else "")
    return MaskImage(form, "colour", colours, alpha=alpha, lossy=lossy)


def _packed(bgr: Values) -> Values:
    """Return colours (H, W, 3) uint8 in OpenCV's order as (H, W) integers 0xRRGGBB."""
    # Bytes blue, green, red, 255 are the number 0xFFRRGGBB, without a copy.
    return cv2.cvtColor(np.ascontiguousarray(bgr), cv2.COLOR_BGR2BGRA).view("<u4")[..., 0] & np.uint32(0xFFFFFF)
