"""The files of masks in a folder and its subfolders, by name."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from adaptation.recording.footage.masks.images import SUFFIXES
from adaptation.support.errors import UserError
from adaptation.support.image_files import natural_key
from adaptation.support.reading.findings import found

_DEPTH = 4  # folders within folders, such as DAVIS's Annotations/480p/NAME


def list_masks(folder: Path, recording: Path, frame_names: frozenset[str] = frozenset()) -> tuple[Path, list[str]]:
    """List the masks of a folder.

    A folder without masks may hold one folder with them, one folder with the recording's name, a folder per person,
    or a folder per frame.

    Args:
        folder: the folder.
        recording: video file or folder of images.
        frame_names: names of the images without suffix; empty for a video.

    Returns:
        The folder that holds the masks, and their names relative to it, in natural order.

    Raises:
        UserError: there is no such folder, it holds no masks, or several folders of masks.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder of masks")
    inside = folder
    for _ in range(_DEPTH):
        files, folders = _contents(inside)
        if files:
            if inside != folder:
                found(f"masks: they are taken from the folder {inside.relative_to(folder)}")
            return inside, _of_one_kind(files)
        filled = [name for name in folders if any(_contents(inside / name))]
        named = [name for name in filled if name == recording.stem or name == recording.name]
        if len(filled) != 1 and not named:
            return inside, _of_several(inside, filled, frame_names)
        inside = inside / (named or filled)[0]
    raise _nothing(folder)


def _of_several(folder: Path, names: list[str], frame_names: frozenset[str]) -> list[str]:
    """List the masks of a folder per person, or per frame."""
    files = [f"{name}/{file}" for name in names for file in _of_one_kind(_contents(folder / name)[0])]
    if not files:
        raise _nothing(folder)
    per_frame = bool(frame_names) and all(name in frame_names for name in names)
    numbered = len({re.sub("[0-9]+", "\0", name) for name in names}) == 1 and bool(re.search("[0-9]", names[0]))
    if not per_frame and not numbered:
        listed = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
        raise UserError(
            f"{folder}: it holds no masks, but {len(names)} folders ({listed}); give the one that belongs to the "
            "recording, or number them if there is one per person"
        )
    return files


def _of_one_kind(files: list[str]) -> list[str]:
    """Leave out other files where there are PNG files: images and previews often lie beside masks."""
    png = [file for file in files if file.lower().endswith(".png")]
    if png and len(png) < len(files):
        others = [file for file in files if not file.lower().endswith(".png")]
        found(f"masks: PNG files are used, but not {len(others)} others such as {others[0]}")
    return png or files


def _contents(folder: Path) -> tuple[list[str], list[str]]:
    """Return the names of masks and of folders, in natural order, without hidden ones."""
    try:
        # Hidden files include the "._*" twins that macOS puts next to every file on foreign disks.
        entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
        files = [entry.name for entry in entries if entry.suffix.lower() in SUFFIXES and entry.is_file()]
        folders = [entry.name for entry in entries if entry.is_dir()]
    except OSError as error:
        raise UserError(f"{folder}: cannot be read: {error.strerror}") from None
    return sorted(files, key=natural_key), sorted(folders, key=natural_key)


def _nothing(folder: Path) -> UserError:
    """Return the error for a folder without masks, which says what it holds."""
    files = [entry for entry in folder.iterdir() if entry.is_file() and not entry.name.startswith(".")]
    kinds = Counter(entry.suffix.lower() or "without suffix" for entry in files)
    listed = ", ".join(f"{number} {kind}" for kind, number in kinds.most_common(4)) or "no files"
    return UserError(
        f"{folder}: there are no PNG masks in this folder, nor JPEG, BMP, TIFF, WebP or npy files; it holds {listed}"
    )
