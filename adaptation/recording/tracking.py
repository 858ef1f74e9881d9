"""People in a recording: one track a person, each frame with a note on its mask's quality.

Every frame's foreground falls into connected regions. Regions and tracks are matched by the overlap
of boxes moved on at constant velocity, by size and by clothing colour; small regions inside a
track's box are its fragments. A region that covers two tracks of which only one has a region of its
own is a merged group, and is marked so in both. When the whole recording has been seen, every
detection is judged against the detections around it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from adaptation.recording.background import Method, clean_mask, make_subtractor, sample_count, sample_frames
from adaptation.recording.image_files import Image, Mask
from adaptation.recording.mask_files import Masks
from adaptation.recording.video import Frames
from adaptation.support.errors import UserError

Box = tuple[int, int, int, int]  # x, y, width, height in whole pixels


@dataclass(frozen=True)
class TrackSettings:
    """What counts as a person, and as a usable mask. Lengths in pixels, durations in frames.

    Attributes:
        min_height: Least median height of a person.
        max_height: Greatest median height of a person; None for the frame's.
        max_width: Greatest width as a fraction of the height; wider regions are several people or
            no person.
        min_region: Smallest region looked at, in pixels.
        min_usable: Usable detections a track needs.
        min_travel: How far a person must get, as a fraction of their height; less is a ghost left
            in the background or something that flutters. Not asked of given masks.
        max_gap: How long a track goes on unseen.
        max_merged: How long a track goes on inside a merged group.
        window: Detections before and after that a mask is compared with.
        area_range: Accepted area as a fraction of the median around it.
        height_range: Accepted height as a fraction of the upper quartile around it.
        max_fragment_gap: Greatest gap between the fragments of a usable mask, as a fraction of the
            height.
        border: Distance to the frame's edge that counts as touching it.
    """

    min_height: int = 40
    max_height: int | None = None
    max_width: float = 0.8
    min_region: int = 20
    min_usable: int = 5
    min_travel: float = 0.5
    max_gap: int = 8
    max_merged: int = 50
    window: int = 25
    area_range: tuple[float, float] = (0.65, 1.45)
    height_range: tuple[float, float] = (0.8, 1.15)
    max_fragment_gap: float = 0.06
    border: int = 1


@dataclass(frozen=True)
class MaskQuality:
    """How far a mask can be trusted to be one whole person.

    Attributes:
        touches_border: The mask reaches the frame's edge, so part of the person may be outside.
        area_ratio: Area as a fraction of the median of the track around this frame.
        fragments: Number of regions the mask consists of.
        merged: The mask probably covers several people.
        usable: Whether to fit a body to it.
        note: Why not; empty for a usable mask.
    """

    touches_border: bool
    area_ratio: float
    fragments: int
    merged: bool
    usable: bool
    note: str


@dataclass(frozen=True, eq=False)
class PackedMask:
    """A mask, a bit a pixel: every frame of every track is kept, and recordings may be long."""

    bits: npt.NDArray[np.uint8]
    shape: tuple[int, int]
    area: int

    @classmethod
    def of(cls, mask: Mask) -> PackedMask:
        """From (h, w) bool."""
        return cls(np.packbits(mask), (mask.shape[0], mask.shape[1]), int(mask.sum()))

    def unpack(self) -> Mask:
        """(h, w) bool."""
        height, width = self.shape
        return np.unpackbits(self.bits, count=height * width).reshape(self.shape).view(bool)


@dataclass(frozen=True, eq=False)
class Detection:
    """One person in one frame.

    Attributes:
        frame: Frame number from 0.
        bbox: Tight box x, y, w, h of the mask in frame pixels.
        packed: The mask inside the box; other people's pixels are not set, except in a merged
            group.
        quality: Whether the mask is good enough.
    """

    frame: int
    bbox: Box
    packed: PackedMask
    quality: MaskQuality

    @property
    def mask(self) -> Mask:
        """(h, w) bool."""
        return self.packed.unpack()


@dataclass(frozen=True, eq=False)
class Track:
    """One person over time.

    Attributes:
        number: From 1, in the order people appear.
        detections: In order of frames; frames in which the person was not seen are absent.
    """

    number: int
    detections: tuple[Detection, ...]

    @property
    def usable(self) -> tuple[Detection, ...]:
        """The detections fit to be used."""
        return tuple(detection for detection in self.detections if detection.quality.usable)


def find_people(
    frames: Frames,
    *,
    method: Method = "median",
    masks: Masks | None = None,
    settings: TrackSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Track]:
    """Find the people who move through a recording of a static camera.

    Args:
        frames: The recording; it is read twice (once with given masks).
        method: Background subtraction, see `adaptation.recording.background`; "median" had the tightest masks
            on real footage.
        masks: Masks made elsewhere, used instead of background subtraction.
        settings: What counts as a person.
        progress: Called with the steps done and their total (an estimate until the recording's
            length is known).

    Returns:
        One track a person, in order of appearance, with every detection and the reason why bad ones
        are not usable.

    Raises:
        UserError: No moving person was found, or the recording cannot be read.
    """
    settings = settings or TrackSettings()
    tracker = _Tracker(settings)
    for number, (frame, mask) in enumerate(_foreground(frames, method, masks, progress)):
        tracker.update(number, frame, mask)
    width, height = frames.size
    tracks = []
    for trail in tracker.finished():
        detections = _judge(trail, (width, height), settings)
        if _is_person(detections, height, settings, moving=masks is None):
            tracks.append(detections)
    if not tracks:
        wanted = f"people at least {settings.min_height} px tall, seen whole in at least {settings.min_usable} frames"
        if masks is not None:
            raise UserError(f"no person found in the masks of {masks.folder}; wanted {wanted}")
        raise UserError(
            f"no moving person found in {frames.path}; the camera must stand still and show {wanted}, or give masks"
        )
    tracks.sort(key=lambda detections: detections[0].frame)
    return [Track(number, tuple(detections)) for number, detections in enumerate(tracks, start=1)]


def _foreground(
    frames: Frames, method: Method, masks: Masks | None, progress: Callable[[int, int], None] | None
) -> Iterator[tuple[Image, Mask]]:
    """Every frame with its mask, given or cut out."""
    report = progress or (lambda done, total: None)
    if masks is not None:
        for number, frame in enumerate(frames):
            given = masks.mask(number)
            yield frame, np.zeros(frame.shape[:2], bool) if given is None else given
            report(number + 1, max(frames.count, number + 1))
        return
    subtractor = make_subtractor(method)
    samples = sample_frames(
        frames,
        sample_count(frames.size),
        progress=lambda done: report(done, 2 * max(frames.count, done)),
    )
    subtractor.learn(samples)
    count = frames.count
    for number, frame in enumerate(frames):
        yield frame, clean_mask(subtractor.mask(frame))
        report(count + number + 1, 2 * count)


@dataclass(frozen=True, eq=False)
class _Sighting:
    """One or several regions taken for one person in one frame."""

    frame: int
    bbox: Box
    packed: PackedMask
    colour: npt.NDArray[np.float64]  # (2, 3) mean colour of the upper and the lower half
    merged: bool = False

    @property
    def area(self) -> int:
        return self.packed.area

    @property
    def centre(self) -> npt.NDArray[np.float64]:
        x, y, w, h = self.bbox
        return np.array([x + w / 2, y + h / 2])


class _Trail:
    """A track in the making."""

    def __init__(self, first: _Sighting) -> None:
        self.sightings = [first]
        self.centre = first.centre
        self.velocity = np.zeros(2)
        self.size = np.array(first.bbox[2:], float)
        self.area = float(first.area)
        self.colour = first.colour
        self.last_frame = first.frame  # last frame seen alone
        self.last_seen = first.frame  # last frame seen at all

    @property
    def confirmed(self) -> bool:
        """Seen often enough to believe in when it is hidden."""
        return len(self.sightings) >= 5

    def predict(self, frame: int) -> npt.NDArray[np.float64]:
        """Box x, y, w, h where the person should be."""
        centre = self.centre + self.velocity * (frame - self.last_frame)
        return np.concatenate([centre - self.size / 2, self.size])

    def part_from(self, other: _Sighting, predicted: npt.NDArray[np.float64]) -> None:
        """Notice that `other` has just come out of this track's region, in which both were.

        Past sightings are marked as merged, back to where the region was no larger than this person
        alone.
        """
        own = self.sightings[-1]
        overlap = _intersections(predicted[None], np.array([other.bbox], float))[0, 0]
        inside = overlap > 0.4 * other.bbox[2] * other.bbox[3]
        if own.merged or not inside or other.area < 0.3 * self.area or own.area > 0.85 * self.area:
            return
        for index in range(len(self.sightings) - 2, -1, -1):
            if self.sightings[index].area < 1.2 * own.area:
                break
            self.sightings[index] = replace(self.sightings[index], merged=True)
        self.size = np.array(own.bbox[2:], float)
        self.area = float(own.area)

    def add(self, sighting: _Sighting) -> None:
        """Go on with a sighting; a merged one says nothing about this person's own place."""
        self.sightings.append(sighting)
        self.last_seen = sighting.frame
        if sighting.merged:
            return
        step = (sighting.centre - self.centre) / (sighting.frame - self.last_frame)
        weight = 0.3 if len(self.sightings) > 2 else 1.0
        self.velocity += weight * (step - self.velocity)
        self.centre = sighting.centre
        self.size += 0.2 * (np.array(sighting.bbox[2:], float) - self.size)
        self.area += 0.1 * (sighting.area - self.area)
        self.colour = self.colour + 0.1 * (sighting.colour - self.colour)
        self.last_frame = sighting.frame


