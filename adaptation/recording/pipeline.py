"""From a static-camera recording to fitted bodies: what `topo-adapt fit` runs, step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import roma
import torch
from numpy.typing import NDArray
from torch import Tensor

from adaptation.bodies.body import Body
from adaptation.bodies.camera import crop_to_frame, project
from adaptation.bodies.renderer import BackendName, make_renderer
from adaptation.fitting.fitter import FitSettings, Fitter
from adaptation.fitting.starts import BestFit, StartSettings, fit_from_starts
from adaptation.priors.gaussian import pose_prior
from adaptation.recording.background import Method
from adaptation.recording.crops import Crop, make_crop
from adaptation.recording.depth_ambiguity import TemporalSettings, choose, reflect_in_depth, seen_pitch
from adaptation.recording.detections import Detection, TrackSettings
from adaptation.recording.mask_files import Masks
from adaptation.recording.results import PersonResult
from adaptation.recording.tracking import Track, find_people
from adaptation.recording.video import Frames, check_frames
from adaptation.support.devices import usable_device
from adaptation.support.errors import UserError
from adaptation.support.progress import Progress


@dataclass(frozen=True)
class FitOptions:
    """Everything that decides a result, dumped beside it.

    Attributes:
        every: one frame in this many is fitted, where none are asked for by number.
        frames: frames to fit; None for one in ``every``.
        method: of background subtraction.
        size: side of the crops in pixels.
        margin: space around a person, as a fraction of the longer side of their box, on each side.
        sigma: softness of the rendered outline, pixels squared.
        renderer: what draws bodies, "topokernels", or "pytorch3d" where it is installed.
        device: "cpu", "cuda" or "cuda:N".
        tracks: what counts as a person.
        fit: losses and optimiser.
        starts: starting poses.
        temporal: choice between the two bodies behind each silhouette.
    """

    every: int = 10
    frames: tuple[int, ...] | None = None
    method: Method = "median"
    size: int = 112
    margin: float = 0.1
    sigma: float = 0.1
    renderer: BackendName = "topokernels"
    device: str = "cpu"
    tracks: TrackSettings = field(default_factory=TrackSettings)
    fit: FitSettings = field(default_factory=FitSettings)
    starts: StartSettings = field(default_factory=StartSettings)
    temporal: TemporalSettings = field(default_factory=TemporalSettings)


@dataclass(frozen=True)
class FittedPerson:
    """A track with its crops and what was fitted to them, in the same order."""

    track: Track
    crops: list[Crop]
    result: PersonResult


@dataclass(frozen=True)
class FitOutcome:
    """All people fitted, what was left out and why, and what is wrong with the recording, if anything."""

    people: list[FittedPerson]
    notes: list[str]
    warning: str = ""


def fit_recording(
    frames: Frames, body: Body, options: FitOptions, progress: Progress, masks: Masks | None = None
) -> FitOutcome:
    """Find the people of a recording and fit a body to each, in the frames asked for.

    Args:
        frames: the recording.
        body: body model on the CPU; it is moved to the device.
        options: everything else.
        progress: progress bars.
        masks: masks made elsewhere, used instead of background subtraction.

    Returns:
        People with at least one fitted frame.

    Raises:
        UserError: no moving person, no usable mask in the frames asked for, or frames that do not exist.
    """
    fitter = make_fitter(body, options)  # first: what is wrong with the device is to be said at once
    if options.frames is not None:
        check_frames(options.frames, frames)
    with progress.task("Finding people") as update:
        tracks = find_people(frames, method=options.method, masks=masks, settings=options.tracks, progress=update.to)
    chosen, notes = choose_detections(tracks, options)
    with progress.task("Cutting crops", sum(len(detections) for _, detections in chosen)) as update:
        crops = cut_crops(frames, chosen, options, update.by)
    everything = [crop for person in crops for crop in person]
    with progress.task("Fitting bodies", len(everything)) as update:
        best = fit_from_starts(fitter, stack_masks(everything, options.device), options.starts, progress=update.by)

    # One camera: everybody is seen at its pitch, whichever of the two signs a fit has.
    camera_pitch = seen_pitch(best.fitted.pose[:, 0]).abs().median().item()
    people, first = [], 0
    for (track, _), person_crops in zip(chosen, crops, strict=True):
        last = first + len(person_crops)
        part = best.select(slice(first, last))
        result = resolve(fitter, track, person_crops, part, camera_pitch, options.temporal)
        people.append(FittedPerson(track, person_crops, result))
        first = last
    return FitOutcome(people, notes, frames.warning)


def make_fitter(body: Body, options: FitOptions) -> Fitter:
    """Body, prior and renderer on the device, ready to fit."""
    device = usable_device(options.device)
    prior = pose_prior(options.fit.prior, device)
    return Fitter(body.to(device), prior, make_renderer(options.renderer, sigma=options.sigma), options.fit)


def choose_detections(
    tracks: Sequence[Track], options: FitOptions
) -> tuple[list[tuple[Track, list[Detection]]], list[str]]:
    """The usable detections of the frames asked for, per track, and a note for each that is not usable."""
    wanted = None if options.frames is None else set(options.frames)

    def asked_for(frame: int) -> bool:
        return frame % options.every == 0 if wanted is None else frame in wanted

    chosen: list[tuple[Track, list[Detection]]] = []
    notes = []
    for track in tracks:
        asked = [detection for detection in track.detections if asked_for(detection.frame)]
        usable = [detection for detection in asked if detection.quality.usable]
        notes += [
            f"person {track.number}, frame {detection.frame}: not fitted, {detection.quality.note}"
            for detection in asked
            if not detection.quality.usable
        ]
        if usable:
            chosen.append((track, usable))
    if not chosen:
        asked_text = f"one frame in {options.every}" if wanted is None else "the frames asked for"
        detail = f" ({notes[0]})" if notes else ""
        raise UserError(f"no usable mask of a person in {asked_text}{detail}; ask for other frames")
    return chosen, notes


def cut_crops(
    frames: Frames,
    chosen: list[tuple[Track, list[Detection]]],
    options: FitOptions,
    progress: Callable[[int], None],
) -> list[list[Crop]]:
    """Crops per person, reading the recording once in rising order."""
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
    """(B, 1, S, S) float32."""
    return torch.from_numpy(np.stack([crop.mask for crop in crops]))[:, None].to(device)


def resolve(
    fitter: Fitter,
    track: Track,
    crops: list[Crop],
    best: BestFit,
    camera_pitch: float,
    settings: TemporalSettings,
) -> PersonResult:
    """Choose between each fit and its depth reflection over the track, and collect the result."""
    options = [best.fitted.pose, reflect_in_depth(best.fitted.pose)]
    starts = [best.start.pose, reflect_in_depth(best.start.pose)]
    with torch.no_grad():
        joints = torch.stack([fitter.body(pose, best.fitted.betas).joints for pose in options], dim=1)
    pitch = torch.stack([seen_pitch(pose[:, 0]) for pose in options], dim=1)
    frame = np.array([crop.frame for crop in crops], dtype=np.int64)
    picked = choose(
        frame,
        costs=settings.pitch * (pitch - camera_pitch).abs().double().cpu().numpy(),
        joints=(joints - joints[:, :, :1]).double().cpu().numpy(),
        facing=np.stack([facing_direction(pose[:, 0]) for pose in options], axis=1),
        velocity=velocity_of(track, frame),
        settings=settings,
    )
    index = torch.from_numpy(picked).to(joints.device), torch.arange(len(crops), device=joints.device)
    pose = torch.stack(options)[index]
    joints3d = joints[index[1], index[0]]
    box = torch.tensor([crop.box for crop in crops], dtype=joints.dtype, device=joints.device)
    size = crops[0].mask.shape[0]
    joints2d = crop_to_frame(project(joints3d, best.fitted.camera, size), box, size)

    def array(value: Tensor) -> NDArray[np.float32]:
        return value.detach().float().cpu().numpy()

    return PersonResult(
        frame=frame,
        box=array(box),
        pose=array(pose),
        betas=array(best.fitted.betas),
        camera=array(best.fitted.camera),
        joints3d=array(joints3d),
        joints2d=array(joints2d),
        iou_before=array(best.before.iou),
        iou_after=array(best.after.iou),
        loss_before=array(best.before.topology),
        loss_after=array(best.after.topology),
        start_pose=array(torch.stack(starts)[index]),
        start_betas=array(best.start.betas),
        start_camera=array(best.start.camera),
    )


def facing_direction(orientation: Tensor) -> NDArray[np.float64]:
    """Unit directions (N, 2), x right and z forward, that bodies with global orientations (N, 3) face."""
    forward = roma.rotvec_to_rotmat(orientation.double())[:, :, 2].cpu().numpy()[:, [0, 2]]
    return forward / np.maximum(np.linalg.norm(forward, axis=1, keepdims=True), 1e-9)


def velocity_of(track: Track, frames: NDArray[np.int64], reach: int = 6) -> NDArray[np.float64]:
    """Image velocity (N, 2) of a track at some of its frames, in body heights per frame.

    A straight line through the positions up to ``reach`` frames away; 0 where there is only one.
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
