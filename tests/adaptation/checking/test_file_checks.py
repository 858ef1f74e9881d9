"""Files are recognised by what they hold, and each is told what it can be used for."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import openpose_files
import pytest
import torch
from networks import tiny_network

from adaptation.bodies.poses import sample_poses
from adaptation.checking.files import CHECKS, check_network
from adaptation.checking.recognise import recognise
from adaptation.checking.verdict import Verdict
from adaptation.data.samples import Samples
from adaptation.priors.latent import LatentPosePrior
from adaptation.recording.results import PersonResult
from adaptation.support.errors import UserError

ASSETS = Path(__file__).parents[3] / "adaptation" / "assets"


def checked(path: Path) -> Verdict:
    return CHECKS[recognise(str(path))](path)


@pytest.fixture
def poses(tmp_path: Path) -> Path:
    """A file of 60 poses under a name that says nothing."""
    array = sample_poses(60, torch.Generator().manual_seed(0)).numpy().reshape(60, -1)
    np.savez(tmp_path / "poses.npz", poses=array)
    return (tmp_path / "poses.npz").rename(tmp_path / "data.bin")


def test_poses(poses):
    verdict = checked(poses)
    assert verdict.what == "poses" and dict(verdict.facts)["poses"] == "60 of 24 joints, axis-angle"
    assert [use.command for use in verdict.uses] == ["prior --poses"] and verdict.usable


def test_poses_in_a_pickle_are_not_taken_for_a_body(poses, tmp_path):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(dict(np.load(poses))))
    (tmp_path / "b.pkl").write_bytes(pickle.dumps(dict(np.load(ASSETS / "free_body.npz"))))
    assert [recognise(str(tmp_path / name)) for name in ("a.pkl", "b.pkl")] == ["poses", "body"]


def test_a_body_model():
    verdict = checked(ASSETS / "free_body.npz")
    assert dict(verdict.facts)["mesh"] == "1229 vertices, 2454 faces" and verdict.usable


def test_a_pose_prior_is_not_taken_for_a_regressor():
    assert recognise(str(ASSETS / "pose_prior.safetensors")) == "prior"
    assert recognise(str(ASSETS / "source_small.safetensors")) == "network"
    assert checked(ASSETS / "pose_prior.safetensors").usable
    with pytest.raises(UserError):
        LatentPosePrior.load(ASSETS / "source_small.safetensors")


def test_keypoints(tmp_path):
    people = {"people": [openpose_files.person(openpose_files.BODY_25, 20.0)]}
    openpose_files.write(tmp_path / "keypoints", people, {"people": []}, people)
    verdict = checked(tmp_path / "keypoints")
    assert dict(verdict.facts)["images"] == "3, 1 of them without a person" and verdict.usable


def test_crops_without_labels_are_a_target_but_no_source(source, tmp_path):
    source.save(tmp_path / "labelled", {})
    Samples(source.images, source.masks).save(tmp_path / "bare", {})
    labelled, bare = ({use.command: use for use in checked(tmp_path / name).uses} for name in ("labelled", "bare"))
    assert all(use.possible for use in labelled.values())
    assert bare["adapt (target)"].possible and not bare["pretrain"].possible
    assert bare["pretrain"].note == "it has no labels (pose, betas, camera)"


def test_results(tmp_path):
    (tmp_path / "settings.json").write_text(json.dumps({"command": "topo-adapt fit cam.avi"}))
    (tmp_path / "report.html").write_text("")
    verdict = checked(tmp_path)
    assert dict(verdict.facts) == {"command": "topo-adapt fit cam.avi", "people": "0", "reports": "report.html"}
    (tmp_path / "settings.json").write_text("[")
    with pytest.raises(UserError, match="cannot be read"):
        checked(tmp_path)


def test_bodies_of_a_person(tmp_path):
    count = 3
    shapes = {"frame": (), "box": (4,), "pose": (24, 3), "betas": (10,), "camera": (3,), "joints3d": (24, 3),
              "joints2d": (24, 2), "start_pose": (24, 3), "start_betas": (10,), "start_camera": (3,)}  # fmt: skip
    arrays = {name: np.zeros((count, *shape), np.float32) for name, shape in shapes.items()}
    scores = {name: np.ones(count, np.float32) for name in ("iou_before", "iou_after", "loss_before", "loss_after")}
    PersonResult(**{**arrays, **scores, "frame": np.arange(count)}).save(tmp_path / "person.npz")
    assert dict(checked(tmp_path / "person.npz").facts)["bodies"] == "3, frames 0 to 2"


def test_a_network_is_tried(tmp_path):
    path = tmp_path / "model.pt"
    torch.save(tiny_network().state_dict(), path)
    assert recognise(str(path)) == "network"
    verdict = check_network(str(path), 48)
    assert verdict.usable and dict(verdict.facts)["predicts"] == "24 rotations, 10 shape coefficients, a camera"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("torch.nn.Identity()", "returns a Tensor, expected a Prediction"),
        ("torch.nn.Conv2d(4, 1, 1)", "it fails on crops of 48 pixels: "),
    ],
)
def test_a_network_that_does_not_fit_says_why(tmp_path, monkeypatch, body, why):
    module = f"mynet_{abs(hash(body))}"
    (tmp_path / f"{module}.py").write_text(f"import torch\n\ndef build():\n    return {body}\n")
    monkeypatch.chdir(tmp_path)
    assert recognise(f"{module}:build") == "network"
    verdict = check_network(f"{module}:build", 48)
    assert not verdict.usable and why in verdict.uses[0].note and "wrap" in verdict.advice[0]


def test_nothing_is_executed_to_recognise_a_file(tmp_path):
    class Bomb:
        def __reduce__(self):
            return open, (str(tmp_path / "ran"), "w")

    (tmp_path / "smpl.pkl").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(UserError, match="refused"):
        checked(tmp_path / "smpl.pkl")
    for zipped in (True, False):
        torch.save({"model": Bomb()}, tmp_path / "model", _use_new_zipfile_serialization=zipped)
        assert recognise(str(tmp_path / "model")) == "network"
        with pytest.raises(UserError, match="could run code"):
            check_network(str(tmp_path / "model"), 48)
    assert not (tmp_path / "ran").exists()


def test_what_cannot_be_used_is_named(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "one.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "one.json").write_text("{}")
    (tmp_path / "one.mat").write_bytes(b"MATLAB 5.0 MAT-file")
    np.savez(tmp_path / "spin.npz", imgname=["a"], center=[[1, 2]], scale=[1])
    for name, text in (
        ("empty", "no images"),
        ("one.png", "a single image"),
        ("one.json", "a single JSON file"),
        ("one.mat", "a MATLAB file; topo-adapt dataset reads"),
        ("spin.npz", "without poses; topo-adapt dataset spin"),
        ("missing", "no such file"),
    ):
        with pytest.raises(UserError, match=text):
            recognise(str(tmp_path / name))
