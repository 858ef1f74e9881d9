from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from evidence.cells import Cell, run_adaptations, settings_of
from evidence.detector import (
    DetectorSettings,
    KeypointDetector,
    augment,
    detect,
    detector_quality,
    follow_norms,
    read_peaks,
    train_detector,
)
from evidence.materials import QUICK, Materials
from evidence.methods import A1, A1_NORMS, A2_NORMS
from safetensors.torch import load_file, save_file

from adaptation.bodies.body import Body
from adaptation.bodies.joint_sets import OPENPOSE, OPENPOSE_JOINTS, SMPL
from adaptation.data.samples import Samples
from adaptation.support.errors import UserError
from adaptation.synthetic.keypoints import simulated_keypoints

SMALL = DetectorSettings(width=8, channels=16, steps=140, batch=24, rate=4e-3, rise=10, coarsest=0.8)
JOINTS = list(OPENPOSE_JOINTS)


@pytest.fixture(scope="module")
def trained(source: Samples) -> KeypointDetector:
    return train_detector(source, SMALL)


def gaussians(places: torch.Tensor, side: int, spread: float) -> torch.Tensor:
    """Heatmaps (J, side, side) of Gaussians around places (J, 2) in crop pixels."""
    centres = 4 * (torch.arange(side) + 0.5)
    away = (centres[None, :, None] - places[:, 1, None, None]) ** 2 + (centres - places[:, 0, None, None]) ** 2
    heat = torch.exp(-away / (2 * (4 * spread) ** 2))
    return heat / heat.sum((1, 2), keepdim=True)


def test_it_learns_where_the_joints_of_a_few_crops_are(source: Samples, trained: KeypointDetector) -> None:
    quality = detector_quality(replace(source, keypoints=detect(trained, source)))
    assert quality.found > 0.8
    assert quality.median_pixels < 3.5
    blind = detector_quality(replace(source, keypoints=detect(KeypointDetector(8, 16).eval(), source, least=0.0)))
    assert blind.found == 1 and blind.median_pixels > 10  # what it learned from


def test_a_mirrored_image_has_the_same_joints_on_the_other_side(source: Samples, trained: KeypointDetector) -> None:
    found = detect(trained, source)
    mirrored = detect(trained, replace(source, images=source.images[:, :, ::-1].copy()))[:, list(SMPL.flip)]
    np.testing.assert_allclose(mirrored[..., 2], found[..., 2], atol=1e-5)
    expected = np.where(found[..., 2] > 0, source.size - found[..., 0], 0)
    np.testing.assert_allclose(mirrored[..., 0], expected, atol=1e-3)
    np.testing.assert_allclose(mirrored[..., 1], found[..., 1], atol=1e-3)


def test_only_the_13_joints_are_found(source: Samples, trained: KeypointDetector) -> None:
    everything, sure = detect(trained, source, least=0.0), detect(trained, source, least=0.9)
    assert everything.shape == (24, 24, 3) and everything.dtype == np.float32
    assert (everything[:, JOINTS, 2] > 0).all() and (everything[..., 2] <= 1 + 1e-6).all()
    assert not np.delete(everything, JOINTS, axis=1).any()
    kept = everything[..., 2] >= 0.9
    assert 0 < kept.sum() < 24 * 13
    assert np.array_equal(sure, np.where(kept[..., None], everything, 0))


def test_peaks_are_read_to_a_fraction_of_a_cell() -> None:
    places = torch.tensor([[20.0, 33.0], [41.3, 50.9], [70.6, 22.2]])
    heat = gaussians(places, 24, 0.75)
    heat[1] = 0.4 * heat[1] + 0.6 / 24**2  # unsure
    peaks = read_peaks(heat[None])[0]
    assert (peaks[[0, 2], :2] - places[[0, 2]]).abs().max() < 0.2
    assert peaks[[0, 2], 2].min() > 0.98
    assert peaks[1, 2] == pytest.approx(0.4 + 0.6 * 25 / 24**2, abs=0.01)


def test_joints_move_with_the_image() -> None:
    settings = DetectorSettings(light=0.0, coarsest=1.0)
    generator = torch.Generator().manual_seed(3)
    places = 30 + 36 * torch.rand(8, 13, 2, generator=generator)
    for joint in range(13):
        images = torch.stack([gaussians(places[:, joint], 24, 0.5)] * 3, dim=1)
        images = torch.nn.functional.interpolate(images, size=96, mode="bilinear")
        images, moved = augment(images, places, settings, torch.Generator().manual_seed(5))
        names = torch.arange(13)
        mirror = torch.tensor(OPENPOSE.flip)
        centres = torch.arange(96) + 0.5
        weight = images[:, 0] / images[:, 0].sum((1, 2), keepdim=True)
        seen = torch.stack([(weight.sum(1) * centres).sum(1), (weight.sum(2) * centres).sum(1)], dim=1)
        # The dot is one joint's, or in a mirrored image its partner's.
        away = torch.stack([(moved[:, names[joint]] - seen).norm(dim=1), (moved[:, mirror[joint]] - seen).norm(dim=1)])
        assert away.amin(0).max() < 0.5
    assert not torch.equal(moved, places)


