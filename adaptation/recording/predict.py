"""Bodies that a regressor predicts for the people in a recording, in the format of fitted results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from adaptation.bodies.body import Body
from adaptation.bodies.meshes import Meshes
from adaptation.bodies.parameters import Bodies
from adaptation.fitting.silhouette_fitter import Evaluation, SilhouetteFitter
from adaptation.fitting.starts import BestFit
from adaptation.fitting.variables import BodyVariables
from adaptation.recording.crops import Crop, view_of
from adaptation.recording.footage.mask_files import Masks
from adaptation.recording.footage.video import Frames
from adaptation.recording.found_people import find_crops, stack_images, stack_masks
from adaptation.recording.mesh_results import MeshResult, Result
from adaptation.recording.options import FitOptions
from adaptation.recording.pipeline import FitOutcome, FittedPerson, make_fitter
from adaptation.recording.results import person_result
from adaptation.regressors.base import uses_view, visible
from adaptation.regressors.running import predict_in, state_guess
from adaptation.support.batches import Batch
from adaptation.support.image_files import Image
from adaptation.support.progress import Progress


def predict_recording(
    frames: Frames,
    body: Body,
    options: FitOptions,
    network: nn.Module,
    progress: Progress,
    masks: Masks | None = None,
    background: Sequence[Image] = (),
) -> FitOutcome:
    """Find the people in a recording and predict a body for each of them in the requested frames.

    Args:
        frames: the recording.
        body: body model of the network; it is moved to the device.
        options: frames, crops and device; the settings of fits are not used.
        network: a `MeshNetwork`.
        progress: progress bars.
        masks: given masks, used instead of background subtraction.
        background: pictures of the empty scene, RGB uint8 (H, W, 3), if the background is not to be learnt.

    Raises:
        UserError: there is no moving person or no usable mask in the requested frames, a requested frame does not
            exist, or the device cannot be used.
    """
    if uses_view(network) and options.intrinsics is None:
        state_guess(frames.size)
    fitter = make_fitter(body, options)  # before people are searched for: an unusable device should fail early
    found = find_crops(frames, options, progress, masks, background)
    people = [
        FittedPerson(track, crops, predict_person(crops, network, fitter))
        for track, crops in zip(found.tracks, found.crops, strict=True)
    ]
    return FitOutcome(people, found.notes, frames.warning)


def predict_again(outcome: FitOutcome, fitter: SilhouetteFitter, *, before: nn.Module, after: nn.Module) -> FitOutcome:
    """Predict the bodies of a recording again, before and after an adaptation.

    Args:
        outcome: people with their crops; their results are replaced.
        fitter: measures agreement with masks, on the networks' device.
        before: network before the adaptation; its predictions become the starts of the results.
        after: network after the adaptation; its predictions become the results.
    """
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
) -> Result:
    """Predict the bodies of one person.

    Args:
        crops: crops of one track, in order.
        after: network that predicts the result.
        fitter: renders bodies and measures their agreement with masks, on the networks' device.
        before: network that predicts the starts, with which the result is compared; None for ``after``.
        batch: crops at a time.
    """
    # Without a network to compare with, the prediction is its own start, and before equals after.
    seen = _see(crops, after, fitter, batch)
    start = seen if before is None else _see(crops, before, fitter, batch)
    if seen.mesh is not None and start.mesh is not None:
        return MeshResult.of(crops, (start.mesh, start.judged), (seen.mesh, seen.judged))
    assert seen.bodies is not None and start.bodies is not None
    # From rotations: results store axis-angle, whose conversion would add rounding.
    joints = fitter.body.joints(seen.bodies.rotations, seen.bodies.betas)
    best = BestFit(BodyVariables.of(start.bodies), BodyVariables.of(seen.bodies), start.judged, seen.judged)
    return person_result(crops, best, joints)


@dataclass(frozen=True)
class _Seen(Batch):
    """Predicted bodies of N crops, or meshes of networks that predict their own, and their agreement with the masks."""

    judged: Evaluation
    bodies: Bodies | None
    mesh: Meshes | None


def _see(crops: Sequence[Crop], network: nn.Module, fitter: SilhouetteFitter, batch: int) -> _Seen:
    device = fitter.body.faces.device
    # Evaluation mode, or batch norms would follow the crops of one person.
    network, fitter = network.to(device).eval(), fitter.seeing(visible(network))
    seen = []
    for first in range(0, len(crops), batch):
        part = crops[first : first + batch]
        predicted = predict_in("float32", network, stack_images(part, device), view_of(part, device)).shape
        judged = fitter.evaluate(predicted, fitter.target(stack_masks(part, device)))
        # A network's own mesh is what it shows, whatever body model its parameters belong to.
        bodies = predicted.bodies if predicted.mesh is None else None
        seen.append(_Seen(judged, bodies, predicted.mesh))
    return _Seen.cat(seen)