class _Tracker:
    """Matches every frame's regions with the tracks so far."""

    def __init__(self, settings: TrackSettings) -> None:
        self._settings = settings
        self._active: list[_Trail] = []
        self._ended: list[_Trail] = []

    def update(self, number: int, frame: Image, mask: Mask) -> None:
        """Go on by one frame; frames come in order."""
        settings = self._settings
        alive = self._active
        predicted = np.array([trail.predict(number) for trail in alive]).reshape(-1, 4)
        believed = predicted[[trail.confirmed for trail in alive]]
        regions = [
            part
            for region in _regions(mask, settings.min_region)
            for part in _split(region, believed, settings.min_height)
        ]
        boxes = np.array([region[0] for region in regions], float).reshape(-1, 4)
        overlap = _intersections(predicted, boxes)
        of_track = overlap / np.maximum(predicted[:, 2] * predicted[:, 3], 1)[:, None]
        of_region = overlap / np.maximum(boxes[:, 2] * boxes[:, 3], 1)[None, :]

        owned: dict[int, list[int]] = {}
        for track, region in self._match(number, frame, regions, predicted, boxes):
            owned[track] = [region]
        taken = {members[0]: track for track, members in owned.items()}
        # Small regions inside one matched track's box are pieces of that person.
        for region in range(len(regions)):
            if region in taken or not owned:
                continue
            candidates = list(owned)
            best = max(candidates, key=lambda track: of_region[track, region])
            smaller = boxes[region, 3] < 0.6 * predicted[best, 3]
            if of_region[best, region] > 0.6 and smaller:
                owned[best].append(region)
                taken[region] = best
        # A track without a region, covered by another's region that has grown: the two have merged.
        groups: dict[int, list[int]] = {}
        for track, trail in enumerate(alive):
            if track in owned or not trail.confirmed or not len(regions):
                continue
            region = int(np.argmax(of_track[track]))
            owner = taken.get(region)
            if owner is None or of_track[track, region] < 0.4 or not alive[owner].confirmed:
                continue
            if regions[region][1].sum() > 1.2 * alive[owner].area:
                groups.setdefault(owner, []).append(track)

        for track, members in owned.items():
            sighting = _sight(number, frame, [regions[region] for region in members])
            together = groups.get(track, [])
            if together:
                sighting = replace(sighting, merged=True)
                for other in together:
                    alive[other].add(sighting)
            alive[track].add(sighting)
        rest = [regions[region] for region in range(len(regions)) if region not in taken]
        new = [_Trail(_sight(number, frame, group)) for group in _stack(rest)]
        new = [trail for trail in new if trail.size[1] >= 0.5 * settings.min_height]
        for trail in new:
            for track in owned:
                alive[track].part_from(trail.sightings[0], predicted[track])
        self._active = []
        for trail in alive:
            unseen, alone = number - trail.last_seen, number - trail.last_frame
            patience = settings.max_gap if trail.confirmed else 2
            (self._ended if unseen > patience or alone > settings.max_merged else self._active).append(trail)
        self._active += new

    def finished(self) -> list[_Trail]:
        """Every track, when there are no more frames."""
        return self._ended + self._active

    def _match(
        self,
        number: int,
        frame: Image,
        regions: Sequence[tuple[Box, Mask]],
        predicted: npt.NDArray[np.float64],
        boxes: npt.NDArray[np.float64],
    ) -> Iterator[tuple[int, int]]:
        """Pairs of track and region, best first, each used once."""
        iou = _iou(predicted, boxes)
        colours = [_sight(number, frame, [region]).colour for region in regions]
        costs = []
        for track, region in zip(*np.nonzero(iou > 0.1), strict=True):
            trail = self._active[track]
            colour = min(float(np.abs(trail.colour - colours[region]).mean()) / 40, 1.0)
            # Who is long established or just seen is asked first.
            doubt = 0.0 if trail.confirmed else 0.2
            costs.append((1 - iou[track, region] + colour + doubt, int(track), int(region)))
        tracks, used = set(), set()
        for _, track, region in sorted(costs):
            if track not in tracks and region not in used:
                tracks.add(track)
                used.add(region)
                yield track, region


