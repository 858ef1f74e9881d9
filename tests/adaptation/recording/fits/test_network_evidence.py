from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from networks import tiny_network
from torch import nn

from adaptation.bodies.body import Body
from adaptation.bodies.camera import crop_to_frame, project
from adaptation.bodies.rotations import rotvec_to_matrix
from adaptation.fitting.silhouette_fitter import SilhouetteFitter
from adaptation.fitting.tracks.sequence import Sequence
from adaptation.recording.crops import Crop
from adaptation.recording.detections import MaskQuality
from adaptation.recording.fits.network import with_network
from adaptation.recording.found_people import FoundPeople
from adaptation.recording.options import FitOptions, NetworkOptions
from adaptation.recording.pipeline import make_fitter
from adaptation.regressors.heatmaps import expected_places, heatmap_shares
from adaptation.regressors.hmr import Regressor
from adaptation.support.reading.findings import kept_findings

OPTIONS = FitOptions(size=64, network=NetworkOptions("mine.pt", 48, 0.2, least_iou=0.0))


@pytest.fixture(scope="module")
def fitter(free_body: Body) -> SilhouetteFitter:
    return make_fitter(free_body, OPTIONS)


def crop(frame: int, box: tuple[float, float, float, float], size: int) -> Crop:
    random = np.random.default_rng(frame)
    mask = np.zeros((size, size), np.float32)
    mask[size // 8 : -size // 8, size // 3 : -size // 3] = 1
    image = random.integers(0, 255, (size, size, 3), dtype=np.uint8)
    return Crop(1, frame, box, image, mask, MaskQuality(False, 1.0, 1, False, True, ""))


FITS = [crop(frame, (10.0 * frame, 40.0, 80.0, 80.0), 64) for frame in range(3)]
SEEN = [crop(frame, (10.0 * frame - 11, 33.0, 100.0, 100.0), 48) for frame in range(3)]
FOUND = FoundPeople([], [FITS], [], [SEEN])


SEQUENCE = Sequence(
    person=torch.zeros(3, dtype=torch.int64),
    time=torch.arange(3) / 5,
    box=torch.tensor([one.box for one in FITS]),
    up=torch.tensor([[0.0, -1.0, 0.0]]).repeat(3, 1),
    spread=torch.full((3,), 0.2),
    travel=torch.zeros(3, 2),
)


def heatmap_network() -> Regressor:
    torch.manual_seed(0)
    return Regressor((1, 1, 1, 1), 4, 32, heatmaps=True).eval()


@torch.no_grad()
def test_what_a_network_sees_is_where_it_was_in_the_frame(free_body: Body, fitter: SilhouetteFitter) -> None:
    network = heatmap_network()
    (seen,) = with_network([SEQUENCE], network, FOUND, fitter, OPTIONS)
    assert seen.joints is not None and seen.bodies is not None and torch.equal(seen.box, SEQUENCE.box)
    images = torch.from_numpy(np.stack([one.image for one in SEEN])).permute(0, 3, 1, 2) / 255
    prediction = network(images)
    boxes, own = (torch.tensor([one.box for one in crops]) for crops in (FITS, SEEN))
    joints = free_body.joints(prediction.bodies.rotations, prediction.bodies.betas)
    in_frame = crop_to_frame(project(joints, prediction.bodies.camera, 48), own, 48)
    bodies = seen.bodies
    again = crop_to_frame(project(free_body.joints(bodies.pose, bodies.betas), bodies.camera, 64), boxes, 64)
    torch.testing.assert_close(again, in_frame, atol=0.02, rtol=0)
    places = 24 * (expected_places(heatmap_shares(prediction.heatmaps)) + 1)
    again = crop_to_frame(32 * (seen.joints[..., :2] + 1), boxes, 64)
    torch.testing.assert_close(again, crop_to_frame(places, own, 48), atol=0.01, rtol=0)
    trust = seen.joints[..., 2]
    assert (trust > 0).all() and (trust <= 1).all()


def test_a_network_without_heatmaps_has_bodies_alone(fitter: SilhouetteFitter) -> None:
    (seen,) = with_network([SEQUENCE], tiny_network(), FOUND, fitter, OPTIONS)
    assert seen.joints is None and seen.bodies is not None and len(seen.bodies) == 3


@pytest.mark.parametrize("network", [heatmap_network(), tiny_network()])
def test_a_network_that_disagrees_with_masks_takes_no_part(network: nn.Module, fitter: SilhouetteFitter) -> None:
    assert OPTIONS.network is not None
    strict = replace(OPTIONS, network=replace(OPTIONS.network, least_iou=0.99))
    with kept_findings() as told:
        assert with_network([SEQUENCE], network, FOUND, fitter, strict) == [SEQUENCE]
    assert "mine.pt" in told[0] and "less than 0.99" in told[0] and "topo-adapt adapt" in told[0]


def test_a_network_that_sees_walkers_from_behind_takes_no_part(fitter: SilhouetteFitter) -> None:
    network = tiny_network()
    (seen,) = with_network([SEQUENCE], network, FOUND, fitter, OPTIONS)
    assert seen.bodies is not None
    facing = rotvec_to_matrix(seen.bodies.pose[:, 0])[:, [0, 2], 2]
    facing = facing / facing.norm(dim=1, keepdim=True)
    many = FoundPeople([], [5 * FITS], [], [5 * SEEN])  # of three people nobody would judge
    for travel, used in ((facing, True), (-facing, False)):
        sequence = replace(Sequence.cat([SEQUENCE] * 5), travel=travel.repeat(5, 1))
        with kept_findings() as told:
            (result,) = with_network([sequence], network, many, fitter, OPTIONS)
        assert (result.bodies is not None) == used
        assert ("face elsewhere than they go" in told[0]) != used
