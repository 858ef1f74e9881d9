"""The command that crops the people of a data set, and what the crops are good for."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from command_line import Command, one_line
from dataset_files import write_coco, write_image, write_spin, write_threedpw, write_up3d

from adaptation.bodies.joint_sets import SPIN
from adaptation.data.samples import Samples


def test_from_spins_file_to_a_protocol(command: Command, tmp_path: Path) -> None:
    names = [f"images/S9_Walking.60457274_{frame:06d}.jpg" for frame in (1, 6)]
    write_spin(tmp_path / "p2.npz", names)
    for name in names:
        write_image(tmp_path / name)
    out = tmp_path / "crops"
    code, output, errors = command("dataset", "spin", tmp_path / "p2.npz", "--out", out, "--size", 96)
    assert code == 0, errors
    assert "2 crops of 96 px" in output and "keypoints 2, joints3d 2; joints 'spin', body 'smpl'" in output
    samples = Samples.load(out)
    assert samples.subject.tolist() == [9, 9] and samples.frame.tolist() == [0, 5]
    assert json.loads((out / "settings.json").read_text())["dataset"] == "spin"
    arguments = ["evaluate", out, "--model", "small", "--protocol", "h36m-p2"]
    code, _, errors = command(*arguments)
    assert code == 2 and "regresses joints from the mesh: give --regressor" in one_line(errors)
    weights = np.zeros((17, 1229))
    weights[:, 0] = 1
    np.save(tmp_path / "r.npy", weights)
    code, output, errors = command(*arguments, "--regressor", tmp_path / "r.npy", "--out", tmp_path / "scores")
    assert code == 0, errors
    assert "h36m-p2" in output and "MPJPE mm" in output and "camera 60457274 alone" in " ".join(output.split())
    written = json.loads((tmp_path / "scores" / "scores.json").read_text())
    # All 14 predicted joints are one point, the pelvis: the error is the joints' distance from the pelvis.
    joints = samples.joints3d[:, [*range(13), SPIN.joints.index("head")], :3]
    assert written["figures"]["MPJPE mm"] == pytest.approx(1000 * np.linalg.norm(joints, axis=2).mean(), rel=1e-4)


def test_threedpw_is_measured_without_licensed_files(command: Command, tmp_path: Path) -> None:
    write_threedpw(tmp_path / "sequenceFiles" / "test" / "walk.pkl", frames=3)
    for frame in range(3):
        write_image(tmp_path / "imageFiles" / "walk" / f"image_{frame:05d}.jpg")
    out = tmp_path / "crops"
    code, output, errors = command("dataset", "3dpw", tmp_path, "--out", out, "--size", 96)
    assert code == 0, errors
    assert "5 crops of 96 px" in output and "pose 5" in output and "joints 'smpl'" in output
    code, output, errors = command("evaluate", out, "--model", "small", "--protocol", "smpl14")
    assert (
        code == 0
        and "PA-MPJPE p90 mm" in output
        and "not comparable with published figures" in " ".join(output.split())
    )
    code, _, errors = command("evaluate", out, "--model", "small")
    assert code == 2 and "no labels (pose, betas, camera)" in one_line(errors)


def test_coco_becomes_a_target_with_masks_and_keypoints(command: Command, tmp_path: Path) -> None:
    write_coco(tmp_path / "person_keypoints_val2017.json")
    write_image(tmp_path / "val2017" / "000000000007.jpg")
    out = tmp_path / "crops"
    file = tmp_path / "person_keypoints_val2017.json"
    code, output, _ = command("dataset", "coco", file, "--images", tmp_path / "val2017", "--out", out, "--size", 96)
    assert code == 0 and "keypoints 2, masks 2" in output
    code, output, _ = command("evaluate", out, "--model", "small", "--protocol", "mpii")
    assert code == 2  # COCO has neither heads nor necks
    run = tmp_path / "run"
    code, _, errors = command("adapt", out, "--model", "small", "--out", run, "--preset", "tiny", "--loss", "a1")
    assert code == 0, errors


def test_fits_with_a_body_become_a_labelled_source(command: Command, tmp_path: Path) -> None:
    for number in range(40):
        write_up3d(tmp_path / "up-3d", number)
    with resources.as_file(resources.files("adaptation") / "assets" / "free_body.npz") as body:
        arguments = ["dataset", "up3d", tmp_path / "up-3d", "--size", 48, "--labelled"]
        code, _, errors = command(*arguments, "--out", tmp_path / "crops")
        assert code == 2 and "--labelled: nobody has pose, shape and camera" in one_line(errors)
        code, _, errors = command(*arguments, "--out", tmp_path / "crops", "--body", body)
    # Random keypoints do not fit every pose the right way round, so some cameras are unknown.
    assert code == 0 and "of 40 people have pose, shape and camera; the others are left out" in errors
    samples = Samples.load(tmp_path / "crops")
    assert samples.labelled and samples.body == "free" and 5 < len(samples) < 40
    code, _, errors = command("pretrain", tmp_path / "crops", "--out", tmp_path / "run", "--preset", "tiny")
    assert code == 0, errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("amass", "x.npz"),
            "unknown format 'amass'; known are spin, 3dpw, .*; poses of AMASS are read by `topo-adapt po",
        ),
        (("coco", "x.json"), r"no such file or folder: x\.json; expected: person_keypoints_"),
        (("coco", "x.json", "--split", "val"), "--split has no effect on the format coco; leave it out"),
        (("3dpw", ".", "--every", "2"), "--every has no effect on the format 3dpw"),
        (("mpii", ".", "--masks", "m"), "--masks has no effect on the format mpii"),
        (("spin", ".", "--regressor", "r.npy"), "--regressor needs the body models of the labels"),
    ],
)
def test_options_that_do_not_fit(arguments: tuple[str, ...], message: str, command: Command, tmp_path: Path) -> None:
    code, _, errors = command("dataset", *arguments, "--out", tmp_path / "out")
    assert code == 2 and re.search(message, one_line(errors)) and not (tmp_path / "out").exists()


def test_regressor_without_protocol(command: Command, work: Path, tmp_path: Path) -> None:
    code, _, errors = command("evaluate", work / "target", "--model", "small", "--regressor", tmp_path / "r.npy")
    assert code == 2 and "--regressor is for --protocol, which is not given" in one_line(errors)
