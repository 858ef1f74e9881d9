"""Pipeline of `topo-adapt fit`: from a recording of a static camera to fitted bodies."""

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
from adaptation.recording.footage.frame_numbers import check_frames
from adaptation.recording.footage.mask_files import Masks
from adaptation.recording.footage.video import Frames
from adaptation.recording.options import FitOptions, TemporalSettings
from adaptation.recording.results import PersonResult, person_result
from adaptation.recording.tracking import Track, find_people
from adaptation.support.devices import usable_device
from adaptation.support.errors import UserError
from adaptation.support.image_files import Image
from adaptation.support.progress import Progress


@dataclass(frozen=True)
class FittedPerson:
    """One person with the bodies of all requested frames.

    Attributes:
        track: the person's track.
        crops: crops of the track, in order.
        result: bodies of the crops, in the same order.
    """

    track: Track
    crops: list[Crop]
    result: PersonResult


@dataclass(frozen=True)
class FitOutcome:
    """Results of a recording.

    Attributes:
        people: people with at least one body.
        notes: detections that were left out, with the reason, one line each.
        warning: problem of the recording that may spoil the results; empty if there is none.
    """

    people: list[FittedPerson]
    notes: list[str]
    warning: str = ""


@dataclass(frozen=True)
class FoundPeople:
    """People found in a recording, before bodies are fitted or predicted.

    Attributes:
        tracks: one track per person.
        crops: crops of each track, in order.
        notes: detections that were left out, with the reason, one line each.
    """

    tracks: list[Track]
    crops: list[list[Crop]]
    notes: list[str]


def fit_recording(
    frames: Frames,
    body: Body,
    options: FitOptions,
    progress: Progress,
    masks: Masks | None = None,
    background: Sequence[Image] = (),
) -> FitOutcome:
    """Find the people in a recording and fit a body to each of them in the requested frames.

    Args:
        frames: the recording.
        body: body model on the CPU; it is moved to the device.
        options: frames, crops, losses and device.
        progress: progress bars.
        masks: given masks, used instead of background subtraction.
        background: pictures of the empty scene, RGB uint8 (H, W, 3), if the background is not to be learnt.

    Returns:
        People with at least one fitted frame, and notes on what was left out.

    Raises:
        UserError: there is no moving person or no usable mask in the requested frames, a requested frame does not
            exist, or the device cannot be used.
    """
    fitter = make_fitter(body, options)  # before people are searched for: an unusable device should fail early
    found = find_crops(frames, options, progress, masks, background)
    everything = [crop for person in found.crops for crop in person]
    # All people are fitted in common batches; the results are split by person below.
    with progress.task("Fitting bodies", len(everything)) as update:
        best = fit_from_starts(fitter, stack_masks(everything, options.device), options.starts, progress=update.by)

    # One static camera sees all people at about the same pitch. Each fit may be a depth reflection, which only flips
    # the sign, so absolute values estimate the camera's pitch.
    camera_pitch = seen_pitch(best.fitted.pose[:, 0]).abs().median().item()
    people, first = [], 0
    for track, crops in zip(found.tracks, found.crops, strict=True):
        last = first + len(crops)
        # The pitch is shared by all people, the path over time belongs to one person.
        result = resolve(fitter, track, crops, best.select(slice(first, last)), camera_pitch, options.temporal)
        people.append(FittedPerson(track, crops, result))
        first = last
    return FitOutcome(people, found.notes, frames.warning)


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
    return FoundPeople([track for track, _ in chosen], crops, notes)


def make_fitter(body: Body, options: FitOptions) -> SilhouetteFitter:
    """Return a fitter with body model, prior and renderer on the device.

    Args:
        body: body model; it is moved to the device.
        options: prior, renderer, fit settings and device.

    Raises:
        UserError: the device, the prior or the renderer cannot be used.
    """
    device = usable_device(options.device)
    prior = pose_prior(options.fit.prior, device)
    return SilhouetteFitter(body.to(device), prior, make_renderer(options.renderer, sigma=options.sigma), options.fit)


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
    for number in sorted(by_frame):
        image = frames.frame(number)
        for person, track, detection in by_frame[number]:
            crops[person].append(make_crop(image, detection, track.number, size=options.size, margin=options.margin))
        progress(len(by_frame[number]))
    return crops


