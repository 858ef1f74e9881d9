"""Videos decoded as players show them, and what is said about those that cannot be."""

from __future__ import annotations

import base64
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from fuzzing import fuzz
from recordings import HEIGHT, WIDTH, write_video
from video_bytes import box, turned, with_box, write_deep_video

from adaptation.recording.footage.video import open_frames
from adaptation.support.errors import UserError
from adaptation.support.levels import Levels
from adaptation.support.reading.findings import kept_findings

# Three frames of MPEG-2 that are marked as interlaced: a gradient from black to white, 64 x 48.
INTERLACED = base64.b64decode(
    "AAABswQAMCP//+AYAAABtRSCAAEAAAAAAbgACABAAAABAAAP//gAAAG1j//zAAAAAAEBo3x3+6X9V/dL+ItZ/dL+r/ul/EWs/ul/Vf3S/iLW"
    "/3S/qv7pfxEAAAABAqN83/ul/V/3S/iLWf3S/qv7pfxFrf7pf1X90v4i1v90f6v+6X8RAAAAAQOjeS/ul/Vf3S/iLW/3S/qv7pfxFrP7pf1f"
    "90v4i1n90v6r+6X8RAAAAQSjcX3S9zfdLxFul7pe5vul4i3S90fc73R8Rbpe6Xub7peIgAAAAbMEADAj///gGAAAAbUUggABAAAAAAG4AAgA"
    "wAAAAQAAD//4AAABtY//8wAAAAABAaN8d/ul/Vf3S/iLWf3S/q/7pfxFrP7pf1X90v4i1v90v6r+6X8RAAAAAQKjfN/7pf1f90v4i1n90v6r"
    "+6X8Ra3+6X9V/dL+Itb/dH+r/ul/EQAAAAEDo3kv7pf1X90v4i1v90v6r+6X8Raz+6X9X/dL+ItZ/dL+q/ul/EQAAAEEo3F90vc33S8Rbpe6"
    "Xub7peIt0vdH3O90fEW6Xul7m+6XiIAAAAGzBAAwI///4BgAAAG1FIIAAQAAAAABuAAIAUAAAAEAAA//+AAAAbWP//MAAAAAAQGjfHf7pf1X"
    "90v4i1n90v6v+6X8Raz+6X9V/dL+Itb/dL+q/ul/EQAAAAECo3zf+6X9X/dL+ItZ/dL+q/ul/EWt/ul/Vf3S/iLW/3R/q/7pfxEAAAABA6N5"
    "L+6X9V/dL+Itb/dL+q/ul/EWs/ul/V/3S/iLWf3S/qv7pfxEAAABBKNxfdL3N90vEW6Xul7m+6XiLdL3R9zvdHxFul7pe5vul4iA"
)

PIXELS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"mp4v")  # boxes around the shape of pixels


def test_a_codec_that_is_missing_is_named_with_the_remedy(tmp_path: Path) -> None:
    path = write_video(tmp_path / "my clip.avi", 3)
    path.write_bytes(path.read_bytes().replace(b"MJPG", b"XY7Z"))
    with pytest.raises(UserError, match=r"AVI video, codec XY7Z.*lacks its codec.*ffmpeg -i '.*my clip.avi' -pix_fmt"):
        open_frames(path)


