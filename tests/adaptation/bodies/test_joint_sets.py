from __future__ import annotations

import pytest

from adaptation.bodies.joint_sets import (
    JOINT_SETS,
    LSP,
    LSP_JOINTS,
    OPENPOSE,
    OPENPOSE_JOINTS,
    OPENPOSE_LAYOUTS,
    SMPL,
    JointSet,
)


@pytest.mark.parametrize("joints", JOINT_SETS.values(), ids=JOINT_SETS)
def test_flip_pairs_the_sides(joints: JointSet) -> None:
    assert len(joints.flip) == len(joints) == len(set(joints.joints))
    for index, name in enumerate(joints.joints):
        swapped = name.replace("left", "?").replace("right", "left").replace("?", "right")
        assert joints.joints[joints.flip[index]] == swapped
        assert joints.flip[joints.flip[index]] == index
    assert any(joints.flip[index] != index for index in range(len(joints)))


def test_a_side_without_its_counterpart_cannot_be_flipped() -> None:
    with pytest.raises(ValueError):
        _ = JointSet("half", ("pelvis", "left_hip")).flip


def test_lsp_by_name() -> None:
    assert tuple(SMPL.joints[i] for i in LSP_JOINTS) == LSP.joints
    assert len(set(LSP_JOINTS)) == 14
    assert [SMPL.joints[i] for i in LSP_JOINTS[:3]] == ["right_ankle", "right_knee", "right_hip"]
    assert LSP_JOINTS == (8, 5, 2, 1, 4, 7, 21, 19, 17, 16, 18, 20, 12, 15)


def test_openpose_by_name() -> None:
    assert tuple(SMPL.joints[i] for i in OPENPOSE_JOINTS) == OPENPOSE.joints
    parts = [f"{side}_{part}" for side in ("left", "right") for part in "shoulder elbow wrist hip knee ankle".split()]
    assert {SMPL.joints[i] for i in OPENPOSE_JOINTS} == {"neck", *parts} and len(OPENPOSE_JOINTS) == 13
    assert OPENPOSE_LAYOUTS.keys() == {25, 18}
    for layout in OPENPOSE_LAYOUTS.values():
        assert tuple(layout) == OPENPOSE.joints and len(set(layout.values())) == 13


def test_joints_that_another_set_lacks() -> None:
    assert LSP.indices_in(LSP) == tuple(range(14))
    with pytest.raises(ValueError):
        SMPL.indices_in(LSP)
