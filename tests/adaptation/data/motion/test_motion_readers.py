"""Motion capture, written in the exact layouts of its formats and read back: poses, times, units and axes."""

from __future__ import annotations

from pathlib import Path

import fuzzing
import numpy as np
import pytest
import torch
from motion_files import A_POSE, as_numpy, write_acclaim, write_bvh, write_deepmimic

from adaptation.bodies.body import Body
from adaptation.bodies.joint_sets import SMPL
from adaptation.bodies.poses import arms_up, reaching, sitting, walking
from adaptation.data.motion.clip import Motion
from adaptation.data.motion.reading import read_motion
from adaptation.data.motion.retarget import BodyMotion, retarget
from adaptation.support.errors import UserError
from adaptation.support.reading.findings import kept_findings

LIMBS = ("hip", "knee", "ankle", "shoulder", "elbow")
LIMB_JOINTS = [number for number, name in enumerate(SMPL.joints) if name.split("_")[-1] in LIMBS]


def made_poses() -> torch.Tensor:
    """Poses that the skeletons of the tests can take: hinges bend about one axis, and the trunk bends evenly."""
    poses = torch.cat([walking(torch.linspace(0, 0.9, 6)), sitting()[None], reaching()[None], arms_up()[None]])
    trunk = [SMPL.joints.index(name) for name in ("spine1", "spine2", "spine3")]
    poses[:, trunk] = poses[:, trunk].mean(1, keepdim=True)
    neck = [SMPL.joints.index(name) for name in ("neck", "head")]
    poses[:, neck] = poses[:, neck].mean(1, keepdim=True)
    # Turned to the left, then lying on the back.
    poses[3, 0] = torch.tensor([0.0, 1.2, 0.0])
    poses[4, 0] = torch.tensor([-torch.pi / 2, 0.0, 0.0])
    return poses


POSES = as_numpy(made_poses())


def assert_same_bodies(result: BodyMotion, tolerance: float = 0.03) -> None:
    """Compare limbs in radians and joints in metres; rest poses are turned about axes that are nearly the body's."""
    body = Body.free()
    expected = torch.from_numpy(POSES).float()
    assert result.pose.shape == expected.shape and result.pose.dtype == np.float32
    assert np.abs(result.pose[:, LIMB_JOINTS] - POSES[:, LIMB_JOINTS]).max() < tolerance
    shape = body.mean_shape(len(expected))
    ours, theirs = body.joints(torch.from_numpy(result.pose), shape), body.joints(expected, shape)
    assert (ours - theirs).norm(dim=2).max() < tolerance


@pytest.mark.parametrize("rest", ["T-pose", "A-pose", "turned upper arm"])
@pytest.mark.parametrize("kind", ["bvh", "amc"])
def test_poses_survive_any_rest_pose(kind: str, rest: str, tmp_path: Path) -> None:
    turns = {} if rest == "T-pose" else dict(A_POSE)
    if rest == "turned upper arm":
        # About the arm's own axis: elbows bend forwards and 30 degrees up, as in CMU's skeletons.
        turns = {f"{side}_{part}": (30.0, 0.0, 0.0) for side in ("left", "right") for part in ("shoulder", "elbow")}
    path = write_bvh(tmp_path / "clip.bvh", POSES, turns) if kind == "bvh" else write_acclaim(tmp_path, POSES, turns)
    result = retarget(read_motion(path))
    assert_same_bodies(result)
    # The body's own legs are bent at rest by 9 degrees between the lines of its joints, half of it in each segment.
    assert result.errors["upper arm"] < 0.5 and result.errors["forearm"] < 0.5
    assert result.errors["thigh"] < 6 and result.errors["shin"] < 6


@pytest.mark.parametrize("order", ["ZXY", "XYZ", "ZYX"])
def test_order_of_channels_counts(order: str, tmp_path: Path) -> None:
    assert_same_bodies(retarget(read_motion(write_bvh(tmp_path / "clip.bvh", POSES, A_POSE, order=order))))


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ([[1, 0, 0], [0, 0, -1], [0, 1, 0]], "looks along -y with +z up"),
        ([[0, 0, 1], [0, 1, 0], [-1, 0, 0]], "+x with +y"),
    ],
)
def test_other_axes_are_found(axes: list[list[float]], words: str, tmp_path: Path) -> None:
    path = write_bvh(tmp_path / "clip.bvh", POSES, axes=np.array(axes, float))
    with kept_findings() as findings:
        assert_same_bodies(retarget(read_motion(path)))
    assert any(words in line for line in findings)


