"""Fit bodies frame by frame, and choose between each body and its depth reflection over a track."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import roma
import torch
from numpy.typing import NDArray
from torch import Tensor

from adaptation.bodies.reflection import reflect_in_depth
from adaptation.fitting.silhouette_fitter import SilhouetteFitter
from adaptation.fitting.starts import BestFit, fit_from_starts
from adaptation.recording.crops import Crop
from adaptation.recording.fits.depth_ambiguity import choose, seen_pitch
from adaptation.recording.fits.travel import velocity_of
from adaptation.recording.found_people import FoundPeople, stack_masks
from adaptation.recording.options import FitOptions, TemporalSettings
from adaptation.recording.results import PersonResult, person_result
from adaptation.recording.tracking import Track


def fit_frames(
    fitter: SilhouetteFitter, found: FoundPeople, options: FitOptions, progress: Callable[[int], None]
) -> list[PersonResult]:
    """Fit a body to each crop by itself.

    Args:
        fitter: body, prior, renderer and settings.
        found: people and their crops.
        options: starts, costs of the choice, and device.
        progress: called with the number of crops done since the last call.

    Returns:
        One result per person.
    """
    everything = [crop for person in found.crops for crop in person]
    # All people are fitted in common batches; the results are split by person below.
    best = fit_from_starts(fitter, stack_masks(everything, options.device), options.starts, progress=progress)
    # One static camera sees all people at about the same pitch. Each fit may be a depth reflection, which only flips
    # the sign, so absolute values estimate the camera's pitch.
    camera_pitch = seen_pitch(best.fitted.pose[:, 0]).abs().median().item()
    results, first = [], 0
    for track, crops in zip(found.tracks, found.crops, strict=True):
        last = first + len(crops)
        # The pitch is shared by all people, the path over time belongs to one person.
        results.append(resolve(fitter, track, crops, best.select(slice(first, last)), camera_pitch, options.temporal))
        first = last
    return results


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