def test_a_file_gives_the_same_detector_back(source: Samples, trained: KeypointDetector, tmp_path: Path) -> None:
    trained.save(tmp_path / "detector.safetensors")
    loaded = KeypointDetector.load(tmp_path / "detector.safetensors")
    assert np.array_equal(detect(loaded, source), detect(trained, source))


def test_bad_files_are_named(trained: KeypointDetector, tmp_path: Path) -> None:
    path = tmp_path / "detector.safetensors"
    with pytest.raises(UserError, match="no such file"):
        KeypointDetector.load(path)
    path.write_bytes(b"Dear reader")
    with pytest.raises(UserError, match="is not a keypoint detector"):
        KeypointDetector.load(path)
    trained.save(path)
    weights = load_file(path)
    save_file(weights, path)
    with pytest.raises(UserError, match="is not a keypoint detector"):
        KeypointDetector.load(path)
    meta = {"format": "keypoint detector of evidence", "width": "8", "channels": "32"}
    save_file(weights, path, meta)
    with pytest.raises(UserError, match=r"is not a keypoint detector.*size mismatch") as caught:
        KeypointDetector.load(path)
    assert "\n" not in str(caught.value)


def test_quality_counts_what_was_found(source: Samples) -> None:
    keypoints = simulated_keypoints(source, Body.free(), 0.0, 0.0, torch.Generator())
    keypoints[..., 0] += 1.0
    keypoints[:12, JOINTS, 1] += 6.0
    keypoints[:, JOINTS[0]] = 0
    quality = detector_quality(replace(source, keypoints=keypoints))
    assert quality.found == pytest.approx(12 / 13)
    assert quality.pck == pytest.approx(6 / 13)  # 5 % are 2.4 of 48 pixels
    assert quality.median_pixels == pytest.approx((1 + 37**0.5) / 2 * 2, rel=1e-3)
    with pytest.raises(UserError, match="no keypoints"):
        detector_quality(source)


def test_the_detector_is_trained_once_on_the_source(source: Samples, tmp_path: Path) -> None:
    source.save(tmp_path / "data" / "source-train", {})
    materials, said = Materials(tmp_path, replace(QUICK, detector_steps=1), "float32", 1), []
    weights = KeypointDetector.load(materials.detector(said.append)).state_dict()
    again = KeypointDetector.load(materials.detector(said.append)).state_dict()
    assert said == ["training the keypoint detector, 1 steps"]
    assert all(torch.equal(weights[name], again[name]) for name in weights)


def test_norms_that_follow_undo_a_change_of_light(source: Samples, trained: KeypointDetector) -> None:
    dim = replace(source, images=(source.images // 4 + 120).astype(np.uint8))
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    followed = follow_norms(trained, dim)
    assert all(torch.equal(value, before[name]) for name, value in trained.state_dict().items())
    plain, better = (detector_quality(replace(dim, keypoints=detect(each, dim))) for each in (trained, followed))
    assert better.pck > plain.pck + 0.05  # .10 to .15; training rounds differently on every kind of processor


def test_keypoints_are_made_once_and_adapted_to(source: Samples, trained: KeypointDetector, tmp_path: Path) -> None:
    for name in ("source-train", "style-adapt", "style-test"):
        source.save(tmp_path / "data" / name, {})
    trained.save(tmp_path / "detector.safetensors")
    materials, said = Materials(tmp_path, replace(QUICK, pretrain_steps=1, adapt_steps=4), "float32", 1), []
    cells = [Cell("style", method, 0) for method in (A1, A1_NORMS, A2_NORMS)]
    assert [settings_of(cell, materials).every for cell in cells] == [0, 0, 4]
    run_adaptations(cells, materials, jobs=1, say=said.append)
    assert [line for line in said if "detecting" in line] == [
        "detecting keypoints in style", "detecting keypoints in style-norms"
    ]  # fmt: skip
    for name, network in (("style", trained), ("style-norms", follow_norms(trained, source))):
        keypoints = np.load(tmp_path / "keypoints" / f"{name}.npy")
        assert np.array_equal(keypoints, detect(network, source))
        quality = json.loads((tmp_path / "keypoints" / f"{name}.json").read_text())
        assert quality == asdict(detector_quality(replace(source, keypoints=keypoints)))
    assert [materials.result(cell.name)["settings"]["keypoints"] for cell in cells] == ["a1", "a1", "a2"]
    said.clear()
    materials.keypoints("style", said.append, norms=False)
    assert said == []
