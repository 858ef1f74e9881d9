"""Check a recording: what `fit`, `predict` and `adapt` would find in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adaptation.checking.sampling import sampled_frames
from adaptation.checking.survey import STRIDE, Given, Survey, survey
from adaptation.checking.survey_picture import draw_survey
from adaptation.checking.verdict import Use, Verdict
from adaptation.recording.detections import TrackSettings
from adaptation.recording.footage.decoding.capture import Capture
from adaptation.recording.footage.empty_scene import read_background
from adaptation.recording.footage.segmented_masks import open_given
from adaptation.recording.footage.video import Frames, VideoFrames, open_frames
from adaptation.recording.options import FitOptions
from adaptation.recording.people.reasons import kind_of_reason
from adaptation.support.errors import UserError
from adaptation.support.levels import Levels
from adaptation.support.progress import Progress

EVERY = FitOptions.every
FEW_FRAMES = 40  # a background is learnt from as many
STILL, SHAKEN = 1.0, 3.0  # pixels: up to here masks do not suffer; beyond, outlines of the scene become foreground
CLUTTERED = 0.02  # share of the frame
LIGHT_RANGE = 1.5  # greatest ratio of the light to that of the background, or its inverse
SMALL_PEOPLE = 80  # pixels; below, a body's limbs are a few pixels wide
FEW_CROPS = 500  # the evidence adapts to 2,400
_EMPTY = "give a picture of the empty scene (--background) or masks (--masks)"


@dataclass(frozen=True)
class Counted:
    """What the commands would work on, estimated from the sampled frames.

    Attributes:
        frames: number of frames of the recording.
        people: people per frame, on average.
        usable: usable masks per frame, on average.
    """

    frames: int
    people: float
    usable: float

    def bodies(self, every: int) -> int:
        """Return the number of bodies if one frame in ``every`` is used."""
        return round(self.usable * self.frames / every)


@dataclass(frozen=True)
class RecordingInput:
    """A recording, and what is given beside it.

    Attributes:
        path: video, or folder of frames.
        masks: masks to use instead of background subtraction.
        background: picture of the empty scene.
        levels: range of levels of a recording of 16 bits; None for the one that its frames show.
        min_height: smallest height of a person, pixels.
        models: networks of the segmenter that makes the masks.
    """

    path: Path
    masks: Path | None = None
    background: Path | None = None
    levels: Levels | None = None
    min_height: int = TrackSettings.min_height
    models: Path | None = None


def check_recording(given: RecordingInput, progress: Progress) -> Verdict:
    """Look at a recording, and tell what can be done with it.

    Args:
        given: the recording, and what is given beside it.
        progress: progress bars.

    Raises:
        UserError: the recording, the masks or the background cannot be read.
    """
    frames = open_frames(given.path, given.levels)
    beside = Given(
        open_given(given.masks, given.models, frames),
        read_background(given.background, frames) if given.background else (),
    )
    settings = TrackSettings(min_height=given.min_height)
    with progress.task("Reading frames") as update:
        chosen = sampled_frames(frames, in_step=beside.masks is not None, progress=update.by)
    if not chosen:
        raise UserError(f"{given.path}: no frame could be read by seeking; the file may be damaged")
    with progress.task("Looking for people", len(chosen[::STRIDE])) as update:
        seen = survey(frames.size, chosen, settings, beside, update.by)
    looked = len(seen.samples)
    usable = sum(person.quality.usable for person in seen.people)
    counted = Counted(frames.count, len(seen.people) / looked, usable / looked)
    subtracted = beside.masks is None
    return Verdict(
        f"recording: {'video' if isinstance(frames, VideoFrames) else 'folder of images'}",
        [*_facts(frames), *_measured(seen)],
        _uses(counted, seen, subtracted=subtracted),
        list(_advice(frames, counted, seen, settings, subtracted=subtracted)),
        draw_survey(seen),
    )


def _facts(frames: Frames) -> Iterator[tuple[str, str]]:
    turn = 0
    if isinstance(frames, VideoFrames):
        capture = Capture(frames.path)
        rate, codec, turn = capture.rate(), capture.codec(), capture.turn()
        capture.close()
        # The rate of some containers is a unit of time, not a rate.
        timed = 0 < rate < 1000
        yield "codec", codec or "unknown"
        yield "frames", f"{frames.count}" + (f", {rate:.4g} a second, {frames.count / rate:.1f} s" if timed else "")
    else:
        yield "frames", f"{frames.count}"
    depth = "8 bits" if frames.levels is None else f"16 bits, levels {frames.levels.low} to {frames.levels.high}"
    turned = f", turned by {turn} degrees" if turn else ""
    yield "size", f"{frames.size[0]}x{frames.size[1]} pixels{turned}; {depth}"


def _measured(seen: Survey) -> Iterator[tuple[str, str]]:
    low, high = seen.gains
    yield "looked at", f"{len(seen.samples)} frames, {seen.samples[0].number} to {seen.samples[-1].number}"
    yield "camera", f"{'still' if seen.shake <= STILL else 'moves'}; shifted by up to {seen.shake:.1f} px"
    yield (
        "light",
        f"{low:.2f} to {high:.2f} times that of the background"
        + (f"; {seen.looks} different pictures, as of a camera that switches to infrared" if seen.looks > 1 else ""),
    )
    yield "background", f"noise {seen.noise:.1f} grey levels; {seen.clutter:.1%} of the frame moves and is nobody"
    counts = [len(sample.people) for sample in seen.samples]
    yield "people", f"{np.median(counts):.0f} at once, at most {max(counts)}"
    if not seen.people:
        return
    heights = np.array([person.bbox[3] for person in seen.people])
    yield "height", f"{np.median(heights):.0f} px, {np.percentile(heights, 5):.0f} to {np.percentile(heights, 95):.0f}"
    usable = [person for person in seen.people if person.quality.usable]
    notes = (person.quality.note.split(", ") for person in seen.people if not person.quality.usable)
    reasons = Counter(kind_of_reason(reason) for note in notes for reason in note)
    shown = "; ".join(f"{reason} {count}" for reason, count in reasons.most_common(4))
    yield "masks", f"{len(usable)} of {len(seen.people)} usable" + (f" (others: {shown})" if shown else "")


def _uses(counted: Counted, seen: Survey, *, subtracted: bool) -> list[Use]:
    if not counted.usable:
        return [Use(command, False, "no usable mask of a person was seen") for command in ("fit", "predict", "adapt")]
    if subtracted and seen.shake > SHAKEN:
        return [Use(command, False, "the camera moves") for command in ("fit", "predict", "adapt")]
    bodies = counted.bodies(EVERY)
    return [
        Use("fit", True, f"about {bodies} bodies at --every {EVERY}"),
        Use("predict", True, f"about {bodies} bodies at --every {EVERY}"),
        Use("adapt", True, f"about {bodies} crops at --every {EVERY}"),
    ]


def _advice(
    frames: Frames, counted: Counted, seen: Survey, settings: TrackSettings, *, subtracted: bool
) -> Iterator[str]:
    if frames.warning:
        yield frames.warning
    low, high = seen.gains
    if subtracted:
        if counted.frames < FEW_FRAMES:
            yield f"{counted.frames} frames are too few to learn a background from; {_EMPTY}"
        if seen.shake > STILL:
            yield "the camera does not stand still: stabilise the recording, or give masks (--masks)"
        if max(high, 1 / low) > LIGHT_RANGE:
            yield "the light changes much: split the recording where it changes, or give masks (--masks)"
        if seen.clutter > CLUTTERED:
            yield "much of the background moves (leaves, water, screens): see the picture, or give masks (--masks)"
        if seen.in_background > 0.1 * len(seen.people):
            yield f"people who stay in place are part of the background, which cuts their masks: {_EMPTY}"
    if not seen.people:
        yield (
            f"nobody at least {settings.min_height // 2} px tall was seen: lower --min-height for smaller people; "
            f"those who stay in place throughout become background: {_EMPTY}"
        )
        return
    height = float(np.median([person.bbox[3] for person in seen.people]))
    if height < settings.min_height:
        yield f"people are {height:.0f} px tall: lower --min-height, which is {settings.min_height}"
    elif height < SMALL_PEOPLE:
        yield f"people are {height:.0f} px tall, so their limbs are a few pixels wide; a nearer camera helps most"
    if counted.usable < 0.5 * counted.people:
        yield "more than half of the masks are not usable: look at the picture and at the reasons above"
    crops = counted.bodies(EVERY)
    if 0 < crops < FEW_CROPS and counted.bodies(1) > crops:
        every = max(1, EVERY * crops // FEW_CROPS)
        yield f"to adapt to more crops, use --every {every} (about {counted.bodies(every)} crops)"
