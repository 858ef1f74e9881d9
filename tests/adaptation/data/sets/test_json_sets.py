"""Data sets in JSON: COCO, and Human3.6M in the files of Moon et al."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import roma
import torch
from dataset_files import write_coco, write_human36m

from adaptation.bodies.joint_sets import SPIN
from adaptation.data.sets.coco import read_coco
from adaptation.data.sets.human36m import JOINTS, read_human36m
from adaptation.support.errors import UserError


def test_coco(tmp_path: Path) -> None:
    write_coco(tmp_path / "person_keypoints.json")
    people = read_coco(tmp_path / "person_keypoints.json")
    assert people.files == ("000000000007.jpg",) * 2 and people.frame_size.tolist() == [[64, 48]] * 2
    # Crowds and people without keypoints are left out; 12 is 1.2 times the box's side.
    np.testing.assert_allclose(people.box, np.tile([19, 9, 12, 12], (2, 1)))
    joint = SPIN.joints.index
    assert people.keypoints[0, joint("left_shoulder")].tolist() == [22.5, 11.5, 1]
    assert people.keypoints[0, joint("left_hip")].tolist() == [23.5, 15.5, 0.5]  # hidden
    assert (people.keypoints[0, :, 2] > 0).sum() == 5 and not people.keypoints[0, joint("nose")].any()


def test_coco_masks_are_outlines(tmp_path: Path) -> None:
    write_coco(tmp_path / "person_keypoints.json")
    people = read_coco(tmp_path / "person_keypoints.json")
    expected = np.zeros((48, 64), bool)
    expected[10:20, 20:30] = True
    np.testing.assert_array_equal(people.mask(0, (48, 64)), expected)
    triangles = people.mask(1, (48, 64)) > 0
    assert triangles[11, 21] and triangles[31, 41] and not triangles[15, 25]
    later = people.take(np.array([1]))
    assert len(later) == 1 and (later.mask(0, (48, 64)) == people.mask(1, (48, 64))).all()


def test_coco_without_every_outline_has_no_masks(tmp_path: Path) -> None:
    held = write_coco(tmp_path / "a.json")
    del held["annotations"][1]["segmentation"]
    (tmp_path / "a.json").write_text(json.dumps(held))
    assert read_coco(tmp_path / "a.json").mask is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is damaged"),
        ('{"images": []}', "it lacks 'annotations'"),
        ('{"images": [], "annotations": [{"image_id": 1, "bbox": [1, 2, 3]}]}', "none of 1 annotations has keyp"),
        ('{"images": [], "annotations": [{"image_id": 1, "keypoints": [1, 2, 2]}]}', "not in COCO's format: KeyError"),
    ],
)  # fmt: skip
def test_other_json_is_refused(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(UserError, match=message):
        read_coco(tmp_path / "a.json")


def test_human36m(tmp_path: Path) -> None:
    held = write_human36m(tmp_path, 9, fits=True)
    write_human36m(tmp_path, 11, fits=False)
    people = read_human36m(tmp_path)
    assert len(people) == 6 and people.subject.tolist() == [9] * 3 + [11] * 3
    assert people.frame.tolist() == [0, 0, 5] * 2 and people.view.tolist()[:3] == [54138969, 60457274, 60457274]
    assert len(set(people.clip.tolist())) == 4
    # Millimetres in the world become metres in the camera.
    camera = held["cameras"]["4"]
    body = (held["world"][5] @ held["R"].T + camera["t"]) / 1000
    for place, name in enumerate(JOINTS.joints):
        found = people.joints3d[2, SPIN.joints.index(name)]
        np.testing.assert_allclose(found, [*body[place], 1], atol=1e-5)
        seen = people.keypoints[2, SPIN.joints.index(name), :2]
        expected = body[place, :2] / body[place, 2] * camera["f"] + camera["c"]
        np.testing.assert_allclose(seen, expected, rtol=1e-4)
    assert (people.joints3d[2, :, 3] > 0).sum() == 17
    np.testing.assert_allclose(people.box[0], [320, 280, 240, 240])
    # Only frame 0 of the first subject has a fit, once for each camera.
    assert people.has_pose.tolist() == [True, True, False, False, False, False]
    root = roma.rotvec_to_rotmat(torch.from_numpy(held["pose"][:3]))
    turned = roma.rotvec_to_rotmat(torch.from_numpy(people.pose[0, 0]).double())
    torch.testing.assert_close(turned, torch.from_numpy(held["R"]) @ root, atol=1e-5, rtol=0)


def test_human36m_refusals(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no Human36M_subject\*_data.json; .* CDF files are not read"):
        read_human36m(tmp_path)
    write_human36m(tmp_path, 9, fits=False)
    with pytest.raises(UserError, match="no annotated frame is a multiple of 7") as refused:
        (tmp_path / "Human36M_subject9_data.json").write_text(
            (tmp_path / "Human36M_subject9_data.json").read_text().replace('"frame_idx": 0', '"frame_idx": 1')
        )
        read_human36m(tmp_path, every=7)
    assert "Human36M_subject9_data.json" in str(refused.value)
    (tmp_path / "Human36M_subject9_camera.json").write_text("{}")
    with pytest.raises(UserError, match=r"not in the format of Moon et al\.: KeyError '4'"):
        read_human36m(tmp_path)