def _regions(mask: Mask, min_area: int) -> list[tuple[Box, Mask]]:
    """The 8-connected regions of a mask as box and mask inside the box."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    regions = []
    for label in range(1, count):
        x, y, w, h, area = (int(value) for value in stats[label])
        if area >= min_area:
            regions.append(((x, y, w, h), labels[y : y + h, x : x + w] == label))
    return regions


def _split(region: tuple[Box, Mask], people: npt.NDArray[np.float64], min_height: int) -> list[tuple[Box, Mask]]:
    """Cut a region into people who touch only by a hand, a bag or a foot.

    The region is eroded step by step, up to necks of 8 % of its height, until it falls into parts
    that are people: each fits another person known to be about there, or they stand side by side
    and are about equally tall. Every pixel then goes to the part that is nearest along the mask. A
    region that does not fall apart so is returned as it is.

    Args:
        region: Box and mask.
        people: Boxes (N, 4) of the known people in this frame.
        min_height: Least height of a part.
    """
    (x, y, w, h), mask = region
    covered = _intersections(people, np.array([region[0]], float))[:, 0] > 0.4 * people[:, 2] * people[:, 3]
    if h < min_height or (covered.sum() < 2 and w < 0.5 * h):
        return [region]
    padded = np.pad(mask.astype(np.uint8), 1)
    for radius in range(1, round(0.04 * h) + 1):
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
        count, labels, stats, _ = cv2.connectedComponentsWithStats(cv2.erode(padded, kernel), connectivity=8)
        large = [
            label
            for label in range(1, count)
            if stats[label, cv2.CC_STAT_AREA] > 0.2 * stats[1:, cv2.CC_STAT_AREA].sum()
        ]
        if len(large) < 2:
            continue
        owner = _grow(np.where(np.isin(labels, large), labels, 0), padded > 0)
        parts = []
        for label in large:
            part = owner == label
            left, top, width, height = cv2.boundingRect(part.astype(np.uint8))
            cut = part[top : top + height, left : left + width]
            parts.append(((x + left - 1, y + top - 1, width, height), cut))
        found = [box for box, _ in parts]
        tall = min(box[3] for box in found) >= min_height
        if tall and (_match_people(found, people) or _side_by_side(found, h)):
            return parts
    return _cut_at_valley(region, people, min_height)


def _grow(labels: npt.NDArray[np.int32], mask: Mask) -> npt.NDArray[np.float32]:
    """Grow labels (0 for none) through what is connected to them; the nearest takes a pixel."""
    grown = labels.astype(np.float32)
    while True:
        free = mask & (grown == 0)
        wider = cv2.dilate(grown, np.ones((3, 3), np.uint8))
        if not (wider[free] > 0).any():
            return grown
        grown[free] = wider[free]


def _cut_at_valley(
    region: tuple[Box, Mask], people: npt.NDArray[np.float64], min_height: int
) -> list[tuple[Box, Mask]]:
    """Cut two people side by side at the column with the fewest pixels.

    It may hold 45 % of the height where the parts fit two known people, and otherwise 30 %.
    """
    (x, y, w, h), mask = region
    columns = mask.sum(0)
    middle = slice(round(0.25 * w), round(0.75 * w) + 1)
    column = middle.start + int(np.argmin(columns[middle]))
    parts = []
    for left, part in ((0, mask[:, :column]), (column, mask[:, column:])):
        dx, dy, width, height = cv2.boundingRect(part.astype(np.uint8))
        parts.append(((x + left + dx, y + dy, width, height), part[dy : dy + height, dx : dx + width]))
    found = [box for box, _ in parts]
    depth = 0.45 if _match_people(found, people) else 0.3
    fits = columns[column] <= depth * h and min(box[3] for box in found) >= min_height and _side_by_side(found, h)
    return parts if fits else [region]


def _match_people(parts: Sequence[Box], people: npt.NDArray[np.float64]) -> bool:
    """Whether each part of a region fits another one of the known people."""
    if not len(people):
        return False
    iou = _iou(people, np.array(parts, float))
    return bool((iou.max(0) > 0.4).all() and len(set(iou.argmax(0))) == len(parts))


def _side_by_side(parts: Sequence[Box], height: int) -> bool:
    """Whether the parts of a region stand side by side and are nearly as tall as the region."""
    boxes = np.array(sorted(parts), float)
    shared = boxes[:-1, 0] + boxes[:-1, 2] - boxes[1:, 0]
    narrower = np.minimum(boxes[:-1, 2], boxes[1:, 2])
    return bool((boxes[:, 3] >= 0.7 * height).all() and (shared <= 0.4 * narrower).all())


def _sight(number: int, frame: Image, regions: Sequence[tuple[Box, Mask]]) -> _Sighting:
    """Put regions together."""
    left = min(box[0] for box, _ in regions)
    top = min(box[1] for box, _ in regions)
    right = max(box[0] + box[2] for box, _ in regions)
    bottom = max(box[1] + box[3] for box, _ in regions)
    mask = np.zeros((bottom - top, right - left), bool)
    for (x, y, w, h), region in regions:
        mask[y - top : y - top + h, x - left : x - left + w] |= region
    crop = frame[top:bottom, left:right]
    half = (bottom - top + 1) // 2
    colour = np.zeros((2, 3))
    for row, part in enumerate((slice(0, half), slice(half, None))):
        if mask[part].any():
            colour[row] = crop[part][mask[part]].mean(0)
    return _Sighting(number, (left, top, right - left, bottom - top), PackedMask.of(mask), colour)


def _stack(regions: Sequence[tuple[Box, Mask]]) -> list[list[tuple[Box, Mask]]]:
    """Group regions with a small gap above one another: head, trunk and legs of one person."""
    groups = [[region] for region in sorted(regions, key=lambda region: region[0][1])]
    merged = True
    while merged:
        merged = False
        for first in range(len(groups)):
            for second in range(first + 1, len(groups)):
                if _stacked(_bounds(groups[first]), _bounds(groups[second])):
                    groups[first] += groups.pop(second)
                    merged = True
                    break
            if merged:
                break
    return groups


def _stacked(upper: Box, lower: Box) -> bool:
    if lower[1] < upper[1]:
        upper, lower = lower, upper
    shared = min(upper[0] + upper[2], lower[0] + lower[2]) - max(upper[0], lower[0])
    gap = lower[1] - (upper[1] + upper[3])
    height = max(upper[1] + upper[3], lower[1] + lower[3]) - upper[1]
    width = max(upper[0] + upper[2], lower[0] + lower[2]) - min(upper[0], lower[0])
    return shared >= 0.5 * min(upper[2], lower[2]) and gap <= 0.15 * height and width <= 0.7 * height


def _bounds(group: Sequence[tuple[Box, Mask]]) -> Box:
    left, top = min(box[0] for box, _ in group), min(box[1] for box, _ in group)
    right, bottom = (
        max(box[0] + box[2] for box, _ in group),
        max(box[1] + box[3] for box, _ in group),
    )
    return left, top, right - left, bottom - top


def _intersections(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Common area of every box of (A, 4) with every box of (B, 4), as (A, B)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, :2] + a[:, None, 2:], b[None, :, :2] + b[None, :, 2:])
    return np.asarray(np.maximum(high - low, 0).prod(2))


def _iou(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Intersection over union of every box of (A, 4) with every box of (B, 4), as (A, B)."""
    common = _intersections(a, b)
    union = (a[:, 2] * a[:, 3])[:, None] + (b[:, 2] * b[:, 3])[None, :] - common
    return np.asarray(common / np.maximum(union, 1))


