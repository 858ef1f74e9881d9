"""Sightings of one person in single frames, and how their masks are judged once the track is complete.

A mask is judged against the sightings before and after it: its area and height should be those of
the same person, and it should be one person, in one piece, wholly inside the frame.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from adaptation.recording.regions import Box, Region, join
from adaptation.support.image_files import Image, Mask


@dataclass(frozen=True)
class TrackSettings:
    """What counts as a person, and as a usable mask. Lengths in pixels, durations in frames.

    Attributes:
        min_height: Least median height of a person.
        max_height: Greatest median height of a person; None for the frame's height.
        max_width: Greatest width as a fraction of the height; wider regions are several people or
            not a person.
        min_region: Smallest region considered, in square pixels.
        min_usable: Number of usable detections a track needs.
        min_travel: Least distance a person must cover, as a fraction of their height; less is a
            ghost left in the background or something that flutters. Ignored for given masks.
        max_gap: Number of unseen frames after which a track ends.
        max_merged: Number of frames inside a merged group after which a track ends.
        window: Number of detections before and after that a mask is compared with.
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
    # As many as confirm a track: noise rarely lasts longer.
    min_usable: int = 5
    min_travel: float = 0.5
    max_gap: int = 8
    max_merged: int = 50
    window: int = 25
    area_range: tuple[float, float] = (0.65, 1.45)
    height_range: tuple[float, float] = (0.8, 1.15)
    max_fragment_gap: float = 0.06
    border: int = 1


# Least distance of two people's heads as a fraction of their height. On real footage it is 0.14 in groups, and parts of
# one head are up to 0.12 apart.
_HEADS_APART = 0.13
# Contact with the frame's edge from which a given mask is cut, as a fraction of its height: a wrist is 4 % wide.
_CUT = 0.03
# Greatest fraction of an outline that is the background's, in one mask and as the median around it. On real footage
# people in front of slats reach 0.1 and 0.03; people whom the background contains have 0.1 to 0.4.
OUTLINE, USUAL_OUTLINE = 0.15, 0.08


@dataclass(frozen=True)
class MaskQuality:
    """Evidence on whether a mask shows one whole person.

    Attributes:
        touches_border: Whether the mask reaches the frame's edge, so that part of the person may be
            outside.
        area_ratio: Area as a fraction of the track's median area around this frame.
        fragments: Number of connected regions of the mask.
        merged: Whether the mask probably covers several people.
        usable: Whether a body can be fitted to the mask.
        note: Reasons why the mask is not usable; empty for a usable mask.
        in_background: Whether the learnt background probably contains the person, so that the mask is cut.
    """

    touches_border: bool
    area_ratio: float
    fragments: int
    merged: bool
    usable: bool
    note: str
    in_background: bool = False


@dataclass(frozen=True, eq=False)
class PackedMask:
    """A mask at one bit per pixel, because every frame of every track of a long recording is kept.

    Attributes:
        bits: Packed pixels in row order, uint8.
        shape: Height and width, pixels.
        area: Number of set pixels.
    """

    bits: npt.NDArray[np.uint8]
    shape: tuple[int, int]
    area: int

    @classmethod
    def of(cls, mask: Mask) -> PackedMask:
        """Pack a mask (h, w) bool."""
        return cls(np.packbits(mask), (mask.shape[0], mask.shape[1]), int(mask.sum()))

    def unpack(self) -> Mask:
        """Return the mask, (h, w) bool."""
        height, width = self.shape
        # Packing fills the last byte with zeros, which count cuts off.
        return np.unpackbits(self.bits, count=height * width).reshape(self.shape).view(bool)


@dataclass(frozen=True, eq=False)
class Detection:
    """One person in one frame, with a judged mask.

    Attributes:
        frame: Frame number from 0.
        bbox: Tight box x, y, w, h of the mask in frame pixels.
        packed: Mask inside the box; other people's pixels are not set, except in a merged group.
        quality: Judgement of the mask.
    """

    frame: int
    bbox: Box
    packed: PackedMask
    quality: MaskQuality

    @property
    def mask(self) -> Mask:
        """Mask inside the box, (h, w) bool."""
        return self.packed.unpack()


@dataclass(frozen=True, eq=False)
class Sighting:
    """One or several regions taken for one person in one frame, before their mask is judged.

    Attributes:
        frame: Frame number from 0.
        bbox: Tight box x, y, w, h in frame pixels.
        packed: Mask inside the box.
        colour: (2, 3) mean RGB colour of the upper and the lower half, 0 to 255.
        merged: Whether the regions also cover another person.
        background_outline: Fraction of the outline that is an edge of the background and not of the frame; NaN where it
            was not measured.
    """

    frame: int
    bbox: Box
    packed: PackedMask
    colour: npt.NDArray[np.float64]
    merged: bool = False
    background_outline: float = math.nan

    @property
    def area(self) -> int:
        """Number of set pixels."""
        return self.packed.area

    @property
    def centre(self) -> npt.NDArray[np.float64]:
        """Centre x, y of the box in frame pixels, (2,)."""
        x, y, w, h = self.bbox
        return np.array([x + w / 2, y + h / 2])