@pytest.mark.parametrize(
    ("unit", "words"),
    [(1.0, "metres"), (0.01, "centimetres"), (0.0254, "inches"), (0.0254 / 0.45, "no usual unit; scaled to 0.83 m")],
)
def test_units_of_bvh_are_found(unit: float, words: str, tmp_path: Path) -> None:
    with kept_findings() as findings:
        motion = read_motion(write_bvh(tmp_path / "clip.bvh", POSES, unit=unit))
    assert any(words in line for line in findings)
    assert np.allclose(motion.roots[1] - motion.roots[0], [0.1, 0, 0], atol=1e-3)
    thigh = np.linalg.norm(motion.offsets[motion.names.index("LeftLeg")])
    assert abs(thigh - 0.41) < 0.01


@pytest.mark.parametrize("axis", [(0.0, 0.0, 0.0), (180.0, -30.0, -90.0)])
@pytest.mark.parametrize("degrees", [True, False])
def test_axes_and_units_of_acclaim(axis: tuple[float, float, float], degrees: bool, tmp_path: Path) -> None:
    path = write_acclaim(tmp_path, POSES, A_POSE, axis=axis, degrees=degrees)
    with kept_findings() as findings:
        motion = read_motion(path)
    assert_same_bodies(retarget(motion))
    assert motion.times[-1] == pytest.approx((len(POSES) - 1) / 120)
    assert any("120 frames per second are assumed" in line for line in findings)
    assert np.allclose(motion.roots[1] - motion.roots[0], [0.1, 0, 0], atol=1e-3)
    assert read_motion(path, rate=60).times[1] == pytest.approx(1 / 60)


def test_deepmimic(tmp_path: Path) -> None:
    result = retarget(read_motion(write_deepmimic(tmp_path / "clip.txt", POSES)))
    assert_same_bodies(result, 0.05)
    assert {"left_collar", "left_wrist"} <= set(result.missing)
    assert result.times[-1] == pytest.approx((len(POSES) - 1) / 30)


def test_orientation_tells_who_lies(tmp_path: Path) -> None:
    pose = retarget(read_motion(write_bvh(tmp_path / "clip.bvh", POSES, A_POSE))).pose
    assert np.abs(pose[:, 0] - POSES[:, 0]).max() < 1e-3


def test_joint_limits_hold_and_the_next_joint_makes_up(tmp_path: Path) -> None:
    """Legs that are raised to the head cannot be, so that shins point where the file's do if knees allow it."""
    poses = POSES.copy()
    poses[:, SMPL.joints.index("left_hip"), 0] = -2.4  # 137 degrees; the limit is 120
    poses[:, SMPL.joints.index("left_knee"), 0] = 1.0
    result = retarget(read_motion(write_bvh(tmp_path / "clip.bvh", poses)))
    assert np.allclose(result.pose[:, SMPL.joints.index("left_hip"), 0], -np.deg2rad(120), atol=1e-4)
    assert np.allclose(result.pose[:, SMPL.joints.index("left_knee"), 0], 1.0 - (2.4 - np.deg2rad(120)), atol=0.05)


def test_frames_are_taken_at_a_rate() -> None:
    frames = 250
    motion = Motion(
        names=("root",), parents=(-1,), offsets=np.zeros((1, 3)), rotations=np.tile(np.eye(3), (frames, 1, 1, 1)),
        roots=np.zeros((frames, 3)), times=np.arange(frames) / 120, source="",
    )  # fmt: skip
    taken = motion.at_rate(15)
    assert np.allclose(np.diff(taken.times), 1 / 15) and len(taken.times) == 32
    assert len(motion.at_rate(1000).times) == frames
    assert len(motion.at_rate(0.01).times) == 1


def read_and_check(path: Path) -> None:
    result = retarget(read_motion(path))
    assert np.isfinite(result.pose).all()


