"""Containers of videos, read without decoding: whether a file is cut off, its codec, and the frames it lists.

OpenCV reports neither decoding errors nor the reason why a video ends. Sources of the layouts: the reference of AVI
RIFF files with its extension OpenDML, ISO/IEC 14496-12 (MP4 and QuickTime), and RFC 9559 (Matroska and WebM).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from adaptation.support.reading.file_kinds import kind_of

_NEAR = 1 << 20  # bytes at either end of a file in which codecs are looked for
_MOST_CHUNKS = 20_000_000  # beyond every real file; damaged ones could hold a chunk per byte


class Damaged(Exception):
    """The structure of a container is broken."""


def is_cut_off(file: Path) -> bool:
    """Return whether a container states a length that the file does not reach."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        match kind_of(file):
            case "AVI video":
                return any(end > size for _, _, end in _riff_chunks(opened, 0, size))
            case "MP4 or QuickTime video":
                return any(end > size for _, _, end in _boxes(opened, 0, size))
            case "Matroska or WebM video":
                end = _segment_end(opened.read(4096))
                return end is not None and end > size
    return False


def has_index(file: Path) -> bool:
    """Return whether an MP4 file has its index, without which nothing can be decoded; other files always have one."""
    if kind_of(file) != "MP4 or QuickTime video":
        return True
    with file.open("rb") as opened:
        return any(name == b"moov" for name, _, _ in _boxes(opened, 0, file.stat().st_size))


def listed_frames(file: Path) -> int | None:
    """Return how many frames the container lists, or None where it only estimates them or shows a part of them.

    Matroska, WebM and streams know a duration and a rate, which overestimate the frames of a variable rate, and the
    duration may be that of the sound. An edit list of MP4 may leave out frames that are in the file.

    Raises:
        Damaged: The container is damaged.
    """
    size = file.stat().st_size
    with file.open("rb") as opened:
        try:
            match kind_of(file):
                case "AVI video":
                    return _avi_frames(opened, size)
                case "MP4 or QuickTime video":
                    return _mp4_frames(opened, size)
        except (LookupError, struct.error):
            raise Damaged from None
    return None


def codec_of(file: Path) -> str:
    """Return the name of the video codec as the container states it, such as "av01"; empty if it is not found."""
    with file.open("rb") as opened:
        content = opened.read(_NEAR)
        opened.seek(max(file.stat().st_size - _NEAR, len(content)))
        content += opened.read(_NEAR)
    match kind_of(file):
        case "AVI video":
            # BITMAPINFOHEADER follows the name and size of its chunk; biCompression is its fifth field.
            found = re.search(rb"vids.{40,80}?strf.{20}(.{4})", content, re.DOTALL)
        case "MP4 or QuickTime video":
            # The first sample entry of a track that has a video media header.
            found = re.search(rb"vmhd.*?stsd.{12}(.{4})", content, re.DOTALL)
        case _:
            found = re.search(rb"\x86[\x80-\xff](V_[A-Z0-9/]+)", content)
    name = found[1].decode("latin1").strip("\0 ") if found else ""
    return name if name.isascii() and name.isprintable() else ""