def sight(number: int, frame: Image, regions: Sequence[Region]) -> Sighting:
    """Make the sighting that some regions of frame `number`, RGB uint8 (H, W, 3), are together."""
    (x, y, w, h), mask = join(regions)
    crop = frame[y : y + h, x : x + w]
    # Rounded up, so that a mask of one row has an upper half.
    half = (h + 1) // 2
    # Shirt and trousers apart: people are told apart by the pair of colours.
    colour = np.zeros((2, 3))
    for row, part in enumerate((slice(0, half), slice(half, None))):
        # A half without pixels, as below a bust, keeps black instead of the mean of nothing.
        if mask[part].any():
            colour[row] = crop[part][mask[part]].mean(0)
    return Sighting(number, (x, y, w, h), PackedMask.of(mask), colour)


def judge(
    sightings: Sequence[Sighting], size: tuple[int, int], settings: TrackSettings, *, given: bool = False
) -> list[Detection]:
    """Judge the mask of every sighting of a track against the sightings around it.

    Args:
        sightings: Sightings of one person in order of frames.
        size: Width and height of the frames, pixels.
        settings: Thresholds, and the number of sightings to compare with.
        given: Whether the masks were given. They are trusted to show one person, in whatever pose; only what is cut off
            by the frame, small, or known to cover two people is not usable.

    Returns:
        One detection per sighting, in the same order.
    """
    border = np.array([_cut_off(sighting, size, settings, given=given) for sighting in sightings])
    # The tracker knows groups whose members it saw apart; heads find those that entered together. A raised arm counts
    # as a head, too.
    crowd = np.array([sighting.merged or (not given and heads(sighting.packed.unpack()) > 1) for sighting in sightings])
    areas = np.array([sighting.area for sighting in sightings], float)
    heights = np.array([sighting.bbox[3] for sighting in sightings], float)
    outlines = np.array([sighting.background_outline for sighting in sightings])
    centres = np.array([sighting.centre for sighting in sightings]).reshape(-1, 2)
    # Cut-off people are too small and groups too large to be a reference for the others.
    good = ~border & ~crowd
    detections = []
    for index, sighting in enumerate(sightings):
        # A window, not the whole track: people grow and shrink as they come closer and walk away.
        around = slice(max(0, index - settings.window), index + settings.window + 1)
        # Without a good neighbour, bad ones are still better than no reference.
        chosen = good[around] if good[around].any() else np.ones(len(good[around]), bool)
        # The median, which single bad masks in the window do not move.
        area = float(areas[index] / np.median(areas[around][chosen]))
        # Legs can stay hidden for a while: the taller neighbours show the whole person.
        height = float(heights[index] / np.percentile(heights[around][chosen], 75))
        measured = outlines[around][np.isfinite(outlines[around])]
        hidden = outlines[index] > OUTLINE or (len(measured) > 0 and np.median(measured) > USUAL_OUTLINE)
        # A background is what is seen for half of a recording. Somebody who passes is not part of it; strong patterns
        # behind them, such as slats and leaves against the light, show through their outline.
        hidden = hidden and _stays(sighting, centres[around])
        seen = _Evidence(area, height, bool(border[index]), bool(crowd[index]), bool(hidden))
        quality = (_quality_of_given if given else _quality)(sighting, seen, settings)
        detections.append(Detection(sighting.frame, sighting.bbox, sighting.packed, quality))
    return detections


class _Evidence(NamedTuple):
    """What the sightings around a mask say of it."""

    area: float  # as a fraction of its neighbours'
    height: float  # as a fraction of its neighbours'
    border: bool
    crowd: bool
    hidden: bool


def _quality_of_given(sighting: Sighting, seen: _Evidence, settings: TrackSettings) -> MaskQuality:
    """Judge one mask that was given."""
    notes = {
        "touches the border": seen.border,
        "merged with another person": seen.crowd,
        f"less than {settings.min_height} px tall": sighting.bbox[3] < settings.min_height,
    }
    return MaskQuality(
        touches_border=seen.border,
        area_ratio=seen.area,
        fragments=_fragments(sighting.packed.unpack())[0],
        merged=seen.crowd,
        usable=not any(notes.values()),
        note=", ".join(note for note, applies in notes.items() if applies),
    )


