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
    found = write(tmp_path / "json", *[{"people": [person(BODY_25, k)]} for k in range(23)])
    code, _, errors = command("keypoints", tmp_path / "set", "--from", found)
    assert code == 2 and "23 JSON files for 24 crops" in one_line(errors)
    (found / "999_keypoints.json").write_text(json.dumps({"people": [person(BODY_25, 23)]}))
    assert command("keypoints", tmp_path / "set", "--from", found)[0] == 0
    keypoints = Samples.load(tmp_path / "set").keypoints
    assert keypoints is not None
    np.testing.assert_allclose(keypoints[:, JOINT_NAMES.index("neck"), 0], np.arange(24) + 0.5)
