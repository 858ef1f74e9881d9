"""A recording is judged in seconds: how still it is, who is seen, and what can be done with it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from video_bytes import turned

from adaptation.checking import sampling
from adaptation.checking.files import CHECKS
from adaptation.checking.recognise import recognise
from adaptation.checking.recordings import RecordingInput, check_recording
from adaptation.checking.verdict import Verdict
from adaptation.recording.footage.video import open_frames
from adaptation.support.progress import Progress
from adaptation.synthetic.hall import ClipSettings, render_clip, write_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the frames and the masks of two people in a hall."""
    folder = tmp_path_factory.mktemp("clip")
    made = render_clip(ClipSettings(width=240, height=180, frames=48, rate=6.0))
    write_clip(made, folder)
    (folder / "masks").mkdir()
    for number, mask in enumerate(made.visible.any(0)):
        cv2.imwrite(str(folder / "masks" / f"{number:04d}.png"), 255 * mask.astype(np.uint8))
    return folder


def checked(path: Path, masks: Path | None = None) -> Verdict:
    return check_recording(RecordingInput(path, masks), Progress())


def usable(verdict: Verdict) -> dict[str, bool]:
    return {use.command: use.possible for use in verdict.uses}


def changed(clip: Path, folder: Path, change) -> Path:
    """The clip with each frame changed by a function of its number and image."""
    folder.mkdir()
    for number, file in enumerate(sorted((clip / "frames").iterdir())):
        cv2.imwrite(str(folder / file.name), change(number, cv2.imread(str(file))))
    return folder


def test_people_before_a_still_camera_can_be_fitted(clip):
    verdict = checked(clip / "frames")
    facts = dict(verdict.facts)
    assert verdict.what == "recording: folder of images"
    assert facts["frames"] == "48" and facts["size"] == "240x180 pixels; 8 bits"
    assert facts["camera"].startswith("still; shifted by up to 0.")
    assert facts["people"].endswith("at once, at most 2")
    assert usable(verdict) == {"fit": True, "predict": True, "adapt": True}
    assert verdict.picture is not None and verdict.picture.shape[1] == 1440


def test_given_masks_are_looked_at(clip):
    verdict = checked(clip / "frames", clip / "masks")
    assert dict(verdict.facts)["people"].endswith("at once, at most 2")
    assert verdict.usable


def test_masks_are_told_from_frames(clip):
    assert recognise(str(clip / "frames")) == "recording"
    assert recognise(str(clip / "masks")) == "masks"
    verdict = CHECKS["masks"](clip / "masks")
    assert verdict.usable and dict(verdict.facts)["masks"] == "48 files, 240x180 pixels"


def test_a_camera_that_switches_has_two_pictures(clip, tmp_path):
    def infrared(number: int, image: np.ndarray) -> np.ndarray:
        return image if number < 24 else np.repeat(255 - image[..., 2:], 3, axis=2)

    verdict = checked(changed(clip, tmp_path / "infrared", infrared))
    assert "2 different pictures" in dict(verdict.facts)["light"]


def test_an_empty_scene_shows_people_who_stay(clip, tmp_path):
    """Two frames in turn: in each place somebody stands in half of the recording."""
    files = sorted((clip / "frames").iterdir())
    images = [cv2.imread(str(files[number])) for number in (20, 20, 24)]
    stay = changed(clip, tmp_path / "stay", lambda number, image: images[number % 3])
    alone = checked(stay)
    helped = check_recording(RecordingInput(stay, background=files[0]), Progress())
    assert usable(helped)["fit"] and dict(helped.facts)["people"].startswith("2 at once")
    assert dict(alone.facts)["people"] != dict(helped.facts)["people"] or not usable(alone)["fit"]


def test_a_camera_that_shakes_is_noticed(clip, tmp_path):
    chance = np.random.default_rng(0)

    def shake(number: int, image: np.ndarray) -> np.ndarray:
        return np.roll(image, chance.integers(-8, 9, 2), (0, 1))

    verdict = checked(changed(clip, tmp_path / "shaken", shake))
    assert usable(verdict) == {"fit": False, "predict": False, "adapt": False}
    assert any(line.startswith("the camera does not stand still") for line in verdict.advice)
    assert verdict.picture is not None  # one sees why


def test_light_that_changes_is_noticed(clip, tmp_path):
    verdict = checked(changed(clip, tmp_path / "dusk", lambda number, image: image if number < 24 else image // 3))
    assert any(line.startswith("the light changes much") for line in verdict.advice)


def test_nobody_there_says_what_to_do(tmp_path):
    (tmp_path / "empty").mkdir()
    for number in range(12):
        cv2.imwrite(str(tmp_path / "empty" / f"{number}.png"), np.full((90, 120, 3), 90, np.uint8))
    verdict = checked(tmp_path / "empty")
    assert not verdict.usable
    assert any("too few to learn a background from" in line for line in verdict.advice)
    assert any("lower --min-height" in line and "--masks" in line for line in verdict.advice)


def test_a_turned_video_is_checked_as_players_show_it(tmp_path):
    path = tmp_path / "turned.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (64, 48))
    for number in range(12):
        writer.write(np.full((48, 64, 3), 10 * number, np.uint8))
    writer.release()
    path.write_bytes(turned(path.read_bytes()))
    facts = dict(checked(path).facts)
    assert facts["size"] in (
        "48x64 pixels, turned by 90 degrees; 8 bits",
        "48x64 pixels, turned by 270 degrees; 8 bits",
    )
    assert facts["frames"] == "12, 10 a second, 1.2 s" and facts["codec"]


def test_frames_of_a_long_video_are_found_by_seeking(tmp_path, monkeypatch):
    path = tmp_path / "long.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for number in range(240):
        writer.write(np.full((48, 64, 3), number, np.uint8))
    writer.release()
    monkeypatch.setattr(sampling, "MOST_PIXELS", 100 * 64 * 48)
    frames = open_frames(path)
    found = sampling.sampled_frames(frames, in_step=False)
    assert [number for number, _ in found] == sampling.spread(240, (64, 48))
    assert all(abs(int(image.mean()) - number) <= 3 for number, image in found)
    # Masks need exact numbers, so the beginning alone is read.
    exact = sampling.sampled_frames(frames, in_step=True)
    assert max(number for number, _ in exact) < 100
    assert all(abs(int(image.mean()) - number) <= 3 for number, image in exact)
