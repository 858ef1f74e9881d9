"""What a regressor sees in a recording, for fits over time: bodies to try, and joints in the image."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from adaptation.bodies.camera import from_crop_to_crop
from adaptation.fitting.silhouette_fitter import SilhouetteFitter
from adaptation.fitting.variables import BodyVariables
from adaptation.recording.crops import Crop
from adaptation.recording.found_people import FoundPeople, stack_images, stack_masks
from adaptation.recording.options import FitOptions, NetworkOptions
from adaptation.regressors.heatmaps import expected_places, heatmap_shares, spreads
from adaptation.support.batches import Batch
from adaptation.support.reading.findings import found as state

_SURE = 0.15
"""Standard deviation of a heatmap, in crop coordinates, up to which its joint is fully trusted."""
_BATCH = 64


@dataclass(frozen=True)
class Evidence(Batch):
    """What a regressor sees in B crops of fits.

    Attributes:
        bodies: B bodies with the cameras of the crops.
        joints: (B, J, 3) as in `adaptation.fitting.tracks.sequence.Sequence`; None for a regressor without heatmaps.
    """

    bodies: BodyVariables
    joints: Tensor | None


def network_evidence(
    network: nn.Module, found: FoundPeople, fitter: SilhouetteFitter, options: FitOptions
) -> list[Evidence] | None:
    """Return what a regressor sees of each person, or None, with a line that says so, where it is not good enough.

    A regressor whose bodies do not agree with the masks made fits worse, as a start and as a term.

    Args:
        network: a `MeshNetwork`.
        found: people, with the regressor's crops.
        fitter: measures the agreement with the masks.
        options: the regressor's options, and device.
    """
    assert options.network is not None and found.seen is not None
    network = network.to(options.device).eval()
    seen = [_see(network, *pair, options.device) for pair in zip(found.seen, found.crops, strict=True)]
    iou = torch.cat(
        [
            fitter.evaluate(one.bodies, fitter.target(stack_masks(crops, options.device))).iou
            for one, crops in zip(seen, found.crops, strict=True)
        ]
    )
    return seen if _trusted(float(iou.mean()), options.network) else None


def _trusted(iou: float, options: NetworkOptions) -> bool:
    """Return whether a regressor takes part, and say so."""
    told = f"{options.model}: its bodies and the masks have a mean IoU of {iou:.2f}"
    if iou < options.least_iou:
        state(f"{told}, less than {options.least_iou}; fits do without it (`topo-adapt adapt` first)")
        return False
    state(f"{told}; its bodies and joints take part in the fits")
    return True


@torch.no_grad()
def _see(network: nn.Module, seen: list[Crop], crops: list[Crop], device: str) -> Evidence:
    """Return what a network sees of one person, from its own crops to those of the fits."""
    parts = []
    for first in range(0, len(seen), _BATCH):
        part = slice(first, first + _BATCH)
        prediction = network(stack_images(seen[part], device))
        own, other = (torch.tensor([crop.box for crop in some[part]], device=device) for some in (seen, crops))
        zoom, shift = from_crop_to_crop(own, other)
        bodies = replace(prediction.bodies, camera=prediction.bodies.camera.zoomed(zoom, shift))
        joints = None
        if prediction.heatmaps is not None:
            shares = heatmap_shares(prediction.heatmaps)
            places = zoom[:, None] * (expected_places(shares) + shift[:, None])
            trust = (_SURE / spreads(shares)).square().clamp(max=1)
            joints = torch.cat([places, trust[..., None]], dim=2)
        parts.append(Evidence(BodyVariables.of(bodies), joints))
    return Evidence.cat(parts)
