"""Frames from videos and folders, good and bad."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recordings import HEIGHT, WIDTH, grey_frame, write_folder, write_video

from adaptation.recording.footage.frame_numbers import check_frames, parse_frames
from adaptation.recording.footage.video import open_frames
from adaptation.support.errors import UserError


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "clip.avi", 20)


def number_of(frame: np.ndarray) -> int:
    return round(float(frame.mean()) / 10)


def test_video_is_read_in_order_and_again(video: Path) -> None:
    frames = open_frames(video)
    assert frames.size == (WIDTH, HEIGHT)
    for _ in range(2):
        assert [number_of(frame) for frame in frames] == list(range(20))
    assert frames.count == 20 and frames.warning == ""


def test_random_access_in_any_order(video: Path) -> None:
    frames = open_frames(video)
    for number in (3, 3, 15, 2, 19, 0):
        assert number_of(frames.frame(number)) == number
    for number in (-1, 20):
        with pytest.raises(UserError, match=f"no frame {number}"):
            frames.frame(number)


def test_returned_frame_can_be_drawn_on(video: Path) -> None:
    frames = open_frames(video)
    frames.frame(5)[:] = 0
    assert number_of(frames.frame(5)) == 5


def test_truncated_video_is_used_with_a_warning(video: Path, capfd) -> None:
    data = video.read_bytes()
    start = data.index(b"movi")
    video.write_bytes(data[: start + (len(data) - start) // 2])
    frames = open_frames(video)
    assert 0 < frames.exact_count() < 20
    assert [number_of(frame) for frame in frames] == list(range(frames.count))
    assert f"truncated; it has {frames.count} of about 20" in frames.warning
    assert capfd.readouterr().err == ""


NAMES = (
    b"clip %03d.avi", b"a\nb.avi", b"S\xfcd.avi", b"-i.avi", b"rtsp:x.avi", b"concat:a|b.avi", b"[a] {b} *?.avi",
    b"clip.avi  ", b"img%03d.png.avi", b"no suffix", b".hidden", b"x" * 250 + b".avi", "größe 日本.avi".encode(),
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_read(tmp_path: Path, name: bytes, monkeypatch) -> None:
    path = write_video(tmp_path / "clip.avi", 5).rename(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    monkeypatch.chdir(tmp_path)  # relative names are those that look like options and protocols
    frames = open_frames(path.name)
    assert [number_of(frame) for frame in frames] == [0, 1, 2, 3, 4]
    assert number_of(frames.frame(3)) == 3


def test_folders_of_any_name_are_read(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "images", ["1.png", "2.png"]).rename(os.fsdecode(os.fsencode(tmp_path) + b"/\xfc"))
    (folder / "1.png").rename(folder / os.fsdecode(b"a\n\xff%d.png"))
    assert open_frames(folder).exact_count() == 2 and number_of(open_frames(folder).frame(0)) == 0


def test_links_are_followed_and_pipes_refused(video: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(video)
    assert open_frames(tmp_path / "link").exact_count() == 20
    os.mkfifo(tmp_path / "pipe.avi")
    for path in (tmp_path / "pipe.avi", Path("/dev/zero")):
        with pytest.raises(UserError, match="pipe or a device"):
            open_frames(path)


def test_errors_are_one_line_whatever_the_name(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\nb\x1b[31m\xff.avi"))
    path.write_bytes(b"")
    with pytest.raises(UserError) as caught:
        open_frames(path)
    assert str(caught.value).isprintable() and r"a\nb\x1b[31m\udcff.avi: not a video (empty file)" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "not a video|no frame"), (b"not a video at all" * 99, "not a video|no frame")],
)
def test_not_a_video(tmp_path: Path, content: bytes, message: str, capfd) -> None:
    path = tmp_path / "clip.avi"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        open_frames(path)
    assert "clip.avi" in str(caught.value) and "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_header_without_frames(video: Path, capfd) -> None:
    data = video.read_bytes()
    video.write_bytes(data[: data.index(b"movi") + 4])
    with pytest.raises(UserError, match=r"not a video|no frame"):
        open_frames(video)
    assert capfd.readouterr().err == ""


def test_missing_path_and_single_image(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        open_frames(tmp_path / "nowhere.avi")
    cv2.imwrite(str(tmp_path / "img_01.png"), grey_frame(1))
    with pytest.raises(UserError, match="single image"):
        open_frames(tmp_path / "img_01.png")


def test_folder_in_natural_order(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "images", ["f1.png", "f2.png", "f10.PNG", "f20.bmp"])
    (folder / "notes.txt").write_text("no image")
    (folder / ".f3.png").write_bytes(b"hidden")
    frames = open_frames(folder)
    assert frames.count == 4 and frames.size == (WIDTH, HEIGHT)
    assert [number_of(frame) for frame in frames] == [0, 1, 2, 3]
    assert number_of(frames.frame(2)) == 2
    with pytest.raises(UserError, match="no frame 4"):
        frames.frame(4)


def test_bad_folders(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no images"):
        open_frames(tmp_path / "empty")
    folder = write_folder(tmp_path / "images", ["1.png", "2.png"])
    cv2.imwrite(str(folder / "3.png"), np.zeros((9, 7, 3), np.uint8))
    with pytest.raises(UserError, match=r"3\.png.* 7x9.*64x48"):
        list(open_frames(folder))
    (folder / "3.png").write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"3\.png: not an image"):
        list(open_frames(folder))


def test_two_images_of_one_name_are_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "images", ["1.png", "2.png", "2.jpg"])
    with pytest.raises(UserError, match=r"images of one name \(2\.jpg, 2\.png\).*remove the others"):
        open_frames(folder)


def test_frames_of_sixteen_bits_among_others(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "images", ["1.png", "2.png"])
    cv2.imwrite(str(folder / "2.png"), np.zeros((HEIGHT, WIDTH), np.uint16))
    with pytest.raises(UserError, match=r"2\.png: expected 8 bits per channel, got 16"):
        list(open_frames(folder))
    cv2.imwrite(str(folder / "0.png"), np.full((HEIGHT, WIDTH), 900, np.uint16))
    with pytest.raises(UserError, match=r"1\.png: expected 16 bits per channel"):
        list(open_frames(folder))


def test_parse_frames_examples() -> None:
    assert parse_frames("10,20,30-33") == (10, 20, 30, 31, 32, 33)
    assert parse_frames(" 3 , 1-2, 2") == (1, 2, 3)


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 50)), min_size=1, max_size=8))
def test_parse_frames_round_trip(ranges: list[tuple[int, int]]) -> None:
    text = ",".join(f"{a}-{a + n}" if n else str(a) for a, n in ranges)
    assert parse_frames(text) == tuple(sorted({i for a, n in ranges for i in range(a, a + n + 1)}))


@pytest.mark.parametrize(
    "text",
    ["", ",", "1,", "a", "1.5", "-3", "5-", "3--4", "1-2-3", "9-3", "0-99999999999", "9" * 5000],
)
def test_parse_frames_refuses(text: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_frames(text)
    assert "\n" not in str(caught.value)


@given(st.text())
def test_parse_frames_never_crashes(text: str) -> None:
    try:
        numbers = parse_frames(text)
    except UserError:
        return
    assert numbers and min(numbers) >= 0


def test_check_frames(video: Path) -> None:
    frames = open_frames(video)
    check_frames((0, 19), frames)
    with pytest.raises(UserError, match=r"frame 20 does not exist.*20 frames, 0 to 19"):
        check_frames((5, 20), frames)
