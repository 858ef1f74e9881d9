from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from adaptation.data.keypoints import KEYPOINT_JOINTS

from adaptation.bodies.body import JOINT_NAMES, Body
from adaptation.bodies.camera import project
from adaptation.commands.training_programs import read_keypoints, simulate_keypoints, write_pictures
from adaptation.data.openpose import read_openpose, to_body_joints
from adaptation.data.samples import Domain
from adaptation.losses.keypoints import keypoint_loss, keypoints_of
from adaptation.losses.supervision import truth_of
from adaptation.regressors.base import Prediction
from adaptation.support.errors import UserError
from adaptation.synthetic.keypoints import simulated_keypoints

# From OpenPose's documentation of its output.
BODY_25 = (
    "Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist MidHip RHip RKnee RAnkle LHip LKnee LAnkle "
    "REye LEye REar LEar LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel"
).split()
COCO_18 = (
    "Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist RHip RKnee RAnkle LHip LKnee LAnkle REye LEye REar LEar"
).split()
SMPL = {"Neck": "neck"} | {
    side[0].upper() + part.capitalize(): f"{side}_{part}"
    for side in ("left", "right")
    for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
}


def person(layout: list[str], scale: float = 1.0, confidence: float = 0.9) -> dict[str, list[float]]:
    """Keypoint k at (k, 2 k) times a scale."""
    return {"pose_keypoints_2d": [v for k in range(len(layout)) for v in (scale * k, 2 * scale * k, confidence)]}


def write(folder: Path, *contents: object) -> Path:
    folder.mkdir(exist_ok=True)
    for number, content in enumerate(contents):
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / f"{number:03d}_keypoints.json").write_text(text)
    return folder


@pytest.mark.parametrize("layout", [BODY_25, COCO_18], ids=["BODY_25", "COCO-18"])
def test_every_joint_gets_the_keypoint_of_its_name(layout: list[str], tmp_path: Path) -> None:
    joints = to_body_joints(read_openpose(write(tmp_path, {"version": 1.3, "people": [person(layout)]})))
    assert joints.shape == (1, 24, 3) and joints.dtype == np.float32
    for openpose, name in SMPL.items():
        k = layout.index(openpose)
        np.testing.assert_allclose(joints[0, JOINT_NAMES.index(name)], [k + 0.5, 2 * k + 0.5, 0.9], rtol=1e-6)
    assert {JOINT_NAMES[joint] for joint in KEYPOINT_JOINTS} == set(SMPL.values())
    others = [joint for joint in range(24) if joint not in KEYPOINT_JOINTS]
    assert not joints[:, others].any()


def test_files_are_read_by_name_and_the_surest_person_counts(tmp_path: Path) -> None:
    faint, sure = person(BODY_25, 2, 0.4), person(BODY_25, 3, 0.8)
    keypoints = read_openpose(write(tmp_path, {"people": [faint, sure]}, {"people": []}, {"people": [faint]}))
    assert keypoints[0, 1].tolist() == pytest.approx([3.5, 6.5, 0.8])
    assert not keypoints[1].any()
    assert keypoints[2, 1].tolist() == pytest.approx([2.5, 4.5, 0.4])


