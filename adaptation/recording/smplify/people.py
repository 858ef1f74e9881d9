"""The people of a recording whose keypoints are known, cut out of their frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from adaptation.data.openpose import on_mask
from adaptation.fitting.smplify.camera import FEWEST
from adaptation.recording.crops import Crop
from adaptation.recording.detections import MaskQuality
from adaptation.recording.footage.video import Frames
from adaptation.recording.found_people import FoundPeople
from adaptation.recording.options import FitOptions
from adaptation.recording.regions import iou
from adaptation.recording.tracking import Track
from adaptation.support.errors import UserError
from adaptation.support.resampling import resample

Floats = npt.NDArray[np.float32]

# Keypoints end at neck and ankles, a sixth of the height from its ends.
_MARGIN = 0.3
_OVERLAP = 0.3  # least IoU of the boxes of one person in successive frames
_NO_MASK = MaskQuality(False, 1.0, 0, False, True, "")


@dataclass(frozen=True, eq=False)
class SeenPeople:
    """People with keypoints.

    Attributes:
        tracks: one track per person.
        crops: crops of each track, in order.
        keypoints: keypoints of each track's N crops, (N, J, 3): x and y in crop pixels, and confidence.
        notes: people who were left out, with the reason, one line each.
        masked: whether the crops have masks; otherwise theirs are empty.
    """

    tracks: list[Track] = field(default_factory=list)
    crops: list[list[Crop]] = field(default_factory=list)
    keypoints: list[Floats] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    masked: bool = False

    def add(self, track: Track, crops: list[Crop], keypoints: Sequence[Floats]) -> None:
        """Add a person, unless there is no crop of them."""
        if crops:
            self.tracks.append(track)
            self.crops.append(crops)
            self.keypoints.append(np.stack(keypoints))

    def checked(self, where: object) -> SeenPeople:
        """Return these people.

        Raises:
            UserError: there are none.
        """
        if not self.crops:
            why = f" ({self.notes[0]})" if self.notes else ""
            raise UserError(f"{where}: nobody with at least {FEWEST} keypoints in the frames asked for{why}")
        return self


def people_of_keypoints(frames: Frames, everybody: Sequence[Floats], options: FitOptions) -> SeenPeople:
    """Cut people out of the requested frames by their keypoints, without masks.

    People of successive frames whose boxes overlap become one track.

    Args:
        frames: the recording.
        everybody: for each of its frames, (P, J, 3) keypoints of the people in it, frame pixels.
        options: requested frames, and size of the crops.

    Raises:
        UserError: nobody in the requested frames has enough keypoints.
    """
    seen = SeenPeople()
    asked = [number for number in range(len(everybody)) if _asked_for(number, options)]
    usable = {number: _usable(everybody[number], number, seen.notes) for number in asked}
    for track, places in enumerate(_linked(usable, options.tracks.max_gap), start=1):
        person = Track(track, ())
        boxes = {number: square_around(usable[number][index]) for number, index in places}
        crops = [_crop(frames, number, boxes[number], track, options.size) for number, _ in places]
        keypoints = [in_crop(usable[number][index], boxes[number], options.size) for number, index in places]
        seen.add(person, crops, keypoints)
    return seen.checked(frames.path)


def people_of_masks(found: FoundPeople, everybody: Sequence[Floats], where: object) -> SeenPeople:
    """Give tracked people the keypoints that lie on their masks.

    Args:
        found: people and their crops.
        everybody: for each frame of the recording, (P, J, 3) keypoints of the people in it, frame pixels.
        where: what an error names.

    Raises:
        UserError: nobody has enough keypoints.
    """
    seen = SeenPeople(notes=list(found.notes), masked=True)
    for track, crops in zip(found.tracks, found.crops, strict=True):
        kept, keypoints = [], []
        for crop in crops:
            size = len(crop.mask)
            people = [in_crop(person, crop.box, size) for person in everybody[crop.frame]]
            mask = (crop.mask > 0).astype(np.uint8)
            best = people[on_mask(people, mask)] if people else None
            if best is None or np.count_nonzero(best[:, 2]) < FEWEST or not _touches(best, mask):
                seen.notes.append(f"person {track.number}, frame {crop.frame}: not fitted, no keypoints on the mask")
                continue
            kept.append(crop)
            keypoints.append(best)
        seen.add(track, kept, keypoints)
    return seen.checked(where)


def in_crop(keypoints: Floats, box: Sequence[float], size: int) -> Floats:
    """Convert keypoints (J, 3) from frame pixels to pixels of a crop; those that were not found stay 0."""
    left, top, side, _ = box
    moved = (keypoints - np.array([left, top, 0])) * np.array([size / side, size / side, 1])
    return np.where(keypoints[:, 2:] > 0, moved, 0).astype(np.float32)


def square_around(keypoints: Floats) -> tuple[float, float, float, float]:
    """Return the square x, y, w, h around keypoints (J, 3), with room for head, hands and feet."""
    places = keypoints[keypoints[:, 2] > 0, :2]
    low, high = places.min(0), places.max(0)
    side = (1 + 2 * _MARGIN) * max(float((high - low).max()), 1.0)
    left, top = (low + high) / 2 - side / 2
    return float(left), float(top), side, side


def _asked_for(number: int, options: FitOptions) -> bool:
    return number % options.every == 0 if options.frames is None else number in options.frames


def _usable(people: Floats, number: int, notes: list[str]) -> Floats:
    """Return the people with enough keypoints, and note the others."""
    counts = np.count_nonzero(people[..., 2], axis=1)
    notes += [
        f"frame {number}: a person not fitted, {count} {'keypoint' if count == 1 else 'keypoints'}, fewer than {FEWEST}"
        for count in counts.tolist()
        if count < FEWEST
    ]
    return people[counts >= FEWEST]


def _linked(people: dict[int, Floats], gap: int) -> list[list[tuple[int, int]]]:
    """Link people (P, J, 3) of successive frames by their boxes, greedily.

    Returns:
        For each track, frame numbers and indices of the person in the frame.
    """
    tracks: list[list[tuple[int, int]]] = []
    order = sorted(people)
    rank = {number: place for place, number in enumerate(order)}
    for number in order:
        boxes = np.array([square_around(person) for person in people[number]]).reshape(-1, 4)
        # A gap counts the frames that are used: those in between were not looked at.
        open_tracks = [track for track in tracks if rank[number] - rank[track[-1][0]] <= gap]
        last = np.array([square_around(people[frame][index]) for frame, index in (t[-1] for t in open_tracks)])
        overlap = iou(last.reshape(-1, 4), boxes)
        free = set(range(len(boxes)))
        while overlap.size and overlap.max() >= _OVERLAP:
            row, column = np.unravel_index(int(overlap.argmax()), overlap.shape)
            open_tracks[int(row)].append((number, int(column)))
            free.discard(int(column))
            overlap[row], overlap[:, column] = 0, 0
        tracks += [[(number, index)] for index in sorted(free)]
    return tracks


def _crop(frames: Frames, number: int, box: tuple[float, float, float, float], track: int, size: int) -> Crop:
    left, top, side, _ = box
    image = resample(frames.frame(number).astype(np.float32), left, top, side, size)
    empty = np.zeros((size, size), np.float32)
    return Crop(track, number, box, np.rint(image).astype(np.uint8), empty, _NO_MASK)


def _touches(keypoints: Floats, mask: npt.NDArray[np.uint8]) -> bool:
    """Return whether at least half of the keypoints lie within the box of a mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    places = keypoints[keypoints[:, 2] > 0, :2]
    low, high = np.array([columns[0], rows[0]]), np.array([columns[-1] + 1, rows[-1] + 1])
    return bool(((places >= low) & (places <= high)).all(1).mean() >= 0.5)
