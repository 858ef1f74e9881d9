"""Fit the bodies of each person over time."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from adaptation.fitting.silhouette_fitter import SilhouetteFitter
from adaptation.fitting.tracks.sequence import Sequence
from adaptation.fitting.tracks.track_fits import TrackFitter
from adaptation.recording.crops import Crop
from adaptation.recording.fits.network import with_network
from adaptation.recording.fits.travel import velocity_of
from adaptation.recording.footage.video import Frames
from adaptation.recording.found_people import FoundPeople, stack_masks
from adaptation.recording.options import FitOptions
from adaptation.recording.results import PersonResult, person_result
from adaptation.recording.tilt.camera_tilt import CameraTilt, down_of, roll_of
from adaptation.recording.tracking import Track
from adaptation.support.reading.findings import found as state

USUAL_RATE = 25.0
"""Frames per second of a recording that does not say how fast its frames follow each other."""
_USUAL_PITCH = math.radians(12)  # of a camera whose pitch is unknown: most look down
_LEAN = math.radians(12)  # Cauchy scale of the angle between people and the vertical
_UNSURE = math.radians(20)  # greatest standard deviation of a camera's tilt that counts
_FULL_SPEED = 0.25  # body heights per second at which the direction of travel is sure
# Travel towards the camera per pixel of travel down in the image: the camera looks down, so people who move down in the
# image come closer.
_GROUND_SLOPE = 2.0


def fit_tracks(
    fitter: SilhouetteFitter,
    found: FoundPeople,
    tilt: CameraTilt,
    rate: float,
    options: FitOptions,
    progress: Callable[[int], None],
    network: nn.Module | None = None,
) -> list[PersonResult]:
    """Fit the bodies of each person as a sequence.

    Args:
        fitter: body, prior, renderer and settings.
        found: people and their crops.
        tilt: how the camera hangs.
        rate: frames per second.
        options: settings of track fits, and device.
        progress: called with the number of crops done since the last call.
        network: regressor of ``options.network``, a `MeshNetwork`.

    Returns:
        One result per person.
    """
    tracks = TrackFitter(fitter, options.track_fits)
    pairs = zip(found.tracks, found.crops, strict=True)
    people = [sequence_of(*person, tilt, rate, options) for person in pairs]
    sequences = [sequence for sequence, _ in people]
    if network is not None:
        sequences = with_network(sequences, network, found, fitter, options)
    results = []
    for crops, sequence, (_, rolls) in zip(found.crops, sequences, people, strict=True):
        best = tracks.fit(
            stack_masks(crops, options.device), sequence.to(options.device), rolls.to(options.device), progress
        )
        with torch.no_grad():
            joints = fitter.body.joints(best.fitted.pose, best.fitted.betas)
        results.append(person_result(crops, best, joints))
    return results


def sequence_of(
    track: Track, crops: list[Crop], tilt: CameraTilt, rate: float, options: FitOptions
) -> tuple[Sequence, Tensor]:
    """Return the N crops of a person as a sequence, and the rolls (N, R) of the camera to try for each, radians."""
    frame = np.array([crop.frame for crop in crops], dtype=np.int64)
    box = np.array([crop.box for crop in crops])
    pitch, roll = tilt.pitch, tilt.roll
    if not math.isfinite(tilt.pitch_deviation):
        pitch = _USUAL_PITCH
    known_roll = math.isfinite(tilt.roll_deviation)
    # Each crop is seen along its own ray: people low in the image are seen more steeply.
    down = CameraTilt(down_of(pitch, roll), focal=tilt.focal, centre=tilt.centre).at(box[:, :2] + box[:, 2:] / 2)
    unsure = min(tilt.deviation, _UNSURE)
    search = options.track_fits.search
    turns = np.radians(search.rolls if known_roll else search.unknown_rolls)
    sequence = Sequence(
        person=torch.zeros(len(crops), dtype=torch.int64),
        time=torch.from_numpy(frame / rate).float(),
        box=torch.from_numpy(box).float(),
        up=torch.from_numpy(-down).float(),
        spread=torch.full((len(crops),), math.hypot(_LEAN, unsure)),
        travel=torch.from_numpy(_travel(track, frame, rate)).float(),
    )
    return sequence, torch.from_numpy(roll_of(down)[:, None] + turns).float()


def _travel(track: Track, frame: np.ndarray, rate: float) -> np.ndarray:
    """Return directions of travel on the ground (N, 2), x right and z forward, whose lengths say how sure they are."""
    velocity = rate * velocity_of(track, frame)
    ground = np.stack([velocity[:, 0], -_GROUND_SLOPE * velocity[:, 1]], axis=1)
    # In the image's axes, not the ground's: a roll of the camera turns both alike, and is small where people walk.
    speed = np.linalg.norm(ground, axis=1, keepdims=True)
    return ground / np.maximum(speed, _FULL_SPEED)


def frame_rate(frames: Frames, given: float | None) -> float:
    """Return the frames per second of a recording: those given, the file's own, or a usual number, which is said."""
    if given is not None:
        return given
    if frames.rate > 0:
        return frames.rate
    state(f"{frames.path}: nothing says how fast its frames follow each other; assumed: 25 per second (--fps)")
    return USUAL_RATE
