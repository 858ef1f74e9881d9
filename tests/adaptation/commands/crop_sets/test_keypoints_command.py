from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import Command, one_line
from openpose_files import BODY_25, person, write

from adaptation.bodies.body import JOINT_NAMES, Body
from adaptation.data.samples import Samples
from adaptation.losses.keypoints import keypoints_of
from adaptation.support.errors import UserError


def test_keypoints_are_kept_beside_the_crops(source: Samples, body: Body, command: Command, tmp_path: Path) -> None:
    source.save(tmp_path / "set", {"name": "x"})
    assert Samples.load(tmp_path / "set").keypoints is None
    assert command("keypoints", tmp_path / "set", "--simulate", "--noise", 1, "--missing", 0)[0] == 0
    kept = Samples.load(tmp_path / "set")
    assert kept.keypoints is not None and kept.keypoints.dtype == np.float32
    assert torch.equal(keypoints_of(kept, body), torch.from_numpy(kept.keypoints))
    assert np.array_equal(kept.pose, source.pose)
    replace(source, keypoints=kept.keypoints[:, :23]).save(tmp_path / "short", {})
    with pytest.raises(UserError, match=r"keypoints must have shape \(24, 24, 3\)"):
        Samples.load(tmp_path / "short")


def test_a_detectors_files_become_keypoints(source: Samples, command: Command, tmp_path: Path) -> None:
    replace(source, pose=None).save(tmp_path / "set", {})
    assert command("keypoints", tmp_path / "set", "--pictures", tmp_path / "pictures")[0] == 0
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 24
    found = write(tmp_path / "json", *[{"people": [person(BODY_25, k / 24)]} for k in range(23)])
    code, _, errors = command("keypoints", tmp_path / "set", "--from", found)
    assert code == 2 and "23 JSON files for 24 crops" in one_line(errors)
    (found / "999_keypoints.json").write_text(json.dumps({"people": [person(BODY_25, 23 / 24)]}))
    assert command("keypoints", tmp_path / "set", "--from", found)[0] == 0
    keypoints = Samples.load(tmp_path / "set").keypoints
    assert keypoints is not None
    np.testing.assert_allclose(keypoints[:, JOINT_NAMES.index("neck"), 0], np.arange(24) / 24 + 0.5, rtol=1e-6)


def at(x: float, y: float, confidence: float) -> dict[str, list[float]]:
    return {"pose_keypoints_2d": [x, y, confidence] * 25}


def test_the_person_on_the_mask_is_taken(source: Samples, command: Command, tmp_path: Path) -> None:
    source.save(tmp_path / "set", {})
    truth = source.masks[:, 0]
    places = [np.argwhere(mask)[int(mask.sum()) // 2].tolist() for mask in truth]
    on = [at(x, y, 0.4) for y, x in places]
    files = write(tmp_path / "json", *[{"people": [at(0, 0, 0.9), person]} for person in on])
    assert not truth[:, :4, :4].any()
    code, _, errors = command("keypoints", tmp_path / "set", "--from", files)
    assert code == 0 and "in 24 of 24 images, the most confident person lies less on the mask" in errors
    neck = Samples.load(tmp_path / "set").keypoints[:, JOINT_NAMES.index("neck")]
    np.testing.assert_allclose(neck[:, 1::-1] - 0.5, places, atol=1e-4)
    replace(source, masks=None).save(tmp_path / "bare", {})
    (tmp_path / "bare" / "masks.npy").unlink(missing_ok=True)
    code, _, errors = command("keypoints", tmp_path / "bare", "--from", files)
    assert code == 0 and "found:" not in errors
    assert Samples.load(tmp_path / "bare").keypoints[:, JOINT_NAMES.index("neck"), 2] == pytest.approx(0.9)


def test_keypoints_of_whole_frames_are_refused(source: Samples, command: Command, tmp_path: Path) -> None:
    source.save(tmp_path / "set", {})
    files = write(tmp_path / "json", *[{"people": [person(BODY_25, 40)]}] * 24)
    code, _, errors = command("keypoints", tmp_path / "set", "--from", files)
    assert code == 2 and "coordinates of up to 1920, but crops have 48 pixels" in one_line(errors)
    assert Samples.load(tmp_path / "set").keypoints is None
