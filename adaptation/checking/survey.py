"""Measure a recording from a few frames: is the camera still, is the light steady, and how are people seen?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from adaptation.recording.detections import Detection, TrackSettings, judge, sight
from adaptation.recording.footage.background import MedianSubtractor
from adaptation.recording.footage.cleaning import clean_mask
from adaptation.recording.footage.foreground import GivenMasks, Seen
from adaptation.recording.footage.ghosts import background_outline
from adaptation.recording.footage.light import fit_light
from adaptation.recording.footage.mask_files import Masks
from adaptation.recording.footage.modes import group_looks, small_frame
from adaptation.recording.people.given import regions_in
from adaptation.recording.people.specks import without_specks
from adaptation.recording.regions import join, stack_regions
from adaptation.support.image_files import Image, Mask

Floats = npt.NDArray[np.float32]

NOBODY = np.zeros((0, 4))  # boxes of people who are known beforehand
STRIDE = 2  # subtraction takes most of the time, and half of the frames show as much
WIDEST = 1280  # pixels; larger frames are reduced before their shift is measured


@dataclass(frozen=True, eq=False)
class SampledFrame:
    """One of the frames that were looked at.

    Attributes:
        number: frame number from 0.
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) bool, foreground.
        people: detections of people; their masks are judged without neighbouring frames.
        shift: (2,) displacement x, y from the background, pixels.
        gain: brightness as a multiple of the background's.
        look: number of the picture that the camera gives, from 0; a camera that switches to infrared has two.
    """

    number: int
    image: Image
    mask: Mask
    people: list[Detection]
    shift: npt.NDArray[np.float64]
    gain: float
    look: int


@dataclass(frozen=True, eq=False)
class Given:
    """What a user gives beside a recording.

    Attributes:
        masks: masks that replace background subtraction.
        background: pictures of the empty scene, RGB uint8 (H, W, 3).
    """

    masks: Masks | None = None
    background: Sequence[Image] = ()


@dataclass(frozen=True, eq=False)
class Survey:
    """Measurements of a recording.

    Attributes:
        size: width and height of the frames, pixels.
        samples: the frames that were looked at, in order.
        background: (H, W, 3) uint8 RGB, given or the median of these frames.
        noise: median over the pixels of the background's standard deviation, grey levels of 255.
    """

    size: tuple[int, int]
    samples: list[SampledFrame]
    background: Image
    noise: float

    @property
    def people(self) -> list[Detection]:
        """People in all sampled frames."""
        return [person for sample in self.samples for person in sample.people]

    @property
    def looks(self) -> int:
        """Number of different pictures that the camera gives."""
        return len({sample.look for sample in self.samples})

    @property
    def in_background(self) -> int:
        """Number of people who are probably part of the background, and whose masks are cut."""
        return sum(person.quality.in_background for person in self.people)

    @property
    def shake(self) -> float:
        """Displacement from the background that one sampled frame in ten exceeds, pixels."""
        return float(np.percentile([np.hypot(*sample.shift) for sample in self.samples], 90))

    @property
    def gains(self) -> tuple[float, float]:
        """Lowest and highest brightness, as a multiple of the background's."""
        gains = [sample.gain for sample in self.samples]
        return min(gains), max(gains)

    @property
    def clutter(self) -> float:
        """Mean share of the frame that is foreground and belongs to nobody: leaves, water, screens, light."""
        shares = []
        for sample in self.samples:
            owned = sum(person.packed.area for person in sample.people)
            shares.append(max(0, int(sample.mask.sum()) - owned) / sample.mask.size)
        return float(np.mean(shares))


def survey(
    size: tuple[int, int],
    frames: Sequence[tuple[int, Image]],
    settings: TrackSettings,
    given: Given,
    progress: Callable[[int], None] = lambda done: None,
) -> Survey:
    """Measure some frames of a recording.

    Args:
        size: width and height of the frames, pixels.
        frames: numbers and images of evenly spread frames, in rising order. The background is learnt from all of
            them, and people are looked for in every second one.
        settings: definition of a person and of a usable mask.
        given: what replaces background subtraction, or the background that is learnt.
        progress: called with the number of frames that were measured since the last call.
    """
    images = [image for _, image in frames]
    looks = group_looks([small_frame(image) for image in images])
    learnt = [
        _learn([image for image, kind in zip(images, looks, strict=True) if kind == k]) for k in sorted(set(looks))
    ]
    # Pictures of the empty scene show one look of the camera, which most recordings keep.
    shown = _learn(given.background) if given.background else None
    samples = []
    for (number, image), kind in list(zip(frames, looks, strict=True))[::STRIDE]:
        subtractor = shown or learnt[kind]
        if given.masks is not None:
            people = GivenMasks.of(given.masks, number)
            seen = Seen(image, people.union((image.shape[0], image.shape[1])), None, people)
        else:
            mask = clean_mask(subtractor.mask(image))
            seen = Seen(image, mask, subtractor.background)
        gain, _ = fit_light(learnt[kind].learnt, image)
        samples.append(
            SampledFrame(
                number,
                image,
                seen.mask,
                people=list(_people(number, seen, settings)),
                shift=_shift(learnt[kind].learnt, image),
                gain=float(gain.mean()),
                look=kind,
            )
        )
        progress(1)
    usual = learnt[max(set(looks), key=looks.count)]
    picture = (shown or usual).learnt
    return Survey(size, samples, np.asarray(np.rint(picture), np.uint8), float(np.median(usual.noise)))


def _learn(images: Sequence[Image]) -> MedianSubtractor:
    subtractor = MedianSubtractor()
    subtractor.learn(images)
    return subtractor


def _people(number: int, seen: Seen, settings: TrackSettings) -> Iterator[Detection]:
    """Find people in one frame, without knowledge of other frames."""
    height, width = seen.mask.shape
    regions = regions_in(seen, NOBODY, settings.min_region, settings.min_height)
    apart = seen.given is not None and seen.given.instances
    for group in [[region] for region in regions] if apart else stack_regions(regions):
        sighting = sight(number, seen.frame, group)
        _, _, w, h = sighting.bbox
        # As in tracking: half of the height, since a person may still be entering. Cars and shadows are wider.
        if h >= 0.5 * settings.min_height and (seen.given is not None or w <= 2 * h):
            if seen.background is not None:
                (x, y, _, _), mask = join(group)
                share = background_outline(seen.frame, seen.background, mask, (x, y))
                sighting = replace(sighting, background_outline=share)
                sighting = without_specks(sighting, (width, height), settings)
            yield from judge([sighting], (width, height), settings, given=seen.given is not None)


def _shift(background: Floats, image: Image) -> npt.NDArray[np.float64]:
    """Measure by how many pixels (x, y) a frame is displaced from the background, by phase correlation."""
    scale = min(1.0, WIDEST / image.shape[1])

    def reduced(picture: npt.NDArray[Any]) -> npt.NDArray[Any]:
        # Green alone, which carries most of the brightness.
        return np.asarray(cv2.resize(picture[..., 1].astype(np.float32), None, fx=scale, fy=scale))

    still, moved = reduced(background), reduced(image)
    # Without a window the borders, which do not move, would hold the estimate at 0.
    window = cv2.createHanningWindow((still.shape[1], still.shape[0]), cv2.CV_32F)
    shift, _ = cv2.phaseCorrelate(still, moved, window)
    return np.array(shift) / scale
