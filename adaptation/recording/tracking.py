"""People in a recording: detections linked over time, one track per person.

The foreground of every frame falls into connected regions. Regions and tracks are matched by the
overlap of boxes that move on at constant velocity, by size, and by the colour of the clothes. Small
regions inside a track's box are its fragments. A region that covers two tracks of which only one
has a region of its own is a merged group, and is marked as such in both. After the last frame,
every mask is judged against those around it (`adaptation.recording.detections.judge`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from adaptation.recording.detections import Detection, Sighting, TrackSettings, judge, sight
from adaptation.recording.footage.background import Method
from adaptation.recording.footage.foreground import Seen, foreground
from adaptation.recording.footage.ghosts import background_outline
from adaptation.recording.footage.mask_files import Masks
from adaptation.recording.footage.video import Frames
from adaptation.recording.people.given import regions_in
from adaptation.recording.people.pieces import is_part, join_pieces
from adaptation.recording.people.specks import without_specks
from adaptation.recording.people.trails import Trail
from adaptation.recording.regions import (
    Boxes,
    Region,
    intersections,
    iou,
    join,
    stack_regions,
)
from adaptation.support.errors import UserError
from adaptation.support.image_files import Image
from adaptation.support.reading.findings import found


@dataclass(frozen=True, eq=False)
class Track:
    """One person over time.

    Attributes:
        number: Number from 1, in order of appearance.
        detections: Detections in order of frames; frames in which the person was not seen are
            absent.
    """

    number: int
    detections: tuple[Detection, ...]

    @property
    def usable(self) -> tuple[Detection, ...]:
        """Detections whose masks are usable."""
        return tuple(detection for detection in self.detections if detection.quality.usable)


def find_people(
    frames: Frames,
    *,
    method: Method = "median",
    masks: Masks | None = None,
    background: Sequence[Image] = (),
    settings: TrackSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Track]:
    """Find the people who move through a recording of a static camera.

    Args:
        frames: Recording, read twice (once with given masks).
        method: Background subtraction, see `adaptation.recording.footage.background`; "median" had the
            tightest masks on real footage.
        masks: Masks made elsewhere, used instead of background subtraction.
        background: Pictures of the empty scene, RGB uint8 (H, W, 3), to subtract; without any, the background is
            learnt from the recording.
        settings: Definition of a person and of a usable mask.
        progress: Callback for the number of steps done and their total, which is an estimate until
            the length of the recording is known.

    Returns:
        One track per person, in order of appearance, with every detection and the reasons why bad
        ones are not usable.

    Raises:
        UserError: No moving person was found, or the recording cannot be read.
    """
    settings = settings or TrackSettings()
    tracker = _Tracker(settings)
    for number, seen in enumerate(foreground(frames, method, masks, background, progress)):
        # Without a given mask nobody was looked for.
        if seen.given is None or not seen.given.missing:
            tracker.update(number, seen)
    # Without a background of its own a recording does not tell people who stay in place from ghosts.
    moving = masks is None and not background
    if masks is not None:
        # Noise, which short tracks may be, is told apart by whoever gives a mask for each person.
        settings = replace(settings, min_usable=1 if masks.instances else min(settings.min_usable, len(masks)))
    tracks: list[list[Detection]] = []
    hidden: list[list[Detection]] = []
    parts: list[list[Detection]] = []
    # Masks are judged only now, since each is compared with those after it as well.
    trails = tracker.finished()
    if masks is None:
        trails = [
            [without_specks(sighting, frames.size, settings) for sighting in trail] for trail in join_pieces(trails)
        ]
    for sightings in trails:
        detections = judge(sightings, frames.size, settings, given=masks is not None)
        if _is_person(detections, frames.size[1], settings, moving=moving):
            (parts if masks is None and is_part(detections, settings.min_height) else tracks).append(detections)
        elif _is_hidden(detections, settings):
            hidden.append(detections)
    if not tracks:
        raise _nobody(frames, masks, settings, hidden=bool(hidden), parts=bool(parts))
    if hidden:
        found(
            f"{frames.path}: somebody is part of the learnt background, as one who stays in place; their masks (frames "
            f"{_range(hidden)}) are cut and not used. {REMEDY}"
        )
    if parts:
        found(
            f"{frames.path}: {len(parts)} of {len(parts) + len(tracks)} tracks (frames {_range(parts)}) follow parts "
            f"of people, whose masks change from frame to frame, and are not used. {REMEDY}"
        )
    tracks.sort(key=lambda detections: detections[0].frame)
    return [Track(number, tuple(detections)) for number, detections in enumerate(tracks, start=1)]


REMEDY = "Give a picture of the empty scene (--background) or masks (--masks)."
_HIDDEN = 50  # sightings; shorter tracks are often ghosts of things that were moved


def _range(tracks: Sequence[Sequence[Detection]]) -> str:
    """Name the first and the last frame of some tracks."""
    numbers = [detection.frame for detections in tracks for detection in detections]
    return f"{min(numbers)} to {max(numbers)}"


def _nobody(frames: Frames, masks: Masks | None, settings: TrackSettings, *, hidden: bool, parts: bool) -> UserError:
    """Return the error for a recording in which no person was found."""
    people = f"people at least {settings.min_height} px tall, seen whole in at least {settings.min_usable} frames"
    if masks is not None:
        return UserError(f"no person found in the masks of {masks.folder}; expected {people}")
    if hidden:
        return UserError(
            f"no usable mask of a person in {frames.path}: somebody stays in place and is part of the background that "
            f"was learnt, so masks are cut. {REMEDY}"
        )
    if parts:
        return UserError(
            f"no usable mask of a person in {frames.path}: masks change from frame to frame, as those of legs and "
            f"trunks do where the rest is hidden. {REMEDY}"
        )
    return UserError(
        f"no moving person found in {frames.path}; the camera must stand still and show {people}. For somebody who "
        f"stays in place: {REMEDY[0].lower()}{REMEDY[1:]}"
    )


def _is_hidden(detections: Sequence[Detection], settings: TrackSettings) -> bool:
    """Return whether a track is that of somebody whom the learnt background contains."""
    tall = [d for d in detections if d.bbox[3] >= settings.min_height]
    return len(tall) >= _HIDDEN and sum(d.quality.in_background for d in tall) > len(tall) / 2


def _is_person(detections: Sequence[Detection], frame_height: int, settings: TrackSettings, *, moving: bool) -> bool:
    """Return whether a track is long, tall and mobile enough."""
    usable = [detection for detection in detections if detection.quality.usable]
    # Usable ones only: a track of clipped or merged masks would give no body.
    if len(usable) < settings.min_usable:
        return False
    # The median over a whole track: a single mask may miss the legs.
    height = float(np.median([detection.bbox[3] for detection in usable]))
    if not settings.min_height <= height <= (settings.max_height or frame_height):
        return False
    centres = np.array([(d.bbox[0] + d.bbox[2] / 2, d.bbox[1] + d.bbox[3] / 2) for d in detections])
    # The extent of the path, not its length: a ghost that trembles would add up to a long path.
    return not moving or bool(np.hypot(*np.ptp(centres, axis=0)) >= settings.min_travel * height)


@dataclass(frozen=True, eq=False)
class _View:
    """The regions of one frame against the boxes predicted for T active tracks.

    Attributes:
        number: Frame number from 0.
        seen: The frame and its background.
        predicted: (T, 4) boxes in which the tracks are expected.
        regions: R regions of the foreground.
        boxes: (R, 4) boxes of the regions.
        of_track: (T, R) common area as a fraction of the track's box.
        of_region: (T, R) common area as a fraction of the region's box.
    """

    number: int
    seen: Seen
    predicted: Boxes
    regions: list[Region]
    boxes: Boxes
    of_track: npt.NDArray[np.float64]
    of_region: npt.NDArray[np.float64]

    @classmethod
    def of(cls, number: int, seen: Seen, predicted: Boxes, regions: list[Region]) -> _View:
        """Compute the overlaps."""
        # The reshape keeps four columns if there are no regions.
        boxes = np.array([region.box for region in regions], float).reshape(-1, 4)
        overlap = intersections(predicted, boxes)
        # Two fractions, since a small region inside a large box and the reverse mean different things.
        of_track = overlap / np.maximum(predicted[:, 2] * predicted[:, 3], 1)[:, None]
        of_region = overlap / np.maximum(boxes[:, 2] * boxes[:, 3], 1)[None, :]
        return cls(number, seen, predicted, regions, boxes, of_track, of_region)

    @property
    def apart(self) -> bool:
        """Whether each region is known to be one person."""
        return self.seen.given is not None and self.seen.given.instances

    def sight(self, regions: Sequence[Region]) -> Sighting:
        """Make the sighting that some regions are together, in some frames compared with the background."""
        sighting = sight(self.number, self.seen.frame, regions)
        # The comparison takes as long as the rest of the tracker, and its median over a track is what counts.
        if self.seen.background is None or self.number % 3:
            return sighting
        (x, y, _, _), mask = join(regions)
        share = background_outline(self.seen.frame, self.seen.background, mask, (x, y))
        return replace(sighting, background_outline=share)


class _Tracker:
    """Matches every frame's regions with the tracks so far."""

    def __init__(self, settings: TrackSettings) -> None:
        self._settings = settings
        self._active: list[Trail] = []
        self._ended: list[Trail] = []
        self._numbers: list[int] = []  # frames that were looked at

    def update(self, number: int, seen: Seen) -> None:
        """Extend the tracks by one frame, with its number from 0; frames must come in order."""
        self._numbers.append(number)
        view = self._view(number, seen)
        # The order of the steps: whole people first, then their fragments, then groups, and new tracks from the rest.
        owned = {track: [region] for track, region in self._match(view)}
        if not view.apart:
            self._add_fragments(view, owned)
        taken = {region: track for track, members in owned.items() for region in members}
        groups = {} if view.apart else self._merged_groups(view, taken)
        for track, members in owned.items():
            sighting = view.sight([view.regions[region] for region in members])
            if track in groups:
                sighting = replace(sighting, merged=True)
            for other in groups.get(track, []):
                self._active[other].add(sighting)
            self._active[track].add(sighting)
        rest = [region for index, region in enumerate(view.regions) if index not in taken]
        new = self._start_trails(view, rest)
        # A new track may be a person who has just left another one's region.
        for trail in new:
            for track in () if view.apart else owned:
                self._active[track].part_from(trail.sightings[0], view.predicted[track])
        self._end_trails()
        self._active += new

    def finished(self) -> list[list[Sighting]]:
        """Return the sightings of every track after the last frame."""
        return [trail.sightings for trail in self._ended + self._active]

    def _view(self, number: int, seen: Seen) -> _View:
        """Find the frame's regions, cut apart where they cover people who are known."""
        settings = self._settings
        # The reshape keeps four columns if there are no tracks.
        predicted = np.array([trail.predict(number) for trail in self._active]).reshape(-1, 4)
        # An unconfirmed track may be noise, for which nothing should be cut.
        believed = predicted[[trail.confirmed for trail in self._active]]
        regions = regions_in(seen, believed, settings.min_region, settings.min_height)
        return _View.of(number, seen, predicted, regions)

    def _match(self, view: _View) -> Iterator[tuple[int, int]]:
        """Yield pairs of track and region, best first, each used once."""
        overlap = iou(view.predicted, view.boxes)
        colours = [sight(view.number, view.seen.frame, [region]).colour for region in view.regions]
        costs = []
        for track, region in zip(*np.nonzero(overlap > 0.1), strict=True):
            trail = self._active[track]
            # A difference of 40 grey levels counts as entirely different clothes.
            colour = min(float(np.abs(trail.colour - colours[region]).mean()) / 40, 1.0)
            # Confirmed tracks choose first; new ones may be noise.
            doubt = 0.0 if trail.confirmed else 0.2
            costs.append((1 - overlap[track, region] + colour + doubt, int(track), int(region)))
        tracks, used = set(), set()
        for _, track, region in sorted(costs):
            if track not in tracks and region not in used:
                tracks.add(track)
                used.add(region)
                yield track, region

    def _add_fragments(self, view: _View, owned: dict[int, list[int]]) -> None:
        """Give the small regions inside a matched track's box to that track, as pieces of the person."""
        if not owned:
            return
        taken = {members[0] for members in owned.values()}
        for region in range(len(view.regions)):
            if region in taken:
                continue
            best = max(owned, key=lambda track: view.of_region[track, region])
            # A tall region is another person who overlaps.
            smaller = view.boxes[region, 3] < 0.6 * view.predicted[best, 3]
            if view.of_region[best, region] > 0.6 and smaller:
                owned[best].append(region)

    def _merged_groups(self, view: _View, taken: dict[int, int]) -> dict[int, list[int]]:
        """Find the tracks without a region that are covered by another track's grown region.

        Args:
            view: The frame.
            taken: Track that owns each region.

        Returns:
            For each owner, the tracks that are merged into its region.
        """
        groups: dict[int, list[int]] = {}
        owners = set(taken.values())
        for track, trail in enumerate(self._active):
            # Only confirmed people are expected to be hidden in a group; others are dropped as noise.
            if track in owners or not trail.confirmed or not view.regions:
                continue
            # The region that covers most of the expected box, even if another track owns it.
            region = int(np.argmax(view.of_track[track]))
            owner = taken.get(region)
            if owner is None or view.of_track[track, region] < 0.4 or not self._active[owner].confirmed:
                continue
            # If the region has not grown, the other person has left or is hidden, and is not in it.
            if view.regions[region].mask.sum() > 1.2 * self._active[owner].area:
                groups.setdefault(owner, []).append(track)
        return groups

    def _start_trails(self, view: _View, regions: list[Region]) -> list[Trail]:
        """Start a track for every stack of regions that may be a person."""
        groups = [[region] for region in regions] if view.apart else stack_regions(regions)
        trails = [Trail(view.sight(group)) for group in groups]
        # Half the height: a person may still be entering the frame.
        return [trail for trail in trails if trail.size[1] >= 0.5 * self._settings.min_height]

    def _end_trails(self) -> None:
        """End the tracks that were unseen, or inside a merged group, for too long."""
        active: list[Trail] = []
        for trail in self._active:
            # In frames that were looked at: masks may be given for one frame in ten.
            unseen, alone = (
                len(self._numbers) - bisect_right(self._numbers, last) for last in (trail.last_seen, trail.last_frame)
            )
            # People are hidden by posts and by others for a while; noise that was seen twice is not waited for.
            patience = self._settings.max_gap if trail.confirmed else 2
            (self._ended if unseen > patience or alone > self._settings.max_merged else active).append(trail)
        self._active = active