def test_an_unfinished_mp4_says_so(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", 20, "mp4v")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"no moov box.*never finished"):
        open_frames(path)


def test_playlists_are_not_followed(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.avi", 3)
    for text in ("ffconcat version 1.0\nfile clip.avi\n", "#EXTM3U\n#EXTINF:1,\nclip.avi\n"):
        (tmp_path / "list.avi").write_text(text)
        with pytest.raises(UserError, match=r"not a video \(text file\)"):
            open_frames(tmp_path / "list.avi")


def test_animated_images_are_read(tmp_path: Path) -> None:
    animation = cv2.Animation()
    animation.frames = [np.full((HEIGHT, WIDTH, 3), 60 * number, np.uint8) for number in range(4)]
    animation.durations = [100] * 4
    for suffix in (".webp", ".png", ".gif"):
        path = tmp_path / f"clip{suffix}"
        assert cv2.imwriteanimation(str(path), animation)
        frames = open_frames(path)
        assert frames.size == (WIDTH, HEIGHT) and frames.exact_count() == 4
        assert [abs(float(frame.mean()) - 60 * number) < 4 for number, frame in enumerate(frames)] == [True] * 4
        assert abs(float(frames.frame(2).mean()) - 120) < 4


def test_an_animation_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    header = b"VP8X" + struct.pack("<I", 10) + b"\2\0\0\0" + (9999).to_bytes(3, "little") * 2
    body = b"WEBP" + header + (b"ANMF" + struct.pack("<I", 0)) * 100
    (tmp_path / "clip.webp").write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    with pytest.raises(UserError, match=r"100 frames of 10000x10000, too large.*anim_dump"):
        open_frames(tmp_path / "clip.webp")


def test_sixteen_bits_keep_their_contrast(tmp_path: Path) -> None:
    """A person of 600 levels above a scene of 29,000, who would have 2 of 256 grey levels in the full range."""
    scenes = [np.full((HEIGHT, WIDTH), 29000, np.uint16) for _ in range(12)]
    for number, scene in enumerate(scenes):
        scene += np.random.default_rng(number).integers(-20, 21, scene.shape).astype(np.uint16)
        scene[10:40, 5 + 3 * number : 15 + 3 * number] += 600
    folder = tmp_path / "images"
    folder.mkdir()
    for number, scene in enumerate(scenes):
        cv2.imwrite(str(folder / f"{number}.png"), scene)
    for path in (write_deep_video(tmp_path / "clip.mkv", scenes), folder):
        with kept_findings() as lines:
            frames = open_frames(path)
        assert len(lines) == 1 and "16 bits per channel; levels 289" in lines[0] and "--range" in lines[0]
        image = frames.frame(5)
        assert image.dtype == np.uint8 and image.shape == (HEIGHT, WIDTH, 3)
        assert float(image[10:40, 20:30].mean() - image[45:].mean()) > 180
        assert np.array_equal(image, list(frames)[5])
        given = open_frames(path, Levels(28000, 31000)).frame(5)
        assert abs(float(given[45:].mean()) - 85) < 2 and abs(float(given[10:40, 20:30].mean()) - 136) < 2


def test_a_range_for_eight_bits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--range is for recordings of 16 bits"):
        open_frames(write_video(tmp_path / "clip.avi", 3), Levels(0, 1000))


def test_rotation_is_applied(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", 5, "mp4v")
    path.write_bytes(turned(path.read_bytes()))
    frames = open_frames(path)
    assert frames.size == (HEIGHT, WIDTH) and frames.frame(1).shape == (WIDTH, HEIGHT, 3)


@pytest.mark.parametrize(("ratio", "size"), [((2, 1), (128, 48)), ((1, 2), (64, 96)), ((1, 99), (64, 48))])
def test_pixels_become_square(tmp_path: Path, ratio: tuple[int, int], size: tuple[int, int]) -> None:
    path = write_video(tmp_path / "clip.mp4", 5, "mp4v")
    data = path.read_bytes()
    while b"pasp" in data:
        data = data.replace(b"pasp", b"free")
    path.write_bytes(with_box(data, PIXELS, box(b"pasp", struct.pack(">II", *ratio))))
    with kept_findings() as lines:
        frames = open_frames(path)
    assert frames.size == size and f"{ratio[0]}:{ratio[1]}" in lines[0]
    assert frames.frame(2).shape == (size[1], size[0], 3)


def test_interlaced_video_is_right_or_refused(tmp_path: Path) -> None:
    """OpenCV 5.0 returns memory that it has not written."""
    path = tmp_path / "clip.m2v"
    path.write_bytes(INTERLACED)
    try:
        frames = open_frames(path)
    except UserError as error:
        assert "interlaced" in str(error) and "-vf yadif" in str(error)
    else:
        assert abs(float(frames.frame(0).mean()) - 127) < 10


def read_all(path: Path) -> None:
    frames = open_frames(path)
    for number, frame in enumerate(frames):
        assert frame.dtype == np.uint8 and frame.shape == (*frames.size[::-1], 3)
        if number > 100:
            break


@pytest.mark.parametrize(("suffix", "codec"), [(".avi", "MJPG"), (".mp4", "mp4v"), (".mkv", "mp4v"), (".mkv", "FFV1")])
def test_damaged_videos(tmp_path: Path, suffix: str, codec: str) -> None:
    good = write_video(tmp_path / f"good{suffix}", 6, codec).read_bytes()
    outcome = fuzz(read_all, [good], suffix, count=150)
    assert not outcome.findings, "\n".join(outcome.findings[:5])
    assert outcome.counts["read"] > 20 and outcome.counts["refused"] > 5


def test_damaged_deep_videos(tmp_path: Path) -> None:
    frames = [np.full((HEIGHT, WIDTH), 29000 + 100 * number, np.uint16) for number in range(4)]
    outcome = fuzz(read_all, [write_deep_video(tmp_path / "good.mkv", frames).read_bytes()], ".mkv", count=100)
    assert not outcome.findings, "\n".join(outcome.findings[:5])
