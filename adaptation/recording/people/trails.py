"""A track under construction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from adaptation.recording.detections import Sighting
from adaptation.recording.regions import intersections

_BOTH = 0.75  # least area of two people in one region, as a fraction of their areas once they are apart


class Trail:
    """A track under construction: sightings so far, and a smoothed state that predicts the next box."""

    def __init__(self, first: Sighting) -> None:
        self.sightings = [first]
        self.centre = first.centre
        # Unknown at first; a person who stands is the best guess.
        self.velocity = np.zeros(2)
        self.size = np.array(first.bbox[2:], float)
        self.area = float(first.area)
        self.colour = first.colour
        self.last_frame = first.frame  # last frame seen alone
        self.last_seen = first.frame  # last frame seen at all

    @property
    def confirmed(self) -> bool:
        """Whether the person was seen often enough to be expected while hidden."""
        # Noise rarely lasts five frames in one place.
        return len(self.sightings) >= 5

    def predict(self, frame: int) -> npt.NDArray[np.float64]:
        """Return the box x, y, w, h in which the person is expected, (4,) pixels."""
        # Since the last frame alone: while a person is inside a group, the group's centre is not theirs.
        centre = self.centre + self.velocity * (frame - self.last_frame)
        return np.concatenate([centre - self.size / 2, self.size])

    def part_from(self, other: Sighting, predicted: npt.NDArray[np.float64]) -> None:
        """Mark past sightings as merged if `other` has just come out of this track's region.

        They are marked back to where the region was no larger than this person alone.
        """
        own = self.sightings[-1]
        # The other came out of this person if most of it lies where this track was expected.
        overlap = intersections(predicted[None], np.array([other.bbox], float))[0, 0]
        inside = overlap > 0.4 * other.bbox[2] * other.bbox[3]
        # And if the track's own mask has just lost about as much as the other has.
        if own.merged or not inside or other.area < 0.3 * self.area or own.area > 0.85 * self.area:
            return
        # Backwards from the sighting before the split, which is the last that showed both.
        for index in range(len(self.sightings) - 2, -1, -1):
            # Both together, since one may hide the other in part when they separate.
            if self.sightings[index].area < max(1.2 * own.area, _BOTH * (own.area + other.area)):
                break
            self.sightings[index] = replace(self.sightings[index], merged=True)
        # The smoothed size is that of two people, so it starts again.
        self.size = np.array(own.bbox[2:], float)
        self.area = float(own.area)

    def add(self, sighting: Sighting) -> None:
        """Append a sighting and update the state.

        A merged sighting leaves the state as it is: it does not show this person's own place.
        """
        self.sightings.append(sighting)
        self.last_seen = sighting.frame
        if sighting.merged:
            return
        # Per frame, since a track may have missed some.
        step = (sighting.centre - self.centre) / (sighting.frame - self.last_frame)
        # The first step is the only evidence of the velocity so far; later ones are smoothed.
        weight = 0.3 if len(self.sightings) > 2 else 1.0
        self.velocity += weight * (step - self.velocity)
        self.centre = sighting.centre
        # Legs open and close at every step, so size and area are smoothed more than the centre.
        self.size += 0.2 * (np.array(sighting.bbox[2:], float) - self.size)
        self.area += 0.1 * (sighting.area - self.area)
        # Not in place: the array is the first sighting's.
        self.colour = self.colour + 0.1 * (sighting.colour - self.colour)
        self.last_frame = sighting.frame
