"""What the detector finds for the people of a recording, kept in a file: detection takes minutes, judging seconds."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from adaptation.detectors.blazepose import BlazePose
from adaptation.detectors.model_packages import open_models
from adaptation.detectors.regions import Region
from adaptation.recording.footage.video import Frames, open_frames
from adaptation.recording.tracking import find_people
from adaptation.support.errors import UserError
from adaptation.support.files import whole_file
from adaptation.support.reading.array_files import read_arrays
from real.skeleton import OF_BLAZEPOSE, facing

Array = npt.NDArray[Any]
_NEAR = 10  # frames within which nobody is expected to turn round


@dataclass(frozen=True, eq=False)
class References:
    """People whom the detector saw, one row per person and frame.

    Attributes:
        frame: (N,) frame numbers.
        track: (N,) numbers of the people.
        box: (N, 4) x, y, w, h of the person's mask in the frame.
        keypoints: (N, 33, 3) landmarks in frame pixels, with confidence.
        world: (N, 33, 3) metres in camera axes.
        presence: (N,) probability that somebody is there.
    """

    frame: Array
    track: Array
    box: Array
    keypoints: Array
    world: Array
    presence: Array

    def facing(self) -> Array:
        """Return where people face, (N, 3) unit vectors, by shoulders and hips of the 3D landmarks."""
        direction = facing(self.world[:, OF_BLAZEPOSE].astype(float))
        return direction / np.maximum(np.linalg.norm(direction, axis=-1, keepdims=True), 1e-9)

    def consistent(self) -> Array:
        """Return (N,) whether a person faces the same half space as on average in the frames around.

        The detector exchanges left and right now and then, but people do not turn round within a few frames.
        """
        direction = self.facing()
        same = self.track[:, None] == self.track
        near = same & (np.abs(self.frame[:, None] - self.frame) <= _NEAR)
        np.fill_diagonal(near, False)  # the others judge
        around = near.astype(float) @ direction
        return np.asarray((around * direction).sum(-1) >= 0)

    def usable(self) -> Array:
        """Return (N,) whether somebody was found, with consistent sides."""
        return np.asarray((self.presence >= 0.5) & self.consistent())

    def save(self, path: Path, described: str) -> None:
        """Write a file, with a text on what it was made from."""
        with whole_file(path) as file:
            np.savez_compressed(file, made_from=described, **{f.name: getattr(self, f.name) for f in fields(self)})


def references(
    video: Path, models: Path | None, kept: Path, *, every: int = 5, say: Callable[[str], None] = print
) -> References:
    """Return the detector's people of a recording, from a file if it was made before.

    People are found by background subtraction. The detector looks at each usable mask's surroundings, enlarged.

    Args:
        video: the recording.
        models: package of the detector's networks; may be None if the file exists.
        kept: file that the people are kept in.
        every: one frame in this many is looked at.
        say: called with a line about what is done.

    Raises:
        UserError: there is no file and no package, or the file is of another recording.
    """
    described = json.dumps({"recording": video.name, "bytes": _size(video), "every": every})
    if kept.exists():
        arrays = read_arrays(kept)
        if str(arrays.pop("made_from", "")) != described:
            raise UserError(f"{kept} was not made from {video} with --every {every}; remove it, or name another file")
        return References(**arrays)
    if models is None:
        raise UserError(f"{kept} does not exist yet; give the detector's networks (--models) to make it")
    detector = BlazePose(open_models(models))
    frames = open_frames(video)
    say(f"finding people in {video}")
    people = [
        (detection.frame, track.number, detection.bbox)
        for track in find_people(frames)
        for detection in track.usable
        if detection.frame % every == 0
    ]
    say(f"looking at {len(people)} people with {detector.variant}")
    made = _detect(frames, sorted(people), detector)
    kept.parent.mkdir(parents=True, exist_ok=True)
    made.save(kept, described)
    return made


def _size(video: Path) -> int:
    return video.stat().st_size if video.is_file() else sum(file.stat().st_size for file in video.iterdir())


def _detect(frames: Frames, people: list[tuple[int, int, Any]], detector: BlazePose) -> References:
    found = []
    number, image = -1, None
    for frame, _, box in people:
        if frame != number:
            number, image = frame, frames.frame(frame)
        assert image is not None
        found.append(detector.detect([image], [Region.around(box)]))
    return References(
        frame=np.array([frame for frame, _, _ in people], np.int64),
        track=np.array([track for _, track, _ in people], np.int64),
        box=np.array([box for _, _, box in people], np.float32).reshape(-1, 4),
        keypoints=np.concatenate([each.keypoints2d for each in found]),
        world=np.concatenate([each.world for each in found]),
        presence=np.concatenate([each.presence for each in found]),
    )
