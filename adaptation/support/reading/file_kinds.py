"""What a file is, by its first bytes: names of files are wrong too often to rely on."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from adaptation.support.errors import UserError

# Longer signatures first where one begins with another. Sources: the formats' specifications and file(1).
_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "PNG image"),
    (0, b"\xff\xd8\xff", "JPEG image"),
    (0, b"BM", "BMP image"),
    (0, b"GIF8", "GIF image"),
    (0, b"II*\x00", "TIFF image"),
    (0, b"MM\x00*", "TIFF image"),
    (8, b"WEBP", "WebP image"),
    (8, b"AVI ", "AVI video"),
    (4, b"ftyp", "MP4 or QuickTime video"),
    (0, b"\x1a\x45\xdf\xa3", "Matroska or WebM video"),
    (0, b"\x89HDF\r\n\x1a\n", "HDF5 file"),
    (0, b"MATLAB", "MATLAB file"),
    (0, b"\x93NUMPY", "npy file of NumPy"),
    (0, b"\x1f\x8b", "gzip archive"),
    (0, b"7z\xbc\xaf'\x1c", "7z archive"),
    (0, b"Rar!", "RAR archive"),
    (0, b"BZh", "bzip2 archive"),
    (0, b"\xfd7zXZ", "xz archive"),
    (0, b"%PDF", "PDF document"),
    (0, b"glTF", "glTF model"),
    (0, b"ply", "PLY mesh"),
    (0, b"version https://git-lfs", "pointer of Git LFS, not the file itself (git lfs pull fetches it)"),
)

# The number 0x1950a86a20f9469cfc6c as a pickle of its own, with which torch.save began before version 1.6.
_TORCH_BEFORE_ZIP = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
# The version of the format, and the name of the program that wrote the file: protobuf's fields 1 and 2.
_ONNX = re.compile(rb"\x08[\x01-\x20]\x12[\x01-\x40][\x20-\x7e]{2}")

# As they are pronounced: "an HDF5 file".
_VOWELS = ("A", "H", "MP4", "O", "X", "e", "np", "u", "x")


def kind_of(file: Path) -> str:
    """Return what kind of file this is, as a noun such as "PNG image"; "empty file" or "unknown file" are among them.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        with file.open("rb") as opened:
            start = opened.read(512)
    except FileNotFoundError:
        raise UserError(f"no such file: {file}") from None
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from None
    if not start:
        return "empty file"
    if start[:4] == b"PK\x03\x04":
        return _kind_of_zip(file)
    if start.startswith(_TORCH_BEFORE_ZIP):
        return "PyTorch checkpoint"
    if start[:1] == b"\x80" and start[1:2] in b"\x02\x03\x04\x05":
        return "Python pickle"
    for offset, signature, kind in _SIGNATURES:
        if start[offset : offset + len(signature)] == signature:
            return kind
    # Safetensors begin with the length of a JSON header, eight bytes.
    if start[8:9] == b"{":
        return "safetensors file"
    if _ONNX.match(start):
        return "ONNX model"
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text[:1] in (b"{", b"["):
        return "JSON file"
    if text[:1] == b"<":
        return "XML or HTML file"
    return "unknown file" if b"\0" in start else "text file"


def with_article(kind: str) -> str:
    """Return a kind with "a" or "an" before it, for messages."""
    return f"an {kind}" if kind.startswith(_VOWELS) else f"a {kind}"


def _kind_of_zip(file: Path) -> str:
    """Tell apart the formats that are zip archives."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    # zipfile raises errors of many types, among them one for names that are not UTF-8.
    except Exception:
        return "truncated or damaged zip archive"
    if any(name.endswith("/constants.pkl") for name in names):
        return "TorchScript file"
    if any(name.endswith("model.weights.h5") for name in names):
        return "Keras model"
    if any(name.endswith("/archive_format") for name in names):
        return "program of torch.export"
    if any(name.endswith("data.pkl") for name in names):
        return "PyTorch checkpoint"
    if names and all(name.endswith(".npy") for name in names):
        return "npz file of NumPy"
    return "zip archive"