def test_what_is_not_sure_is_not_found(tmp_path: Path) -> None:
    unsure = person(BODY_25)
    unsure["pose_keypoints_2d"][3 * 4 + 2] = 0.2  # right wrist
    unsure["pose_keypoints_2d"][3 * 3 + 2] = 0  # right elbow
    keypoints = read_openpose(write(tmp_path, {"people": [unsure]}))
    assert not keypoints[0, 3].any() and keypoints[0, 4, 2] == pytest.approx(0.2)
    joints = to_body_joints(keypoints)
    assert not joints[0, JOINT_NAMES.index("right_wrist")].any()
    assert to_body_joints(keypoints, 0.1)[0, JOINT_NAMES.index("right_wrist"), 2] == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Dear reader", "is not readable JSON"),
        ("[1, 2]", "not in OpenPose's layout"),
        ({"persons": []}, "not in OpenPose's layout"),
        ({"people": 3}, "not in OpenPose's layout"),
        ({"people": [{"face_keypoints_2d": []}]}, "not in OpenPose's layout"),
        ({"people": [{"pose_keypoints_2d": ["left", "right", 1]}]}, "not in OpenPose's layout"),
        ({"people": [{"pose_keypoints_2d": [1.0] * 51}]}, r"75 numbers \(BODY_25\) or 54 \(COCO-18\), got shape \(51,"),
        ({"people": [{"pose_keypoints_2d": [[1.0, 2.0, 0.5]] * 25}]}, r"got shape \(25, 3\)"),
        ({"people": [{"pose_keypoints_2d": [float("nan")] * 75}]}, "must be finite"),
        ({"people": [{"pose_keypoints_2d": [-0.5] * 75}]}, "confidences not negative"),
        ({"people": []}, "nobody was found in any of 1 files"),
    ],
    ids=str,
)
def test_bad_files_are_named(content: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read_openpose(write(tmp_path, content))
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_bad_folders_are_named(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match="there are no JSON files"):
            read_openpose(folder)
    with pytest.raises(UserError, match="mix layouts of 18 and 25"):
        read_openpose(write(tmp_path, {"people": [person(BODY_25)]}, {"people": [person(COCO_18)]}))


def prediction_of(domain: Domain) -> Prediction:
    truth = truth_of(domain)
    return Prediction(truth.rotations, truth.betas, truth.camera.clone())


def test_the_loss_is_spins_formula(source: Domain, body: Body) -> None:
    prediction = prediction_of(source)
    keypoints = torch.from_numpy(simulated_keypoints(source, 3.0, 0.2, torch.Generator().manual_seed(1)))
    keypoints[..., 2] *= torch.rand(24, 24, generator=torch.Generator().manual_seed(2))
    joints = project(body.joints(prediction.rotations, prediction.betas), prediction.camera, 48)
    expected = torch.zeros(24)
    for b in range(24):
        for j in range(24):
            for axis in range(2):
                away = (2 * joints[b, j, axis] / 48 - 1) - (2 * keypoints[b, j, axis] / 48 - 1)
                expected[b] += keypoints[b, j, 2] * away**2 / 48
    torch.testing.assert_close(keypoint_loss(prediction, keypoints, body, 48), expected, rtol=1e-4, atol=1e-7)


def test_unknown_joints_do_not_pull(source: Domain, body: Body) -> None:
    prediction = prediction_of(source)
    prediction.camera[:, 1] += 0.2
    camera = prediction.camera.requires_grad_()
    keypoints = torch.from_numpy(simulated_keypoints(source, 0.0, 0.0, torch.Generator()))
    keypoint_loss(prediction, keypoints, body, 48).sum().backward()
    assert camera.grad is not None and (camera.grad[:, 1] > 0).all()  # less shift lowers the loss
    camera.grad = None
    keypoint_loss(prediction, torch.zeros_like(keypoints), body, 48).sum().backward()
    assert not camera.grad.any()


def test_simulated_keypoints_are_noisy_labels(source: Domain, body: Body) -> None:
    exact = torch.from_numpy(simulated_keypoints(source, 0.0, 0.0, torch.Generator().manual_seed(0)))
    assert keypoint_loss(prediction_of(source), exact, body, 48).max() < 1e-10
    assert (exact[..., 2] > 0).sum(1).eq(len(KEYPOINT_JOINTS)).all()
    noisy = torch.from_numpy(simulated_keypoints(source, 2.0, 0.25, torch.Generator().manual_seed(0)))
    found = noisy[..., 2] > 0
    assert 1.7 < (noisy - exact)[..., :2][found].std() < 2.3
    assert 0.65 < found[:, list(KEYPOINT_JOINTS)].float().mean() < 0.85
    assert not noisy[~found].any()
    assert np.array_equal(noisy, simulated_keypoints(source, 2.0, 0.25, torch.Generator().manual_seed(0)))
    with pytest.raises(UserError, match="no labels"):
        simulated_keypoints(replace(source, pose=None), 0, 0, torch.Generator())


def test_keypoints_are_kept_beside_the_crops(source: Domain, tmp_path: Path) -> None:
    source.save(tmp_path / "set", {"name": "x"})
    assert Domain.load(tmp_path / "set").keypoints is None
    with pytest.raises(UserError, match="no 2D keypoints"):
        keypoints_of(Domain.load(tmp_path / "set"))
    simulate_keypoints(tmp_path / "set", noise=1.0, missing=0.0, seed=0)
    kept = Domain.load(tmp_path / "set")
    assert kept.keypoints is not None and kept.keypoints.dtype == np.float32
    assert torch.equal(keypoints_of(kept), torch.from_numpy(kept.keypoints))
    assert np.array_equal(kept.pose, source.pose)
    replace(source, keypoints=kept.keypoints[:, :23]).save(tmp_path / "short", {})
    with pytest.raises(UserError, match=r"keypoints must have shape \(24, 24, 3\)"):
        Domain.load(tmp_path / "short")


def test_a_detectors_files_become_keypoints(source: Domain, tmp_path: Path) -> None:
    replace(source, pose=None).save(tmp_path / "set", {})
    write_pictures(tmp_path / "set", tmp_path / "pictures")
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 24
    found = write(tmp_path / "json", *[{"people": [person(BODY_25, k)]} for k in range(23)])
    with pytest.raises(UserError, match="23 JSON files for 24 crops"):
        read_keypoints(tmp_path / "set", found)
    (found / "999_keypoints.json").write_text(json.dumps({"people": [person(BODY_25, 23)]}))
    read_keypoints(tmp_path / "set", found)
    keypoints = Domain.load(tmp_path / "set").keypoints
    assert keypoints is not None
    np.testing.assert_allclose(keypoints[:, JOINT_NAMES.index("neck"), 0], np.arange(24) + 0.5)
