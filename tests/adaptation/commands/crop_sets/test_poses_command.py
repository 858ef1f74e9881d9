"""The command that converts motion capture to one pose file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from command_line import Command, one_line
from dataset_files import write_threedpw

from adaptation.bodies.poses import sample_poses
from adaptation.data.pose_files import read_poses


def write_clip(path: Path, frames: int) -> Path:
    """Write a clip of DeepMimic: a person who stands with arms that hang and raises the left thigh."""
    still = [1.0, 0.0, 0.0, 0.0]
    rows = []
    for frame in range(frames):
        angle = frame / frames
        thigh = [np.cos(angle / 2), 0.0, 0.0, np.sin(angle / 2)]
        right = [*still, -0.01, *still, *still, 0.1]
        rows.append([1 / 30, 0.0, 0.9, 0.0, *still, *still, *still, *right, *thigh, -angle, *still, *still, 0.1])
    path.write_text(json.dumps({"Loop": "wrap", "Frames": rows}))
    return path


def test_clips_and_pose_files_become_one(command: Command, tmp_path: Path) -> None:
    clip, sampled = write_clip(tmp_path / "raise.txt", 91), sample_poses(40, torch.Generator().manual_seed(0))
    np.savez(tmp_path / "others.npz", poses=sampled.numpy().reshape(40, 72))
    code, output, errors = command("poses", clip, tmp_path / "others.npz", "--out", tmp_path / "poses.npz")
    assert code == 0
    assert "raise.txt: 46 of 91 frames, 3.0 s, 15 joints; at rest, since the file has none: left_collar" in output
    assert "upper arm 0.0, forearm 0.0" in output and "86 poses of 2 clips" in output
    assert "others.npz: a pose file does not state its times: all 40 poses are taken" in errors
    read = read_poses(tmp_path / "poses.npz")
    assert torch.allclose(read[46:], sampled)
    # The thigh is raised by a radian in the last frame: a hip flexes about -x. At rest the body's own legs point 4
    # degrees backwards, the file's straight down.
    assert abs(float(read[45, 1, 0]) + 90 / 91) < 0.08
    arrays = np.load(tmp_path / "poses.npz")
    assert arrays["clip"][0] == "raise" and arrays["clip"][-1] == "others"
    assert np.allclose(arrays["time"][:3], [0, 1 / 15, 2 / 15], atol=1e-6) and np.isnan(arrays["time"][-1])


def test_few_poses_are_written_and_said(command: Command, tmp_path: Path) -> None:
    code, _, errors = command("poses", write_clip(tmp_path / "a.txt", 3), "--out", tmp_path / "few.npz", "--fps", 30)
    assert code == 0 and "few.npz: 3 poses, fewer than the 40" in errors
    code, _, errors = command("prior", "--poses", tmp_path / "few.npz", "--out", tmp_path / "prior")
    assert code == 2 and "expected at least 40 poses" in one_line(errors)


def test_refusals_write_nothing(command: Command, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.txt", 3)
    (tmp_path / "b.txt").write_text("hello")
    out = tmp_path / "out.npz"
    code, _, errors = command("poses", tmp_path / "b.txt", clip, "--out", out)
    assert code == 2 and "b.txt is text, but neither BVH (HIERARCHY) nor AMC" in one_line(errors) and not out.exists()
    code, _, errors = command("poses", tmp_path / "none.bvh", "--out", out)
    assert code == 2 and "no such file" in one_line(errors)
    code, _, errors = command("prior", "--poses", clip, "--out", out)
    assert code == 2 and "topo-adapt poses converts motion capture" in one_line(errors)


def test_amass_and_3dpw_become_one(command: Command, tmp_path: Path) -> None:
    pose = np.zeros((121, 156))
    pose[:, :66] = sample_poses(121, torch.Generator().manual_seed(0)).numpy().reshape(121, 72)[:, :66]
    np.savez(tmp_path / "walk_poses.npz", poses=pose, trans=np.zeros((121, 3)), mocap_framerate=np.array(120.0))
    write_threedpw(tmp_path / "run.pkl", frames=31)
    out = tmp_path / "poses.npz"
    code, output, errors = command(
        "poses", tmp_path / "walk_poses.npz", tmp_path / "run.pkl", "--out", out, "--fps", 10
    )
    assert code == 0, errors
    # A second of AMASS, and a second of two people.
    assert "walk_poses: 11 poses" in output and "run_1: 11 poses" in output and "33 poses of 3 clips" in output
    arrays = np.load(out)
    assert arrays["clip"][-1] == "run_1" and np.allclose(arrays["time"][11:13], [0, 0.1], atol=1e-6)
