"""Predictions of a regressor for the people of a recording, in the form of the results of fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from adaptation.bodies.body import Body
from adaptation.bodies.parameters import Bodies
from adaptation.fitting.silhouette_fitter import Evaluation, SilhouetteFitter
from adaptation.fitting.starts import BestFit
from adaptation.fitting.variables import BodyVariables
from adaptation.recording.crops import Crop
from adaptation.recording.mask_files import Masks
from adaptation.recording.options import FitOptions
from adaptation.recording.pipeline import FitOutcome, FittedPerson, find_crops, make_fitter
from adaptation.recording.results import PersonResult, person_result
from adaptation.recording.video import Frames
from adaptation.support.batches import Batch
from adaptation.support.progress import Progress


def predict_recording(
    frames: Frames,
    body: Body,
    options: FitOptions,
    network: nn.Module,
    progress: Progress,
    masks: Masks | None = None,
) -> FitOutcome:
    """Find the people of a recording and predict a body for each, in the requested frames.

    Args:
        frames: the recording.
        body: body model of the network; it is moved to the device.
        options: all settings; those of fits have no effect.
        network: a `MeshNetwork`.
        progress: progress bars.
        masks: given masks, used instead of background subtraction.

    Raises:
        UserError: no person moves, no mask in the requested frames is usable, or a frame does not exist.
    """
    fitter = make_fitter(body, options)  # first: an unusable device should fail early
    found = find_crops(frames, options, progress, masks)
    people = [
        FittedPerson(track, crops, predict_person(crops, network, fitter))
        for track, crops in zip(found.tracks, found.crops, strict=True)
    ]
    return FitOutcome(people, found.notes, frames.warning)


def predict_again(outcome: FitOutcome, fitter: SilhouetteFitter, *, before: nn.Module, after: nn.Module) -> FitOutcome:
    """Predict the same crops with an adapted network; the starts of the results are the predictions of ``before``."""
    people = [
        replace(person, result=predict_person(person.crops, after, fitter, before=before)) for person in outcome.people
    ]
    return replace(outcome, people=people)


@torch.no_grad()
def predict_person(
    crops: Sequence[Crop],
    after: nn.Module,
    fitter: SilhouetteFitter,
    *,
    before: nn.Module | None = None,
    batch: int = 64,
) -> PersonResult:
    """Predict the bodies of one person.

    Args:
        crops: crops of one track, in order.
        after: the network whose bodies are the result.
        fitter: fitter with the body that is rendered, on the networks' device.
        before: the network whose bodies are the starts, which the result is compared with; None uses ``after``.
        batch: crops that are predicted together.
    """
    predicted = _predict(crops, after, fitter, batch)
    start = predicted if before is None else _predict(crops, before, fitter, batch)
    joints = fitter.body.joints(predicted.bodies.rotations, predicted.bodies.betas)
    best = BestFit(
        start=BodyVariables.of(start.bodies),
        fitted=BodyVariables.of(predicted.bodies),
        before=start.evaluation,
        after=predicted.evaluation,
    )
    return person_result(crops, best, joints)


@dataclass(frozen=True)
class _Predicted(Batch):
    """Predicted bodies, and how well they match the masks of the crops."""

    bodies: Bodies
    evaluation: Evaluation


def _predict(crops: Sequence[Crop], network: nn.Module, fitter: SilhouetteFitter, batch: int) -> _Predicted:
    device = fitter.body.faces.device
    network = network.to(device).eval()
    parts = []
    for first in range(0, len(crops), batch):
        part = crops[first : first + batch]
        images = torch.from_numpy(np.stack([crop.image for crop in part])).permute(0, 3, 1, 2).float() / 255
        masks = torch.from_numpy(np.stack([crop.mask for crop in part]))[:, None]
        bodies = network(images.to(device)).bodies
        parts.append(_Predicted(bodies, fitter.evaluate(bodies, fitter.target(masks.to(device)))))
    return _Predicted.cat(parts)
