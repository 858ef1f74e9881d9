"""The four-camera recording in the package pose2sim (BSD-3): its videos, and what the detector sees in them."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from adaptation.detectors.blazepose import PRESENT, BlazePose
from adaptation.detectors.people import PeopleDetector
from adaptation.recording.footage.video import open_frames
from adaptation.support.errors import UserError
from adaptation.support.files import whole_file
from adaptation.support.image_files import Image
from real.cameras import Camera, letterboxed, read_qualisys
from real.skeleton import OF_BLAZEPOSE

Array = npt.NDArray[Any]
PACKAGE = "pose2sim==0.10.49"
FETCH = ("download", "-q", "--no-deps", PACKAGE)
_DEMO = "Demo_SinglePerson"
_SCALE = 0.5  # of images and cameras that are written
_QUALITY = 95  # of JPEG files


@dataclass(frozen=True, eq=False)
class View:
    """What one camera saw.

    Attributes:
        camera: the camera, for images of half the size.
        keypoints: (F, 12, 3) x, y and confidence, in all frames of the video.
    """

    camera: Camera
    keypoints: Array


def fetch(folder: Path) -> Path:
    """Download the package with pip, and return its wheel.

    Raises:
        UserError: pip fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not (wheels := sorted(folder.glob("pose2sim-*.whl"))):
        done = subprocess.run([sys.executable, "-m", "pip", *FETCH, "-d", str(folder)], check=False)
        wheels = sorted(folder.glob("pose2sim-*.whl"))
        if done.returncode or not wheels:
            raise UserError(f"pip {' '.join(FETCH)} failed; download the wheel elsewhere and give it with --wheel")
    return wheels[0]


def calibration(wheel: Path) -> list[Camera]:
    """Read the calibrated cameras, for images of the size that they were calibrated with."""
    return read_qualisys(_member(wheel, "calibration/Calib.qca.txt"))


def prepare_view(
    wheel: Path, camera: Camera, detectors: tuple[PeopleDetector, BlazePose], out: Path, every: int,
    say: Callable[[str], None],
) -> View:  # fmt: skip
    """Detect the person in all frames of a camera's video, and write frames and masks of one frame in ``every``.

    Both have half the size and are named by the frame's number in the video: ``frames/000.jpg``, ``masks/000.png``.

    Args:
        wheel: the package.
        camera: the calibrated camera.
        detectors: for people, and for their landmarks and masks.
        out: folder of the camera.
        every: one frame in this many is written.
        say: called with a line about what is done.
    """
    for part in ("frames", "masks"):
        (out / part).mkdir(parents=True, exist_ok=True)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / f"{camera.name}.mp4"
        video.write_bytes(_member(wheel, f"videos/{camera.name}.mp4"))
        frames = open_frames(video)
        for number, frame in enumerate(frames):
            size = tuple(round(side * _SCALE) for side in frames.size)
            image = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
            keypoints, mask = _look(image, detectors)
            found.append(keypoints)
            if number % every == 0:
                quality = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
                _write(out / f"frames/{number:03d}.jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), quality)
                _write(out / f"masks/{number:03d}.png", mask.astype(np.uint8) * 255, [])
    say(f"{camera.name}: {len(found)} frames, somebody found in {sum(bool(each[:, 2].any()) for each in found)}")
    return View(letterboxed(camera, frames.size).scaled(_SCALE), np.stack(found))


def _look(image: Image, detectors: tuple[PeopleDetector, BlazePose]) -> tuple[Array, Array]:
    """Return keypoints (12, 3) and mask (H, W) of the largest person; bystanders are farther away."""
    people, pose = detectors
    seen = sorted(people.detect(image), key=lambda person: -person.region.side)
    for person in seen:
        poses = pose.detect([image], [person.region])
        if poses.presence[0] >= PRESENT:
            return poses.keypoints2d[0, OF_BLAZEPOSE].astype(np.float64), poses.mask[0] >= 0.5
    return np.zeros((len(OF_BLAZEPOSE), 3)), np.zeros(image.shape[:2], bool)


def _write(path: Path, image: Array, options: list[int]) -> None:
    _, data = cv2.imencode(path.suffix, image, options)
    with whole_file(path) as file:
        file.write(data.tobytes())


def _member(wheel: Path, name: str) -> bytes:
    """Return a file of the recording's folder in the package."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.namelist():
                if member.endswith(f"{_DEMO}/{name}"):
                    return archive.read(member)
    except (OSError, zipfile.BadZipFile) as error:
        raise UserError(f"{wheel} cannot be read ({error}); expected the wheel of {PACKAGE}") from None
    raise UserError(f"{wheel} holds no {_DEMO}/{name}; expected the wheel of {PACKAGE}")
