"""What containers say: where they end, their codec, and how many frames they list."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from recordings import write_video
from video_bytes import box, longer, with_box, with_repeats

from adaptation.recording.footage.decoding.containers import codec_of, has_index, is_cut_off, listed_frames
from adaptation.recording.footage.video import open_frames

CODECS = {".avi": "MJPG", ".mp4": "mp4v", ".mkv": "MJPG"}


@pytest.mark.parametrize(("suffix", "codec"), CODECS.items())
def test_whole_and_truncated_files(tmp_path: Path, suffix: str, codec: str) -> None:
    path = write_video(tmp_path / f"clip{suffix}", 20, codec)
    assert not is_cut_off(path) and has_index(path)
    assert codec_of(path) == {".mkv": "V_MJPEG"}.get(suffix, codec)
    assert listed_frames(path) == (None if suffix == ".mkv" else 20)
    path.write_bytes(path.read_bytes()[:-100])
    assert is_cut_off(path)


def test_an_unfinished_mp4_has_no_index(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", 20, "mp4v")
    path.write_bytes(path.read_bytes()[:1000])
    assert not has_index(path) and is_cut_off(path)


def test_a_longer_header_of_matroska_is_no_damage(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mkv", 20)
    path.write_bytes(longer(path.read_bytes()))
    frames = open_frames(path)
    assert frames.count == 60  # what the header makes OpenCV believe
    assert frames.exact_count() == 20 and frames.warning == ""
    path.write_bytes(path.read_bytes()[:3000])
    frames = open_frames(path)
    assert 0 < frames.exact_count() < 20 and "truncated" in frames.warning


def test_repeated_pictures_of_avi_are_no_damage(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.avi", 20)
    path.write_bytes(with_repeats(path.read_bytes(), 5))
    assert listed_frames(path) == 20
    frames = open_frames(path)
    assert frames.count == 25 and frames.exact_count() == 20 and frames.warning == ""


def test_a_frame_that_cannot_be_decoded_is_a_warning(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.avi", 20)
    data = bytearray(path.read_bytes())
    place = data.index(b"00dc", data.index(b"movi") + 1000)
    whole = bytes(data)
    (size,) = struct.unpack_from("<I", data, place + 4)
    data[place + 8 : place + 8 + size] = bytes(size)
    path.write_bytes(data)
    frames = open_frames(path)
    assert frames.exact_count() == 19 and "only 19 of the 20 frames that the file lists" in frames.warning
    path.write_bytes(whole[:place] + bytes(500) + whole[place + 500 :])  # also the headers of chunks
    frames = open_frames(path)
    count = frames.exact_count()
    assert count < 20 and f"only {count} of the 20 frames" in frames.warning


def test_frames_that_an_edit_list_leaves_out_are_no_damage(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", 20, "mp4v")
    data = path.read_bytes()
    clock = struct.unpack_from(">I", data, data.index(b"mvhd") + 16)[0]
    media = struct.unpack_from(">I", data, data.index(b"mdhd") + 16)[0]
    start = data.index(b"edts") - 4 if b"edts" in data else None
    if start is not None:  # the list that shows everything is renamed to padding
        data = data[: start + 4] + b"free" + data[start + 8 :]
    edits = struct.pack(">IIIiI", 0, 1, clock, media, 1 << 16)  # one second, from the second on
    path.write_bytes(with_box(data, (b"moov", b"trak"), box(b"edts", box(b"elst", edits))))
    assert listed_frames(path) is None
    frames = open_frames(path)
    assert frames.exact_count() < 20 and frames.warning == ""
