"""Pipeline of `topo-adapt fit`: from a recording of a static camera to fitted bodies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from adaptation.bodies.body import Body
from adaptation.bodies.renderer import make_renderer
from adaptation.fitting.silhouette_fitter import SilhouetteFitter
from adaptation.priors.named import pose_prior
from adaptation.recording.crops import Crop
from adaptation.recording.fits.over_time import fit_tracks, frame_rate
from adaptation.recording.fits.per_frame import fit_frames
from adaptation.recording.footage.mask_files import Masks
from adaptation.recording.footage.video import Frames
from adaptation.recording.found_people import find_crops
from adaptation.recording.mesh_results import Result
from adaptation.recording.options import FitOptions
from adaptation.recording.tilt.camera_tilt import CameraTilt
from adaptation.recording.tilt.recording import camera_tilt, given_tilt
from adaptation.recording.tracking import Track
from adaptation.support.devices import usable_device
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
    result: Result


@dataclass(frozen=True)
class FitOutcome:
    """Results of a recording.

    Attributes:
        people: people with at least one body.
        notes: detections that were left out, with the reason, one line each.
        warning: problem of the recording that may spoil the results; empty if there is none.
        tilt: how the camera hangs; None where nobody asked, as in predictions.
    """

    people: list[FittedPerson]
    notes: list[str]
    warning: str = ""
    tilt: CameraTilt | None = None


def fit_recording(
    frames: Frames,
    body: Body,
    options: FitOptions,
    progress: Progress,
    masks: Masks | None = None,
    background: Sequence[Image] = (),
    network: nn.Module | None = None,
) -> FitOutcome:
    """Find the people in a recording and fit a body to each of them in the requested frames.

    Args:
        frames: the recording.
        body: body model on the CPU; it is moved to the device.
        options: frames, crops, losses and device.
        progress: progress bars.
        masks: given masks, used instead of background subtraction.
        background: pictures of the empty scene, RGB uint8 (H, W, 3), if the background is not to be learnt.
        network: regressor of ``options.network``, a `MeshNetwork`.

    Returns:
        People with at least one fitted frame, and notes on what was left out.

    Raises:
        UserError: there is no moving person or no usable mask in the requested frames, a requested frame does not
            exist, or the device cannot be used.
    """
    fitter = make_fitter(body, options)  # before people are searched for: an unusable device should fail early
    tilt = given_tilt(frames.size, options.tilt)  # likewise a calibration
    found = find_crops(frames, options, progress, masks, background)
    everything = [crop for person in found.crops for crop in person]
    with progress.task("Fitting bodies", len(everything)) as update:
        if options.per_frame:
            results = fit_frames(fitter, found, options, update.by)
        else:
            tilt = tilt or camera_tilt(frames, found.tracks, options.tilt)
            results = fit_tracks(fitter, found, tilt, frame_rate(frames, options.rate), options, update.by, network)
    people = [FittedPerson(*person) for person in zip(found.tracks, found.crops, results, strict=True)]
    return FitOutcome(people, found.notes, frames.warning, tilt)


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