def stack_masks(crops: Sequence[Crop], device: str) -> Tensor:
    """Return the masks of B crops as a tensor (B, 1, S, S), float32, on a device."""
    return torch.from_numpy(np.stack([crop.mask for crop in crops]))[:, None].to(device)


def resolve(
    fitter: SilhouetteFitter,
    track: Track,
    crops: list[Crop],
    best: BestFit,
    camera_pitch: float,
    settings: TemporalSettings,
) -> PersonResult:
    """Choose between each fit and its depth reflection over a track, and collect the result.

    Args:
        fitter: fitter whose body model was fitted.
        track: the person's track.
        crops: N crops of the track, in order.
        best: N fits to the crops.
        camera_pitch: pitch at which the camera sees upright people, radians.
        settings: costs of the choice.
    """
    # Candidate 0 is the fit, 1 its reflection: K = 2 in `choose`.
    options = [best.fitted.pose, reflect_in_depth(best.fitted.pose)]
    # Starts are reflected along, so that before and after show the same side.
    starts = [best.start.pose, reflect_in_depth(best.start.pose)]
    with torch.no_grad():
        # (N, K, J, 3). The reflection keeps shape and camera, so both have the same betas.
        joints = torch.stack([fitter.body(pose, best.fitted.betas).joints for pose in options], dim=1)
    pitch = torch.stack([seen_pitch(pose[:, 0]) for pose in options], dim=1)
    # Numbers of frames, not of crops: the cost of motion depends on the gaps between them.
    frame = np.array([crop.frame for crop in crops], dtype=np.int64)
    picked = choose(
        frame,
        costs=settings.pitch * (pitch - camera_pitch).abs().double().cpu().numpy(),
        joints=(joints - joints[:, :, :1]).double().cpu().numpy(),
        facing=np.stack([facing_direction(pose[:, 0]) for pose in options], axis=1),
        velocity=velocity_of(track, frame),
        settings=settings,
    )
    # A pair of indices, (candidate, crop), into tensors stacked over candidates.
    index = torch.from_numpy(picked).to(joints.device), torch.arange(len(crops), device=joints.device)
    chosen = replace(
        best,
        start=replace(best.start, pose=torch.stack(starts)[index]),
        fitted=replace(best.fitted, pose=torch.stack(options)[index]),
    )
    return person_result(crops, chosen, joints[index[1], index[0]])


def facing_direction(orientation: Tensor) -> NDArray[np.float64]:
    """Return the horizontal directions that bodies face.

    Args:
        orientation: (N, 3) axis-angle global orientations in camera axes.

    Returns:
        (N, 2) unit vectors, x right and z forward.
    """
    # The third column of a rotation is where it takes z, the direction that a body faces in its own axes.
    forward = roma.rotvec_to_rotmat(orientation.double())[:, :, 2].cpu().numpy()[:, [0, 2]]
    # A body that lies may face straight up and have no horizontal direction.
    return forward / np.maximum(np.linalg.norm(forward, axis=1, keepdims=True), 1e-9)


def velocity_of(track: Track, frames: NDArray[np.int64], reach: int = 6) -> NDArray[np.float64]:
    """Estimate the image velocity of a track at some frames.

    The velocity is the slope of a straight line fitted to the positions up to ``reach`` frames away, and 0 where there
    is only one position.

    Args:
        track: the person's track.
        frames: (N,) frame numbers.
        reach: largest distance in frames of a position that is used.

    Returns:
        (N, 2) velocity, x right and y down, body heights per frame.
    """
    times = np.array([detection.frame for detection in track.detections], dtype=float)
    boxes = np.array([detection.bbox for detection in track.detections], dtype=float)
    positions = boxes[:, :2] + boxes[:, 2:] / 2
    velocity = np.zeros((len(frames), 2))
    for i, frame in enumerate(frames):
        near = np.abs(times - frame) <= reach
        # All detections count, also unusable ones: a cut-off mask still shows where the person is.
        centred = times[near] - times[near].mean()
        if centred.any():
            slope = (centred[:, None] * positions[near]).sum(0) / (centred**2).sum()
            # In body heights, so that one speed limit fits people near and far.
            velocity[i] = slope / np.median(boxes[near, 3])
    return velocity
