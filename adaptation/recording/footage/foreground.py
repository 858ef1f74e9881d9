"""Foreground of every frame of a recording: given masks, or subtraction of one background per look of the camera."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from adaptation.recording.footage.background import Method, Subtractor, make_subtractor
from adaptation.recording.footage.cleaning import clean_mask
from adaptation.recording.footage.light import Floats
from adaptation.recording.footage.mask_files import Masks
from adaptation.recording.footage.modes import Part, Watch, alike, group_looks, look_of, small_frame
from adaptation.recording.footage.sampling import EvenSamples, sample_count, sample_frames
from adaptation.recording.footage.video import Frames
from adaptation.support.errors import UserError
from adaptation.support.image_files import Image, Mask
from adaptation.support.reading.findings import found

SHORTEST = 25  # frames from which a background can be learnt; somebody who walks is elsewhere after as many


class GivenMasks(NamedTuple):
    """The masks that were given for a frame.

    Attributes:
        people: Masks (H, W) bool, one per person if `instances`, and otherwise the whole foreground.
        instances: Whether the masks tell people apart.
        missing: Whether the frame has no mask, which says nothing of who is there.
    """

    people: list[Mask]
    instances: bool
    missing: bool = False

    @classmethod
    def of(cls, masks: Masks, number: int) -> GivenMasks:
        """Read the masks of frame `number`."""
        people = masks.people(number)
        return cls(people or [], masks.instances or len(people or []) > 1, people is None)

    def union(self, size: tuple[int, int]) -> Mask:
        """Return the whole foreground (H, W) of a frame of some height and width."""
        return np.logical_or.reduce([np.zeros(size, bool), *self.people])


class Seen(NamedTuple):
    """A frame with its foreground.

    Attributes:
        frame: (H, W, 3) RGB uint8.
        mask: (H, W) bool.
        background: (H, W, 3) background in the frame's light; None where there is none.
        given: What somebody else's masks say of this frame; None for subtracted masks.
    """

    frame: Image
    mask: Mask
    background: Floats | None
    given: GivenMasks | None = None


def foreground(
    frames: Frames,
    method: Method,
    masks: Masks | None = None,
    background: Sequence[Image] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Seen]:
    """Yield every frame of a recording with its foreground.

    Args:
        frames: Recording, read twice (once with given masks, a third time if the camera changes its picture).
        method: Background subtraction.
        masks: Masks made elsewhere, used instead of background subtraction.
        background: Pictures of the empty scene, RGB uint8 (H, W, 3); without any, the background is learnt from the
            recording.
        progress: Callback for the number of steps done and their total.

    Raises:
        UserError: The pictures do not show the recording's scene, or the recording cannot be read.
    """
    report = progress or (lambda done, total: None)
    if masks is not None:
        for number, frame in enumerate(frames):
            given = GivenMasks.of(masks, number)
            yield Seen(frame, given.union((frame.shape[0], frame.shape[1])), None, given)
            report(number + 1, max(frames.count, number + 1))
        return
    watch = Watch()
    samples = sample_frames(
        watch.seen(frames),
        sample_count(frames.size),
        # Half of the work: the second pass has as many frames. The header may promise too few.
        progress=lambda done: report(done, 2 * max(frames.count, done)),
    )
    parts = watch.parts()
    if background:
        learnt = _of_pictures(frames, parts, samples, background, method)
    else:
        learnt = _of_recording(frames, parts, samples, method)
    count = frames.count  # exact after the first pass
    for number, frame in enumerate(frames):
        subtractor = learnt[number]
        mask = _nothing(frame) if subtractor is None else clean_mask(subtractor.mask(frame))
        yield Seen(frame, mask, None if subtractor is None else subtractor.background)
        report(count + number + 1, 2 * count)


class _Learnt:
    """The subtractor of each frame, by the parts of a recording; None where there is none."""

    def __init__(self, parts: Sequence[Part], subtractors: Sequence[Subtractor | None]) -> None:
        self._parts, self._subtractors = parts, subtractors

    def __getitem__(self, number: int) -> Subtractor | None:
        if len(set(map(id, self._subtractors))) == 1:
            return self._subtractors[0]  # also for the few frames between parts
        for part, subtractor in zip(self._parts, self._subtractors, strict=True):
            if part.first <= number <= part.last:
                return subtractor
        return None


def _of_recording(frames: Frames, parts: Sequence[Part], samples: Sequence[Image], method: Method) -> _Learnt:
    """Learn a background for each look of the camera."""
    looks = group_looks([part.look for part in parts])
    if len(set(looks)) <= 1:
        subtractor = make_subtractor(method)
        subtractor.learn(samples)
        return _Learnt([], [subtractor])
    length = [sum(p.last - p.first + 1 for p, kind in zip(parts, looks, strict=True) if kind == k) for k in set(looks)]
    chosen = [EvenSamples[Image](max(8, sample_count(frames.size) // len(length))) for _ in length]
    kind_of_frame = {n: kind for part, kind in zip(parts, looks, strict=True) for n in range(part.first, part.last + 1)}
    for number, frame in enumerate(frames):
        if number in kind_of_frame:
            chosen[kind_of_frame[number]].add(frame)
    subtractors: list[Subtractor | None] = []
    for samples_of_look, frames_of_look in zip(chosen, length, strict=True):
        subtractor = make_subtractor(method)
        subtractor.learn(samples_of_look.kept)
        subtractors.append(subtractor if frames_of_look >= SHORTEST else None)
    short = [_range(part) for part, kind in zip(parts, looks, strict=True) if subtractors[kind] is None]
    found(
        f"{frames.path}: the camera changes its picture, as to infrared, at frame {_starts(parts)}; each of its "
        f"{len(length)} pictures has a background of its own"
        + (f", except for frames {', '.join(short)}, too few to learn one, which are left out" if short else "")
    )
    return _Learnt(parts, [subtractors[kind] for kind in looks])


def _of_pictures(
    frames: Frames, parts: Sequence[Part], samples: Sequence[Image], background: Sequence[Image], method: Method
) -> _Learnt:
    """Learn a background for each look among the given pictures, and find the part of the recording for it."""
    small = [small_frame(picture) for picture in background]
    looks = group_looks(small)
    subtractors: list[Subtractor] = []
    shown: list[Image] = []
    for kind in sorted(set(looks)):
        subtractor = make_subtractor(method)
        subtractor.learn([picture for picture, look in zip(background, looks, strict=True) if look == kind])
        shown.append(look_of([picture for picture, look in zip(small, looks, strict=True) if look == kind]))
        subtractor.expect_noise_of([sample for sample in samples if alike(shown[-1], small_frame(sample))])
        subtractors.append(subtractor)
    fitting = [
        next((s for s, look in zip(subtractors, shown, strict=True) if alike(look, p.look)), None) for p in parts
    ]
    strange = [_range(part) for part, subtractor in zip(parts, fitting, strict=True) if subtractor is None]
    if len(strange) == len(fitting):
        raise UserError(
            f"--background shows another scene than {frames.path}, or the same from elsewhere; it must come from the "
            "same camera at the same place"
        )
    if strange:
        found(
            f"{frames.path}: frames {', '.join(strange)} do not look like --background, as after a switch to infrared, "
            "and are left out; a folder of pictures may hold one for each"
        )
    return _Learnt(parts, fitting)


def _nothing(frame: Image) -> Mask:
    return np.zeros(frame.shape[:2], bool)


def _range(part: Part) -> str:
    return f"{part.first}-{part.last}"


def _starts(parts: Sequence[Part]) -> str:
    """Name the frames at which parts begin, of many the first ones."""
    numbers = [str(part.first) for part in parts[1:]]
    return ", ".join(numbers[:8]) + (f" and {len(numbers) - 8} more" if len(numbers) > 8 else "")
