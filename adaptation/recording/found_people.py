"""Find the people in a recording, and cut them out of the frames that are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from adaptation.recording.crops import Crop, make_crop
from adaptation.recording.detections import Detection
from adaptation.recording.footage.frame_numbers import check_frames
from adaptation.recording.footage.mask_files import Masks
from adaptation.recording.footage.video import Frames
from adaptation.recording.options import FitOptions
from adaptation.recording.tracking import Track, find_people
from adaptation.support.errors import UserError
from adaptation.support.image_files import Image
from adaptation.support.progress import Progress


@dataclass(frozen=True)
class FoundPeople:
    """People found in a recording, before bodies are fitted or predicted.

    Attributes:
        tracks: one track per person.
        crops: crops of each track, in order.
        notes: detections that were left out, with the reason, one line each.
        seen: the same people in the crops that a regressor is given; None where no regressor takes part.
    """

    tracks: list[Track]
    crops: list[list[Crop]]
    notes: list[str]
    seen: list[list[Crop]] | None = None


def find_crops(
    frames: Frames,
    options: FitOptions,
    progress: Progress,
    masks: Masks | None = None,
    background: Sequence[Image] = (),
) -> FoundPeople:
    """Find the people in a recording and crop them in the requested frames.

    Args:
        frames: the recording.
        options: frames, crops and what counts as a person.
        progress: progress bars.
        masks: given masks, used instead of background subtraction.
        background: pictures of the empty scene, RGB uint8 (H, W, 3), if the background is not to be learnt.

    Raises:
        UserError: there is no moving person or no usable mask in the requested frames, or a requested frame does not
            exist.
    """
    if options.frames is not None:
        check_frames(options.frames, frames)
    with progress.task("Finding people") as update:
        # All frames are tracked, also if few are requested: people are recognised by their motion.
        tracks = find_people(
            frames,
            method=options.method,
            masks=masks,
            background=background,
            settings=options.tracks,
            progress=update.to,
        )
    chosen, notes = choose_detections(tracks, options)
    with progress.task("Cutting crops", sum(len(detections) for _, detections in chosen)) as update:
        crops = cut_crops(frames, chosen, options, update.by)
    seen = None
    if options.network is not None:
        own = options.network
        look = replace(options, size=own.size, margin=own.margin, aspect=own.aspect)
        seen = cut_crops(frames, chosen, look, lambda _: None)
    return FoundPeople([track for track, _ in chosen], crops, notes, seen)


def choose_detections(
    tracks: Sequence[Track], options: FitOptions
) -> tuple[list[tuple[Track, list[Detection]]], list[str]]:
    """Select the usable detections of the requested frames.

    Args:
        tracks: tracks of all people.
        options: requested frames.

    Returns:
        The tracks with usable detections, each with these detections; and a note for each detection that is not usable.

    Raises:
        UserError: no detection is usable.
    """
    requested = None if options.frames is None else set(options.frames)

    def asked_for(frame: int) -> bool:
        return frame % options.every == 0 if requested is None else frame in requested

    chosen: list[tuple[Track, list[Detection]]] = []
    notes = []
    for track in tracks:
        asked = [detection for detection in track.detections if asked_for(detection.frame)]
        usable = [detection for detection in asked if detection.quality.usable]
        # Frames left out are listed with their reason, or a result with gaps could not be explained.
        notes += [
            f"person {track.number}, frame {detection.frame}: not fitted, {detection.quality.note}"
            for detection in asked
            if not detection.quality.usable
        ]
        if usable:
            chosen.append((track, usable))
    if not chosen:
        asked_text = f"one frame in {options.every}" if requested is None else "the frames asked for"
        detail = f" ({notes[0]})" if notes else ""
        raise UserError(f"no usable mask of a person in {asked_text}{detail}; ask for other frames")
    return chosen, notes


def cut_crops(
    frames: Frames,
    chosen: list[tuple[Track, list[Detection]]],
    options: FitOptions,
    progress: Callable[[int], None],
) -> list[list[Crop]]:
    """Crop the chosen detections.

    Args:
        frames: the recording.
        chosen: tracks, each with the detections to crop.
        options: size and margin of the crops.
        progress: called with the number of crops done since the last call.

    Returns:
        Crops of each track, in order.
    """
    # Group by frame: reading a video once in ascending order avoids seeking, which is slow.
    by_frame: dict[int, list[tuple[int, Track, Detection]]] = {}
    for person, (track, detections) in enumerate(chosen):
        for detection in detections:
            by_frame.setdefault(detection.frame, []).append((person, track, detection))
    crops: list[list[Crop]] = [[] for _ in chosen]
    intrinsics = None if options.intrinsics is None else np.array(options.intrinsics, np.float32)
    for number in sorted(by_frame):
        image = frames.frame(number)
        for person, track, detection in by_frame[number]:
            cut = partial(make_crop, size=options.size, margin=options.margin, aspect=options.aspect)
            crops[person].append(replace(cut(image, detection, track.number), intrinsics=intrinsics))
        progress(len(by_frame[number]))
    return crops


def stack_images(crops: Sequence[Crop], device: str | torch.device) -> Tensor:
    """Return the images of B crops as a tensor (B, 3, S, S), float32 RGB in [0, 1], on a device."""
    return torch.from_numpy(np.stack([crop.image for crop in crops])).permute(0, 3, 1, 2).to(device).float() / 255


def stack_masks(crops: Sequence[Crop], device: str | torch.device) -> Tensor:
    """Return the masks of B crops as a tensor (B, 1, S, S), float32, on a device."""
    return torch.from_numpy(np.stack([crop.mask for crop in crops]))[:, None].to(device)
