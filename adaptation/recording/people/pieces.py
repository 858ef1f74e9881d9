"""Tracks that are pieces of people: put together where their pieces are known, and recognised where they are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from adaptation.recording.detections import Detection, PackedMask, Sighting
from adaptation.recording.regions import Region, are_stacked, join

Sightings = Sequence[Sighting]

# Tracks are pieces of one person if they are above one another in this share of the frames that show both, and if these
# are as many as confirm a track and half of the shorter one. Where people pass behind each other, it is a half.
_STACKED, _TOGETHER, _SHARED = 0.6, 5, 0.5
# Least share of usable masks among those inside the frame, tall enough and alone; of whole people it is 0.6 or more.
_STEADY = 0.5


def join_pieces(tracks: Sequence[Sightings]) -> list[list[Sighting]]:
    """Put tracks together that are pieces of one person: legs, trunk and head above one another.

    Against the light or before a background like their clothes people fall into pieces, each of which is tracked.

    Args:
        tracks: Sightings of each track in order of frames.

    Returns:
        Sightings of each person. In a frame that shows several pieces, their mask is the union.
    """
    joined = [list(track) for track in tracks]
    merged = True
    # Trunk and legs may be above one another only once the thighs between them belong to one of them.
    while merged:
        merged = False
        for first in range(len(joined)):
            for second in range(first + 1, len(joined)):
                if _are_pieces(joined[first], joined[second]):
                    joined[first] = _together(joined[first], joined.pop(second))
                    merged = True
                    break
            if merged:
                break
    return joined


def _are_pieces(first: Sightings, second: Sightings) -> bool:
    by_frame = {sighting.frame: sighting for sighting in first}
    # A merged group is one sighting in the tracks of all its members, and shows nobody's place.
    both = [
        (by_frame[sighting.frame], sighting)
        for sighting in second
        if sighting.frame in by_frame and by_frame[sighting.frame].bbox != sighting.bbox
    ]
    if len(both) < max(_TOGETHER, _SHARED * min(len(first), len(second))):
        return False
    return bool(np.mean([are_stacked(one.bbox, other.bbox) for one, other in both]) >= _STACKED)


def _together(first: Sightings, second: Sightings) -> list[Sighting]:
    """Return the sightings of two tracks in order of frames, those of one frame as one."""
    by_frame = {sighting.frame: sighting for sighting in first}
    for sighting in second:
        other = by_frame.get(sighting.frame)
        by_frame[sighting.frame] = sighting if other is None else _union(other, sighting)
    return [by_frame[frame] for frame in sorted(by_frame)]


def _union(one: Sighting, other: Sighting) -> Sighting:
    """Return what two sightings of a frame show together."""
    if one.bbox == other.bbox:
        return one
    box, mask = join([Region(part.bbox, part.packed.unpack()) for part in (one, other)])
    larger = one if one.area >= other.area else other
    return replace(larger, bbox=box, packed=PackedMask.of(mask), merged=one.merged or other.merged)


def is_part(detections: Sequence[Detection], min_height: int) -> bool:
    """Return whether a track of background subtraction follows a part of a person instead of a whole one.

    A leg or a trunk, which is what is left where the rest is hidden or part of the background, changes its area and
    height from frame to frame, so that most of its masks are not usable for no reason outside of the person.

    Args:
        detections: The track.
        min_height: Least height of a person, pixels.
    """
    alone = [
        detection.quality.usable
        for detection in detections
        if not (detection.quality.touches_border or detection.quality.merged) and detection.bbox[3] >= min_height
    ]
    return bool(alone) and float(np.mean(alone)) < _STEADY