def test_damaged_bvh(tmp_path: Path) -> None:
    good = [
        write_bvh(tmp_path / "a.bvh", POSES[:3]).read_bytes(),
        write_bvh(tmp_path / "b.bvh", POSES[:2], A_POSE, unit=0.0254, newline="\r\n").read_bytes(),
    ]
    outcome = fuzzing.fuzz(read_and_check, good, ".bvh", count=120)
    assert not outcome.findings, outcome.findings[:3]
    assert outcome.counts["refused"] > 50 and outcome.counts["read"] > 0


def test_damaged_deepmimic(tmp_path: Path) -> None:
    outcome = fuzzing.fuzz(
        read_and_check, [write_deepmimic(tmp_path / "a.txt", POSES[:3]).read_bytes()], ".txt", count=120
    )
    assert not outcome.findings, outcome.findings[:3]
    assert outcome.counts["refused"] > 50 and outcome.counts["read"] > 0


SEPARATOR = b"\n=====\n"


def read_both(path: Path) -> None:
    """Read a file that holds an ASF and an AMC file."""
    skeleton, _, motion = path.read_bytes().partition(SEPARATOR)
    (path.parent / "07.asf").write_bytes(skeleton)
    (path.parent / "07_01.amc").write_bytes(motion)
    read_and_check(path.parent / "07_01.amc")


def test_damaged_acclaim(tmp_path: Path) -> None:
    write_acclaim(tmp_path, POSES[:3], A_POSE)
    good = SEPARATOR.join((tmp_path / name).read_bytes() for name in ("07.asf", "07_01.amc"))
    outcome = fuzzing.fuzz(read_both, [good], ".both", count=120)
    assert not outcome.findings, outcome.findings[:3]
    assert outcome.counts["refused"] > 50 and outcome.counts["read"] > 0


def refused(path: Path, words: str) -> None:
    with pytest.raises(UserError) as caught:
        retarget(read_motion(path))
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_what_is_refused_and_why(tmp_path: Path) -> None:
    text = write_bvh(tmp_path / "clip.bvh", POSES).read_text()
    other = tmp_path / "other.bvh"
    for old, new, words in (
        ("Frame Time: 0.0333333", "Frame Time: 0", "expected 0.0083333 for 120 frames"),
        ("LeftUpLeg", "Thing", "no joint of the skeleton is known as the left hip"),
        ("Xposition", "Qposition", "are not channels such as Xrotation"),
        ("MOTION", "MOTIVE", "expected HIERARCHY and MOTION"),
        ("0.00000 0.00000", "0.00000 nan", "NaN or infinity"),
        ("}\nMOTION", "MOTION", "the tree of joints is cut off"),
    ):
        assert old in text
        other.write_text(text.replace(old, new))
        refused(other, words)
    other.write_text(text[:-9])
    refused(other, "the file is cut off or damaged")
    other.write_text(text.replace("Left", "Other").replace("Right", "Left").replace("Other", "Right"))
    refused(other, "left and right may be swapped")
    amc = write_acclaim(tmp_path, POSES)
    refused(tmp_path / "07.asf", "a skeleton without motion")
    (tmp_path / "08_02.amc").write_bytes(amc.read_bytes())
    (tmp_path / "09.asf").write_bytes((tmp_path / "07.asf").read_bytes())
    refused(tmp_path / "08_02.amc", "expected 08.asf beside it, found 07.asf, 09.asf; name it with --skeleton")
    assert len(read_motion(tmp_path / "08_02.amc", tmp_path / "07.asf").times) == len(POSES)
    (tmp_path / "09.asf").unlink()
    with kept_findings() as findings:
        read_motion(tmp_path / "08_02.amc")
    assert any("the only ASF file beside it" in line for line in findings)
    other.write_text("hello")
    refused(other, "neither BVH (HIERARCHY) nor AMC")
    other.write_text('{"Frames": [[1, 2]]}')
    refused(other, "frame 0 is 2 numbers; expected 44")
    other.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    refused(other, "found a PNG image")


def test_declared_and_present_frames_may_differ(tmp_path: Path) -> None:
    text = write_bvh(tmp_path / "clip.bvh", POSES).read_text()
    (tmp_path / "clip.bvh").write_text(text.replace("Frames: 9", "Frames: 8"))
    with kept_findings() as findings:
        assert len(read_motion(tmp_path / "clip.bvh").times) == 9
    assert any("Frames is 8, and 9 frames are there" in line for line in findings)