def _judge(trail: _Trail, size: tuple[int, int], settings: TrackSettings) -> list[Detection]:
    """Every sighting with its quality, compared with the sightings around it."""
    sightings = trail.sightings
    border = np.array([_touches(sighting.bbox, size, settings.border) for sighting in sightings])
    crowd = np.array([sighting.merged or heads(sighting.packed.unpack()) > 1 for sighting in sightings])
    areas = np.array([sighting.area for sighting in sightings], float)
    heights = np.array([sighting.bbox[3] for sighting in sightings], float)
    good = ~border & ~crowd
    detections = []
    for index, sighting in enumerate(sightings):
        around = slice(max(0, index - settings.window), index + settings.window + 1)
        chosen = good[around] if good[around].any() else np.ones(len(good[around]), bool)
        area = float(areas[index] / np.median(areas[around][chosen]))
        # Legs can stay hidden for a while: the taller neighbours show the person whole.
        height = float(heights[index] / np.percentile(heights[around][chosen], 75))
        fragments, gap = _fragments(sighting.packed.unpack())
        wide = sighting.bbox[2] > settings.max_width * sighting.bbox[3]
        notes = []
        if border[index]:
            notes.append("touches the border")
        if crowd[index]:
            notes.append("merged with another person")
        elif wide:
            notes.append("too wide for one person")
        if gap > settings.max_fragment_gap:
            notes.append(f"{fragments} fragments")
        if not settings.area_range[0] <= area <= settings.area_range[1]:
            notes.append(f"area {area:.2f} of the usual")
        if not settings.height_range[0] <= height <= settings.height_range[1]:
            notes.append(f"height {height:.2f} of the usual")
        if heights[index] < settings.min_height:
            notes.append(f"less than {settings.min_height} px tall")
        quality = MaskQuality(
            touches_border=bool(border[index]),
            area_ratio=area,
            fragments=fragments,
            merged=bool(crowd[index] or wide),
            usable=not notes,
            note=", ".join(notes),
        )
        detections.append(Detection(sighting.frame, sighting.bbox, sighting.packed, quality))
    return detections


