"""From a recording of a static camera to fitted bodies: the steps of `topo-adapt fit`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import roma
import torch
from numpy.typing import NDArray
from torch import Tensor

from adaptation.bodies.body import Body
from adaptation.bodies.renderer import make_renderer
from adaptation.fitting.silhouette_fitter import SilhouetteFitter
from adaptation.fitting.starts import BestFit, fit_from_starts
from adaptation.priors.named import pose_prior
from adaptation.recording.crops import Crop, make_crop
from adaptation.recording.depth_ambiguity import choose, reflect_in_depth, seen_pitch
from adaptation.recording.detections import Detection
from adaptation.recording.mask_files import Masks
from adaptation.recording.options import FitOptions, TemporalSettings
from adaptation.recording.results import PersonResult, person_result
from adaptation.recording.tracking import Track, find_people
from adaptation.recording.video import Frames, check_frames
from adaptation.support.devices import usable_device
from adaptation.support.errors import UserError
from adaptation.support.progress import Progress


@dataclass(frozen=True)
class FittedPerson:
    """A track with its crops and the bodies that were fitted to them, in the same order."""

    track: Track
    crops: list[Crop]
    result: PersonResult


@dataclass(frozen=True)
class FitOutcome:
    """The fits of a recording.

    Attributes:
        people: people with at least one fitted frame.
        notes: masks that were not used, and why.
        warning: a problem with the recording; empty if there is none.
    """

    people: list[FittedPerson]
    notes: list[str]
    warning: str = ""


@dataclass(frozen=True)
class FoundPeople:
    """People of a recording, before any body is fitted or predicted.

    Attributes:
        tracks: one per person.
        crops: crops of each track, in the order of its frames.
        notes: masks that are not used, and why.
    """

    tracks: list[Track]
    crops: list[list[Crop]]
    notes: list[str]


def fit_recording(
    frames: Frames, body: Body, options: FitOptions, progress: Progress, masks: Masks | None = None
) -> FitOutcome:
    """Find the people of a recording and fit a body to each, in the requested frames.

    Args:
        frames: the recording.
        body: body model on the CPU; it is moved to the device.
        options: all settings.
        progress: progress bars.
        masks: given masks, used instead of background subtraction.

    Returns:
        People with at least one fitted frame.

    Raises:
        UserError: no person moves, no mask in the requested frames is usable, or a frame does not exist.
    """
    fitter = make_fitter(body, options)  # first: an unusable device should fail early
    found = find_crops(frames, options, progress, masks)
    # The crops of all people are fitted together: large batches use the device best.
    everything = [crop for person in found.crops for crop in person]
    with progress.task("Fitting bodies", len(everything)) as update:
        best = fit_from_starts(fitter, stack_masks(everything, options.device), options.starts, progress=update.by)

    # One static camera has one pitch for all people. Fits have either sign of it, so the median is of magnitudes.
    camera_pitch = seen_pitch(best.fitted.pose[:, 0]).abs().median().item()
    people, first = [], 0
    for track, crops in zip(found.tracks, found.crops, strict=True):
        last = first + len(crops)
        result = resolve(fitter, track, crops, best.select(slice(first, last)), camera_pitch, options.temporal)
        people.append(FittedPerson(track, crops, result))
        first = last
    return FitOutcome(people, found.notes, frames.warning)


def find_crops(frames: Frames, options: FitOptions, progress: Progress, masks: Masks | None = None) -> FoundPeople:
    """Find the people of a recording and cut them out of the requested frames; arguments as for `fit_recording`.

    Raises:
        UserError: as for `fit_recording`.
    """
    if options.frames is not None:
        check_frames(options.frames, frames)
    with progress.task("Finding people") as update:
        tracks = find_people(frames, method=options.method, masks=masks, settings=options.tracks, progress=update.to)
    chosen, notes = choose_detections(tracks, options)
    with progress.task("Cutting crops", sum(len(detections) for _, detections in chosen)) as update:
        crops = cut_crops(frames, chosen, options, update.by)
    return FoundPeople([track for track, _ in chosen], crops, notes)


def make_fitter(body: Body, options: FitOptions) -> SilhouetteFitter:
    """Return a fitter with body, prior and renderer on the device of the options."""
    device = usable_device(options.device)
    prior = pose_prior(options.fit.prior, device)
    return SilhouetteFitter(body.to(device), prior, make_renderer(options.renderer, sigma=options.sigma), options.fit)


def choose_detections(
    tracks: Sequence[Track], options: FitOptions
) -> tuple[list[tuple[Track, list[Detection]]], list[str]]:
    """Return the usable detections of each track in the requested frames, and a note for each unusable one.

    Raises:
        UserError: no detection in the requested frames is usable.
    """
    requested = None if options.frames is None else set(options.frames)

    def is_requested(frame: int) -> bool:
        return frame % options.every == 0 if requested is None else frame in requested

    chosen: list[tuple[Track, list[Detection]]] = []
    notes = []
    for track in tracks:
        candidates = [detection for detection in track.detections if is_requested(detection.frame)]
        usable = [detection for detection in candidates if detection.quality.usable]
        notes += [
            f"person {track.number}, frame {detection.frame}: not fitted, {detection.quality.note}"
            for detection in candidates
            if not detection.quality.usable
        ]
        if usable:
            chosen.append((track, usable))
    if not chosen:
        searched = f"one frame in {options.every}" if requested is None else "the frames asked for"
        detail = f" ({notes[0]})" if notes else ""
        raise UserError(f"no usable mask of a person in {searched}{detail}; ask for other frames")
    return chosen, notes


def cut_crops(
    frames: Frames,
    chosen: list[tuple[Track, list[Detection]]],
    options: FitOptions,
    progress: Callable[[int], None],
) -> list[list[Crop]]:
    """Cut the crops of each person, reading the frames once in ascending order."""
    # By frame: a video is decoded forwards, so reading per person would decode it once for each.
    by_frame: dict[int, list[tuple[int, Track, Detection]]] = {}
    for person, (track, detections) in enumerate(chosen):
        for detection in detections:
            by_frame.setdefault(detection.frame, []).append((person, track, detection))
    crops: list[list[Crop]] = [[] for _ in chosen]
    for number in sorted(by_frame):
        image = frames.frame(number)
        for person, track, detection in by_frame[number]:
            crops[person].append(make_crop(image, detection, track.number, size=options.size, margin=options.margin))
        progress(len(by_frame[number]))
    return crops


def stack_masks(crops: Sequence[Crop], device: str) -> Tensor:
    """Return the masks of crops as (B, 1, S, S) float32 of 0 and 1."""
    return torch.from_numpy(np.stack([crop.mask for crop in crops]))[:, None].to(device)


def resolve(
    fitter: SilhouetteFitter,
    track: Track,
    crops: list[Crop],
    best: BestFit,
    camera_pitch: float,
    settings: TemporalSettings,
) -> PersonResult:
    """Choose between each fit and its depth reflection along the track, and collect the result.

    Args:
        fitter: fitter with the body.
        track: the track.
        crops: its N crops, in order.
        best: their N fits.
        camera_pitch: pitch of the camera in radians, positive looks down.
        settings: costs of the sequence.
    """
    options = [best.fitted.pose, reflect_in_depth(best.fitted.pose)]
    starts = [best.start.pose, reflect_in_depth(best.start.pose)]
    with torch.no_grad():
        joints = torch.stack([fitter.body(pose, best.fitted.betas).joints for pose in options], dim=1)
    pitch = torch.stack([seen_pitch(pose[:, 0]) for pose in options], dim=1)
    frame = np.array([crop.frame for crop in crops], dtype=np.int64)
    picked = choose(
        frame,
        costs=settings.pitch * (pitch - camera_pitch).abs().double().cpu().numpy(),
        joints=(joints - joints[:, :, :1]).double().cpu().numpy(),  # root-centred
        facing=np.stack([facing_direction(pose[:, 0]) for pose in options], axis=1),
        velocity=velocity_of(track, frame),
        settings=settings,
    )
    index = torch.from_numpy(picked).to(joints.device), torch.arange(len(crops), device=joints.device)
    chosen = replace(
        best,
        start=replace(best.start, pose=torch.stack(starts)[index]),
        fitted=replace(best.fitted, pose=torch.stack(options)[index]),
    )
    return person_result(crops, chosen, joints[index[1], index[0]])


def facing_direction(orientation: Tensor) -> NDArray[np.float64]:
    """Return the unit directions (N, 2), x right and z forward, that bodies with global orientations (N, 3) face."""
    forward = roma.rotvec_to_rotmat(orientation.double())[:, :, 2].cpu().numpy()[:, [0, 2]]
    return forward / np.maximum(np.linalg.norm(forward, axis=1, keepdims=True), 1e-9)


def velocity_of(track: Track, frames: NDArray[np.int64], reach: int = 6) -> NDArray[np.float64]:
    """Return the image velocity of a track at some of its frames, in body heights per frame.

    It is the slope of a straight line through the positions up to ``reach`` frames away; 0 if there is only one.

    Args:
        track: the track.
        frames: (N,) frame numbers.
        reach: frames on each side.

    Returns:
        (N, 2) x right and y down.
    """
    times = np.array([detection.frame for detection in track.detections], dtype=float)
    boxes = np.array([detection.bbox for detection in track.detections], dtype=float)
    positions = boxes[:, :2] + boxes[:, 2:] / 2
    velocity = np.zeros((len(frames), 2))
    for i, frame in enumerate(frames):
        near = np.abs(times - frame) <= reach
        centred = times[near] - times[near].mean()
        if centred.any():
            slope = (centred[:, None] * positions[near]).sum(0) / (centred**2).sum()
            velocity[i] = slope / np.median(boxes[near, 3])
    return velocity