def _riff_chunks(file: IO[bytes], start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start of the content and end of each chunk of a RIFF file; the last end may lie behind the file."""
    for _ in range(_MOST_CHUNKS):
        file.seek(start)
        header = file.read(8)
        if start + 8 > end or len(header) < 8:
            return
        name, size = header[:4], struct.unpack("<I", header[4:])[0]
        # A recorder that was killed leaves the size of the whole at 0.
        last = end if name == b"RIFF" and size == 0 else start + 8 + size
        yield name, start + 8, last
        start = last + size % 2  # chunks start at even places


def _avi_frames(file: IO[bytes], size: int) -> int:
    """Count the chunks of video that are not empty; an empty one repeats the picture before it."""
    count, places = 0, [(0, size)]
    while places:
        for name, start, end in _riff_chunks(file, *places.pop()):
            if name in (b"RIFF", b"LIST"):
                file.seek(start)
                if file.read(4) in (b"AVI ", b"AVIX", b"movi", b"rec "):
                    places.append((start + 4, min(end, size)))
            elif not name.replace(b" ", b"").isalnum():
                raise LookupError(name)  # no name of a chunk, so the one before it had a wrong size
            elif name[2:] in (b"dc", b"db") and end > start:
                count += 1
    return count


def _boxes(file: IO[bytes], start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name, start of the content and end of each MP4 box; the last end may lie behind the file."""
    for _ in range(_MOST_CHUNKS):
        file.seek(start)
        header = file.read(16)
        if start + 8 > end or len(header) < 8:
            return
        size, name, body = struct.unpack(">I", header[:4])[0], header[4:8], 8
        if size == 1 and len(header) == 16:  # a size of 64 bits follows the name
            size, body = struct.unpack(">Q", header[8:])[0], 16
        last = end if size == 0 else start + size
        if last < start + body:
            return  # damaged
        yield name, start + body, last
        start = last


def _mp4_frames(file: IO[bytes], size: int) -> int | None:
    """Return the number of samples of the first video track, or None if its edit list shows only a part."""
    movie = _find(file, 0, size, b"moov")
    for name, start, end in _boxes(file, *movie):
        if name == b"trak" and _field(file, _find(file, start, end, b"mdia", b"hdlr"), 8, 4) == b"vide":
            return _track_frames(file, movie, (start, end))
    return None


def _track_frames(file: IO[bytes], movie: tuple[int, int], track: tuple[int, int]) -> int | None:
    """Return the number of samples of a track, or None if its edit list shows only a part of them."""
    table = _find(file, *track, b"mdia", b"minf", b"stbl", b"stsz")
    count = int(struct.unpack(">I", _field(file, table, 8, 4))[0])
    try:
        edits = _find(file, *track, b"edts", b"elst")
    except LookupError:
        return count
    seconds = _seconds(file, _find(file, *track, b"mdia", b"mdhd"))
    clock = struct.unpack(">I", _field(file, _find(file, *movie, b"mvhd"), 12, 4))[0]
    version, entries = _field(file, edits, 0, 1)[0], struct.unpack(">I", _field(file, edits, 4, 4))[0]
    shown, width = 0.0, 20 if version else 12
    for entry in range(min(entries, 1000)):
        form = ">Qq" if version else ">Ii"
        duration, media_time = struct.unpack(form, _field(file, edits, 8 + entry * width, struct.calcsize(form)))
        shown += duration / max(clock, 1) if media_time >= 0 else 0  # -1 is a pause before the video
    # Rounded clocks and the last frame's duration may differ by about a frame.
    return count if shown > seconds - 1.5 * seconds / max(count, 1) else None


def _seconds(file: IO[bytes], header: tuple[int, int]) -> float:
    """Return the duration in a media header."""
    long = _field(file, header, 0, 1)[0] == 1
    clock, duration = struct.unpack(
        ">IQ" if long else ">II", _field(file, header, 20 if long else 12, 12 if long else 8)
    )
    return float(duration / max(clock, 1))


def _find(file: IO[bytes], start: int, end: int, *names: bytes) -> tuple[int, int]:
    """Return the place of a box by the names of the boxes around it; LookupError if it is missing."""
    for name in names:
        start, end = next(((first, last) for found, first, last in _boxes(file, start, end) if found == name), (0, 0))
        if not end:
            raise LookupError(name)
    return start, end


def _field(file: IO[bytes], place: tuple[int, int], offset: int, length: int) -> bytes:
    """Return some bytes of a box; LookupError if it ends before."""
    file.seek(place[0] + offset)
    content = file.read(length)
    if len(content) < length:
        raise LookupError
    return content


def _segment_end(content: bytes) -> int | None:
    """Return where the segment of a Matroska file ends, or None if it does not say so."""
    place = 4
    size, place = _vint(content, place)
    place += size or 0
    if content[place : place + 4] != b"\x18\x53\x80\x67":
        return None
    size, place = _vint(content, place + 4)
    return None if size is None else place + size


def _vint(content: bytes, place: int) -> tuple[int | None, int]:
    """Return EBML's number at a place, None for "unknown", and the place behind it."""
    if place >= len(content) or not content[place]:
        return None, place
    length = 9 - content[place].bit_length()
    number = int.from_bytes(content[place : place + length], "big") & ((1 << 7 * length) - 1)
    return (None if number == (1 << 7 * length) - 1 else number), place + length