def _is_person(detections: Sequence[Detection], frame_height: int, settings: TrackSettings, *, moving: bool) -> bool:
    """Whether a track is long, large and mobile enough."""
    usable = [detection for detection in detections if detection.quality.usable]
    if len(usable) < settings.min_usable:
        return False
    height = float(np.median([detection.bbox[3] for detection in usable]))
    if not settings.min_height <= height <= (settings.max_height or frame_height):
        return False
    centres = np.array([(d.bbox[0] + d.bbox[2] / 2, d.bbox[1] + d.bbox[3] / 2) for d in detections])
    return not moving or bool(np.hypot(*np.ptp(centres, axis=0)) >= settings.min_travel * height)


def _touches(box: Box, size: tuple[int, int], border: int) -> bool:
    x, y, w, h = box
    return x < border or y < border or x + w > size[0] - border or y + h > size[1] - border


def _fragments(mask: Mask) -> tuple[int, float]:
    """Number of regions, and the largest one's greatest gap to another, per height.

    Regions of less than 2 % of the area count as fragments, but their gap does not matter.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count <= 2:
        return count - 1, 0.0
    areas = stats[1:, cv2.CC_STAT_AREA]
    main = int(np.argmax(areas)) + 1
    away = cv2.distanceTransform((labels != main).astype(np.uint8), cv2.DIST_L2, 3)
    gaps = [away[labels == label].min() for label in range(1, count) if areas[label - 1] >= 0.02 * areas.sum()]
    return count - 1, float(max(gaps)) / mask.shape[0]


def heads(mask: Mask) -> int:
    """Count the parts that stand side by side at the top of a person's mask.

    Two people who walk side by side make one region with two heads. Where their shoulders touch,
    the heads are apart only above them, so cuts at several depths down to a quarter are tried.

    Args:
        mask: Tight mask (h, w).

    Returns:
        The greatest number of parts above a cut that are at least 6 % of the height tall and a
        quarter as large as the largest; at least 1.
    """
    height = mask.shape[0]
    found = 1
    for depth in (0.13, 0.17, 0.21, 0.25):
        upper = mask[: max(1, round(depth * height))].astype(np.uint8)
        count, _, stats, _ = cv2.connectedComponentsWithStats(upper, connectivity=8)
        if count > 2:
            areas = stats[1:, cv2.CC_STAT_AREA]
            tall = stats[1:, cv2.CC_STAT_HEIGHT] >= 0.06 * height
            found = max(found, int((tall & (areas >= 0.25 * areas.max())).sum()))
    return found
