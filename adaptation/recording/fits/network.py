"""What a regressor sees in a recording, for fits over time: bodies to try, and joints in the image."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from adaptation.bodies.camera import from_crop_to_crop
from adaptation.fitting.silhouette_fitter import SilhouetteFitter
from adaptation.fitting.tracks.sequence import Sequence
from adaptation.fitting.tracks.track_fits import against_travel
from adaptation.fitting.variables import BodyVariables
from adaptation.recording.crops import Crop, view_of
from adaptation.recording.found_people import FoundPeople, stack_images, stack_masks
from adaptation.recording.options import FitOptions, NetworkOptions
from adaptation.regressors.heatmaps import expected_places, heatmap_shares, spreads
from adaptation.regressors.running import predict_in
from adaptation.support.reading.findings import found as state

_SURE = 0.15
"""Standard deviation of a heatmap, in crop coordinates, up to which its joint is fully trusted."""
_BATCH = 64
_TRAVELLERS = 10.0  # bodies that travel, weighted by how sure their direction is, from which facing is judged


def with_network(
    sequences: list[Sequence], network: nn.Module, found: FoundPeople, fitter: SilhouetteFitter, options: FitOptions
) -> list[Sequence]:
    """Return sequences with the bodies and joints that a regressor sees, or unchanged where it is not good enough.

    A regressor that does not know the camera makes fits worse, as a start and as a term. Two things tell without
    labels: whether its bodies agree with the masks, and whether people who walk face where they go. A line says which.

    Args:
        sequences: what else is known of each person.
        network: a `MeshNetwork`.
        found: people, with the regressor's crops.
        fitter: measures the agreement with the masks.
        options: the regressor's options, and device.
    """
    assert options.network is not None and found.seen is not None
    network = network.to(options.device).eval()
    people = [
        _with_seen(sequence.to(options.device), network, *crops)
        for sequence, *crops in zip(sequences, found.seen, found.crops, strict=True)
    ]
    # Person by person: long recordings have thousands of crops, whose maps would need gigabytes at once.
    pairs = zip(people, found.crops, strict=True)
    iou = torch.cat([_iou(person, stack_masks(crops, options.device), fitter) for person, crops in pairs])
    backwards = _backwards(Sequence.cat(people))
    return people if _trusted(float(iou.mean()), backwards, options.network) else sequences


def _iou(sequence: Sequence, masks: Tensor, fitter: SilhouetteFitter) -> Tensor:
    """Return the IoU (B,) of the bodies that were seen with masks (B, 1, S, S)."""
    assert sequence.bodies is not None
    return fitter.evaluate(sequence.bodies, fitter.target(masks)).iou


def _backwards(sequence: Sequence) -> float:
    """Return how far people face against their travel, from 0 to 1; 0 where hardly anybody travels."""
    assert sequence.bodies is not None
    sure = float(sequence.travel.norm(dim=-1).sum())
    return float(against_travel(sequence.bodies.pose[:, 0], sequence.travel).sum()) / sure if sure >= _TRAVELLERS else 0


def _trusted(iou: float, backwards: float, options: NetworkOptions) -> bool:
    """Return whether a regressor takes part, and say so."""
    told = f"{options.model}: its bodies and the masks have a mean IoU of {iou:.2f}"
    doubt = None
    if iou < options.least_iou:
        doubt = f"less than {options.least_iou}"
    elif backwards > options.most_backwards:
        doubt = "but people who walk face elsewhere than they go"
    if doubt is None:
        state(f"{told}; its bodies and joints take part in the fits")
        return True
    state(f"{told}, {doubt}; fits do without it (adapt it with `topo-adapt adapt --fits`)")
    return False


@torch.no_grad()
def _with_seen(sequence: Sequence, network: nn.Module, seen: list[Crop], crops: list[Crop]) -> Sequence:
    """Return a person's sequence with what a network sees, moved from its own crops to those of the fits."""
    device = sequence.time.device
    bodies, joints = [], []
    for first in range(0, len(seen), _BATCH):
        part = slice(first, first + _BATCH)
        prediction = predict_in("float32", network, stack_images(seen[part], device), view_of(seen[part], device))
        own, other = (torch.tensor([crop.box for crop in some[part]], device=device) for some in (seen, crops))
        zoom, shift = from_crop_to_crop(own, other)
        bodies.append(BodyVariables.of(replace(prediction.bodies, camera=prediction.bodies.camera.zoomed(zoom, shift))))
        if prediction.heatmaps is not None:
            shares = heatmap_shares(prediction.heatmaps)
            places = zoom[:, None] * (expected_places(shares) + shift[:, None])
            trust = (_SURE / spreads(shares)).square().clamp(max=1)
            joints.append(torch.cat([places, trust[..., None]], dim=2))
    return replace(sequence, bodies=BodyVariables.cat(bodies), joints=torch.cat(joints) if joints else None)
