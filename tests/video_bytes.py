"""Changes to the bytes of small videos, for what OpenCV's writer cannot write."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np


def box(name: bytes, content: bytes) -> bytes:
    """Return an MP4 box."""
    return struct.pack(">I", 8 + len(content)) + name + content


def with_box(data: bytes, parents: tuple[bytes, ...], new: bytes) -> bytes:
    """Return an MP4 file, whose index comes last, with a box appended to the innermost of some boxes."""
    starts, start = [], 0
    for name in parents:
        start = data.index(name, start)
        starts.append(start - 4)
    changed = bytearray(data)
    end = starts[-1] + struct.unpack_from(">I", data, starts[-1])[0]
    for place in starts:
        struct.pack_into(">I", changed, place, struct.unpack_from(">I", data, place)[0] + len(new))
    return bytes(changed[:end]) + new + bytes(changed[end:])


def turned(data: bytes) -> bytes:
    """Return an MP4 file whose track is shown turned by a quarter."""
    place = data.index(b"tkhd") + 4 + 40  # the matrix, in fixed point of 16 bits
    matrix = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    return data[:place] + matrix + data[place + 36 :]


def longer(data: bytes, factor: float = 3) -> bytes:
    """Return a Matroska file whose header claims a longer duration, as that of the sound or of a variable rate."""
    place = data.index(b"\x44\x89\x88") + 3
    (duration,) = struct.unpack_from(">d", data, place)
    return data[:place] + struct.pack(">d", factor * duration) + data[place + 8 :]


def with_repeats(data: bytes, count: int) -> bytes:
    """Return an AVI file with empty chunks, which repeat a picture, before its index; its header counts them."""
    new = struct.pack("<4sI", b"00dc", 0) * count
    movie, index = data.index(b"movi"), data.index(b"idx1")
    changed = bytearray(data[:index] + new + data[index:])
    for place in (4, movie - 4):  # sizes of the file and of the list
        struct.pack_into("<I", changed, place, struct.unpack_from("<I", changed, place)[0] + len(new))
    for place in (data.index(b"avih") + 24, data.index(b"strh") + 40):  # numbers of frames
        struct.pack_into("<I", changed, place, struct.unpack_from("<I", changed, place)[0] + count)
    end = index + len(new) + 8 + struct.unpack_from("<I", data, index + 4)[0]
    entries = b"".join(struct.pack("<4sIII", b"00dc", 0, index - movie + 8 * number, 0) for number in range(count))
    struct.pack_into("<I", changed, index + len(new) + 4, end - index - len(new) - 8 + len(entries))
    struct.pack_into("<I", changed, 4, struct.unpack_from("<I", changed, 4)[0] + len(entries))
    return bytes(changed[:end]) + entries + bytes(changed[end:])


def write_deep_video(path: Path, frames: list[np.ndarray]) -> Path:
    """Write grey frames (H, W) uint16 without loss."""
    grey = [cv2.VIDEOWRITER_PROP_DEPTH, cv2.CV_16U, cv2.VIDEOWRITER_PROP_IS_COLOR, 0]
    size = (frames[0].shape[1], frames[0].shape[0])
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*"FFV1"), 10, size, grey)
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path
