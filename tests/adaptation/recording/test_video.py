"""Frames and masks from files and folders, good and bad."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptation.recording.video import check_frames, open_frames, open_masks, parse_frames
from adaptation.support.errors import UserError

WIDTH, HEIGHT = 64, 48


def grey_frame(number: int) -> np.ndarray:
    """A frame that tells its number by its brightness."""
    return np.full((HEIGHT, WIDTH, 3), 10 * number, np.uint8)


def write_video(path: Path, count: int) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (WIDTH, HEIGHT))
    for number in range(count):
        writer.write(grey_frame(number))
    writer.release()
    return path


def write_folder(path: Path, names: list[str]) -> Path:
    path.mkdir()
    for number, name in enumerate(names):
        cv2.imwrite(str(path / name), grey_frame(number))
    return path


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


def test_colours_are_rgb(tmp_path: Path) -> None:
    red = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    red[..., 2] = 200  # OpenCV writes blue, green, red
    (tmp_path / "folder").mkdir()
    cv2.imwrite(str(tmp_path / "folder" / "1.png"), red)
    assert open_frames(tmp_path / "folder").frame(0)[0, 0].tolist() == [200, 0, 0]


def test_truncated_video_is_used_with_a_warning(video: Path, capfd) -> None:
    data = video.read_bytes()
    start = data.index(b"movi")
    video.write_bytes(data[: start + (len(data) - start) // 2])
    frames = open_frames(video)
    assert 0 < frames.exact_count() < 20
    assert [number_of(frame) for frame in frames] == list(range(frames.count))
    assert f"only {frames.count} of the 20" in frames.warning
    assert capfd.readouterr().err == ""


def test_frames_of_sixteen_bits_are_refused(tmp_path: Path) -> None:
    """Their low byte, all that a thermal camera's scene may differ in, would be lost."""
    cv2.imwrite(str(tmp_path / "0.png"), np.full((8, 8), 30000, np.uint16))
    with pytest.raises(UserError, match=r"0\.png: 16 bits a channel, wanted 8"):
        open_frames(tmp_path)


def test_names_that_are_not_utf8_are_refused(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/S\xfcd.avi"))
    path.write_bytes(b"")
    with pytest.raises(UserError, match="the name is not UTF-8; rename"):
        open_frames(path)


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


def write_mask(path: Path, value: int, shape: tuple[int, int] = (HEIGHT, WIDTH)) -> None:
    mask = np.zeros(shape, np.uint8)
    mask[2:5, 3:7] = value
    cv2.imwrite(str(path), mask)


def test_masks_by_stem(tmp_path: Path) -> None:
    frames = open_frames(write_folder(tmp_path / "images", ["a.png", "b.png", "c.png"]))
    (tmp_path / "masks").mkdir()
    write_mask(tmp_path / "masks" / "c.png", 255)
    write_mask(tmp_path / "masks" / "a.png", 1)
    masks = open_masks(tmp_path / "masks", frames)
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[2:5, 3:7] = True
    assert np.array_equal(masks.mask(0), expected)
    assert masks.mask(1) is None
    assert np.array_equal(masks.mask(2), expected)


def test_shadow_label_of_a_given_mask_is_background(tmp_path: Path) -> None:
    frames = open_frames(write_folder(tmp_path / "images", ["a.png"]))
    (tmp_path / "masks").mkdir()
    mask = np.full((HEIGHT, WIDTH), 127, np.uint8)
    mask[0, 0] = 255
    cv2.imwrite(str(tmp_path / "masks" / "a.png"), mask)
    read = open_masks(tmp_path / "masks", frames).mask(0)
    assert read is not None and read.sum() == 1 and read[0, 0]


def test_masks_of_a_video(video: Path, tmp_path: Path) -> None:
    frames = open_frames(video)
    by_number = tmp_path / "by_number"
    by_number.mkdir()
    for number in (4, 19, 99):
        write_mask(by_number / f"frame_{number:05d}.png", 255)
    assert sorted(open_masks(by_number, frames).files) == [4, 19]
    by_order = tmp_path / "by_order"
    by_order.mkdir()
    for number in range(1, 21):  # counted from 1, as many tools do
        write_mask(by_order / f"{number}.png", 255)
    files = open_masks(by_order, frames).files
    assert sorted(files) == list(range(20)) and files[9].name == "10.png"


def test_bad_masks(video: Path, tmp_path: Path) -> None:
    frames = open_frames(video)
    with pytest.raises(UserError, match="no such folder"):
        open_masks(tmp_path / "nowhere", frames)
    folder = tmp_path / "masks"
    folder.mkdir()
    with pytest.raises(UserError, match="no PNG"):
        open_masks(folder, frames)
    write_mask(folder / "500.png", 255)
    with pytest.raises(UserError, match="none of the 1 masks"):
        open_masks(folder, frames)
    write_mask(folder / "3.png", 255, (10, 20))
    with pytest.raises(UserError, match=r"3\.png.*20x10.*64x48"):
        open_masks(folder, frames)


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