def _quality(sighting: Sighting, seen: _Evidence, settings: TrackSettings) -> MaskQuality:
    """Judge one mask of background subtraction."""
    area, height, border, crowd, hidden = seen
    fragments, gap = _fragments(sighting.packed.unpack())
    # Measured on the box: an arm stretched out is wide as well, and is refused with the groups.
    wide = sighting.bbox[2] > settings.max_width * sighting.bbox[3]
    notes = []
    if border:
        notes.append("touches the border")
    if crowd:  # a group is wide as well, so only one of the two reasons is given
        notes.append("merged with another person")
    elif wide:
        notes.append("too wide for one person")
    if gap > settings.max_fragment_gap:
        notes.append(f"{fragments} fragments")
    if not settings.area_range[0] <= area <= settings.area_range[1]:
        notes.append(f"area {area:.2f} times that of neighbouring frames")
    if not settings.height_range[0] <= height <= settings.height_range[1]:
        notes.append(f"height {height:.2f} times that of neighbouring frames")
    if sighting.bbox[3] < settings.min_height:
        notes.append(f"less than {settings.min_height} px tall")
    if hidden:
        notes.append("part of the person is in the background")
    return MaskQuality(
        touches_border=border,
        area_ratio=area,
        fragments=fragments,
        merged=crowd or wide,
        usable=not notes,
        note=", ".join(notes),
        in_background=hidden,
    )


def touches(box: Box, size: tuple[int, int], border: int) -> bool:
    """Return whether a box is nearer than `border` to an edge of a frame of some width and height."""
    return any(_sides(box, size, border))


def _sides(box: Box, size: tuple[int, int], border: int) -> tuple[bool, bool, bool, bool]:
    """Return whether a box touches the upper, lower, left and right edge of the frame."""
    x, y, w, h = box
    return y < border, y + h > size[1] - border, x < border, x + w > size[0] - border


def _cut_off(sighting: Sighting, size: tuple[int, int], settings: TrackSettings, *, given: bool) -> bool:
    """Return whether the frame's edge probably cuts the person off."""
    sides = _sides(sighting.bbox, size, settings.border)
    if not given or not any(sides):
        return any(sides)
    mask = sighting.packed.unpack()
    contacts = [np.count_nonzero(edge) for edge in (mask[0], mask[-1], mask[:, 0], mask[:, -1])]
    # A fingertip or a toe may touch it.
    return any(contact > _CUT * sighting.bbox[3] for contact, side in zip(contacts, sides, strict=True) if side)


def _stays(sighting: Sighting, centres: npt.NDArray[np.float64]) -> bool:
    """Return whether at least half of some centres (N, 2) lie within half a box of a sighting's own."""
    reach = np.array(sighting.bbox[2:]) / 2
    return bool((np.abs(centres - sighting.centre) < reach).all(1).mean() >= 0.5)


def _fragments(mask: Mask) -> tuple[int, float]:
    """Return the number of regions, and the largest one's greatest gap to another as a fraction of the height.

    Regions of less than 2 % of the area count as fragments, but their gap is ignored: they are
    specks, not parts of a person.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count <= 2:  # the background and one region
        return count - 1, 0.0
    areas = stats[1:, cv2.CC_STAT_AREA]
    main = int(np.argmax(areas)) + 1
    # One transform gives the distance of every pixel from the main region, so gaps need no pairs.
    away = cv2.distanceTransform((labels != main).astype(np.uint8), cv2.DIST_L2, 3)
    # The nearest pixel of each fragment, since a limb that is cut in two still starts near the body.
    gaps = [away[labels == label].min() for label in range(1, count) if areas[label - 1] >= 0.02 * areas.sum()]
    return count - 1, float(max(gaps)) / mask.shape[0]


def heads(mask: Mask) -> int:
    """Count the parts that stand side by side at the top of a person's mask.

    Two people who walk side by side make one region with two heads. If their shoulders touch, the
    heads are separate only above them, so cuts at several depths down to a quarter of the height
    are tried.

    Args:
        mask: (h, w) bool, tight around the person.

    Returns:
        The greatest number of parts above a cut that are at least 6 % of the height tall, a quarter
        as large as the largest, and 13 % of the height apart from each other; at least 1.
    """
    height = mask.shape[0]
    found = 1
    # A head is about an eighth of the height.
    for depth in (0.13, 0.17, 0.21, 0.25):
        upper = mask[: max(1, round(depth * height))].astype(np.uint8)
        count, _, stats, centres = cv2.connectedComponentsWithStats(upper, connectivity=8)
        # The background counts as a region, so two heads make three.
        if count > 2:
            areas = stats[1:, cv2.CC_STAT_AREA]
            # A raised hand is small, and hair that sticks out is flat.
            tall = stats[1:, cv2.CC_STAT_HEIGHT] >= 0.06 * height
            places = np.sort(centres[1:, 0][tall & (areas >= 0.25 * areas.max())])
            # A face as bright as the background splits one head; those of two people are a head's width apart.
            apart = np.diff(places, prepend=-np.inf) >= _HEADS_APART * height
            found = max(found, int(apart.sum()))
    return found
