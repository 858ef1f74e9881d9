from __future__ import annotations

import json
from pathlib import Path

import fuzzing
import numpy as np
import pytest
from openpose_files import BODY_25, COCO_18, person, write

from adaptation.bodies.body import JOINT_NAMES
from adaptation.bodies.joint_sets import OPENPOSE_JOINTS
from adaptation.data.openpose import read_openpose, to_body_joints
from adaptation.support.errors import UserError
from adaptation.support.reading.findings import kept_findings

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
        ({"people": [{"pose_keypoints_2d": [-0.5] * 75}]}, "confidences in 0 to 1"),
        ({"people": []}, "none of the 1 JSON files contains a person"),
    ],
    ids=str,
)
def test_bad_files_are_named(content: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read_openpose(write(tmp_path, content))
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_bad_folders_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    with pytest.raises(UserError, match="found an empty file, expected a folder of OpenPose's JSON files"):
        read_openpose(tmp_path / "a.txt")
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match="there are no JSON files"):
            read_openpose(folder)
    with pytest.raises(UserError, match="mix layouts of 18 and 25"):
        read_openpose(write(tmp_path, {"people": [person(BODY_25)]}, {"people": [person(COCO_18)]}))


def test_files_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"{number}_keypoints.json").write_text(json.dumps({"people": [person(BODY_25, number + 1)]}))
    with kept_findings() as findings:
        keypoints = read_openpose(tmp_path)
    np.testing.assert_allclose(keypoints[:, 1, 0], np.arange(12) + 1.5)
    assert findings == [f"{tmp_path}: files are in the order of their numbers, 0_keypoints.json to 11_keypoints.json"]


def test_files_of_other_systems_are_skipped(tmp_path: Path) -> None:
    write(tmp_path, {"people": [person(BODY_25)]}, {"people": [person(BODY_25)]})
    (tmp_path / "._000_keypoints.json").write_bytes(b"\x00\x05\x16\x07Mac OS X")
    (tmp_path / ".DS_Store").write_bytes(b"\x00\x00\x00\x01Bud1")
    (tmp_path / "._.json").touch()
    (tmp_path / "Thumbs.db").touch()
    (tmp_path / "001_keypoints.json").rename(tmp_path / "001_KEYPOINTS.JSON")
    assert len(read_openpose(tmp_path)) == 2


def test_nobody_there(tmp_path: Path) -> None:
    """OpenPose writes empty lists for people of whom only the face was found."""
    nobody = {"people": [{"pose_keypoints_2d": [], "face_keypoints_2d": [1.0, 2.0, 0.5]}]}
    keypoints = read_openpose(write(tmp_path, {"people": []}, nobody, {"people": [person(BODY_25), *nobody["people"]]}))
    assert not keypoints[:2].any() and keypoints[2, 1, 2] == pytest.approx(0.9)


@pytest.mark.parametrize("layout", [BODY_25, COCO_18], ids=["BODY_25", "COCO-18"])
def test_the_first_versions_of_openpose(layout: list[str], tmp_path: Path) -> None:
    old = {"version": 1.0, "people": [{"pose_keypoints": person(layout)["pose_keypoints_2d"]}]}
    assert read_openpose(write(tmp_path, old))[0, 1].tolist() == pytest.approx([1.5, 2.5, 0.9])


@pytest.mark.parametrize("scale", [1 / 48, 1 / 60])
def test_normalised_coordinates_are_refused(scale: float, tmp_path: Path) -> None:
    both = [person(BODY_25, scale), person(BODY_25, -scale)]
    for people in (both[:1], both):
        with pytest.raises(
            UserError, match=r"coordinates of at most 1, expected pixels; run OpenPose with --keypoint_sc"
        ):
            read_openpose(write(tmp_path, {"people": people}, {"people": []}))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (
            [{"image_id": 1, "category_id": 1, "keypoints": [1.0] * 51, "score": 0.9}],
            "a list of results in COCO's format",
        ),
        ({"images": [], "annotations": [], "categories": []}, "a data set in COCO's format"),
        ({"instance_info": [], "meta_info": {}}, "MMPose's"),
        ({"landmarks": [[{"x": 0.1, "y": 0.2}]]}, "MediaPipe's"),
        ({"fps": 25, "codec": "h264"}, "an object with fps, codec"),
        ([], "a list"),
        ({"people": [{"keypoints": []}]}, "a person has keypoints"),
    ],
    ids=str,
)
def test_files_of_other_programs_are_named(content: object, what: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "json", {"people": [person(BODY_25)]}, content)
    with pytest.raises(UserError, match=f"001_keypoints.json is not in OpenPose's layout: .*{what}") as caught:
        read_openpose(folder)
    assert "expected one file per image, with numbers in people[].pose_keypoints_2d; move other files" in str(
        caught.value
    ) and "\n" not in str(caught.value)


def at(x: float, y: float, confidence: float, count: int = 25) -> dict[str, list[float]]:
    """A person with `count` keypoints at one place."""
    return {"pose_keypoints_2d": [x, y, confidence] * count + [0.0] * 3 * (25 - count)}


def test_the_person_on_the_mask_counts(tmp_path: Path) -> None:
    masks = np.zeros((5, 64, 64), np.uint8)
    masks[:4, 20:60, 20:40] = 1
    beside, on, surer = at(2, 2, 0.9), at(30, 40, 0.3), at(30, 50, 0.6)
    hand = at(30, 40, 0.9, 3)  # of somebody else, before the person
    near = at(41, 40, 0.3)  # detectors are not exact
    everybody = [[beside, on], [on, surer], [on, hand], [beside, near], [on, beside]]
    folder = write(tmp_path, *[{"people": people} for people in everybody])
    with kept_findings() as findings:
        keypoints = read_openpose(folder, masks)
    assert keypoints[:, 0, 0].tolist() == [30.5, 30.5, 30.5, 41.5, 2.5]  # the last mask is empty
    assert keypoints[1, 0, 1] == 50.5 and keypoints[2, 10, 2] == pytest.approx(0.3)
    assert findings[0].startswith(f"{folder}: in 2 of 5 images, the most confident person lies less on the mask")
    assert read_openpose(folder)[:, 0, 0].tolist() == [2.5, 30.5, 30.5, 2.5, 2.5]
    with pytest.raises(UserError, match="has 5 JSON files for 4 crops"):
        read_openpose(folder, masks[:4])


def read_and_check(path: Path) -> None:
    """Read the folder of a file; whatever is accepted is finite, with confidences near 0 to 1."""
    keypoints = read_openpose(path.parent, np.ones((1, 64, 64), np.uint8))
    assert keypoints.shape in ((1, 25, 3), (1, 18, 3)) and np.isfinite(keypoints).all()
    assert 0 <= keypoints[..., 2].min() and keypoints[..., 2].max() <= 1.5


def test_damaged_files_end_in_one_line() -> None:
    both = [
        json.dumps({"version": 1.3, "people": [person(layout), person(layout, 2)]}) for layout in (BODY_25, COCO_18)
    ]
    outcome = fuzzing.fuzz(read_and_check, [text.encode() for text in both], ".json", count=300)
    print(outcome)
    assert not outcome.findings, "\n".join(outcome.findings[:5])
    assert outcome.counts["refused"] > 150 and outcome.counts["read"]


def test_nested_lists_end_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not readable JSON: maximum recursion depth"):
        read_openpose(write(tmp_path, "[" * 100_000))
