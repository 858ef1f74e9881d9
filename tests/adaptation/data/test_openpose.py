from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from openpose_files import BODY_25, COCO_18, person, write

from adaptation.bodies.body import JOINT_NAMES
from adaptation.bodies.joint_sets import OPENPOSE_JOINTS
from adaptation.data.openpose import read_openpose, to_body_joints
from adaptation.support.errors import UserError

SMPL = {"Neck": "neck"} | {
    side[0].upper() + part.capitalize(): f"{side}_{part}"
    for side in ("left", "right")
    for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
}


@pytest.mark.parametrize("layout", [BODY_25, COCO_18], ids=["BODY_25", "COCO-18"])
def test_every_joint_gets_the_keypoint_of_its_name(layout: list[str], tmp_path: Path) -> None:
    joints = to_body_joints(read_openpose(write(tmp_path, {"version": 1.3, "people": [person(layout)]})))
    assert joints.shape == (1, 24, 3) and joints.dtype == np.float32
    for openpose, name in SMPL.items():
        k = layout.index(openpose)
        np.testing.assert_allclose(joints[0, JOINT_NAMES.index(name)], [k + 0.5, 2 * k + 0.5, 0.9], rtol=1e-6)
    assert {JOINT_NAMES[joint] for joint in OPENPOSE_JOINTS} == set(SMPL.values())
    others = [joint for joint in range(24) if joint not in OPENPOSE_JOINTS]
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
        ({"people": []}, "none of the 1 JSON files contains a person"),
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
