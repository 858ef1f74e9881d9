"""Recordings of CMU, where they were downloaded: one take in two formats gives the same bodies."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from adaptation.bodies.body import Body
from adaptation.data.motion.reading import read_motion
from adaptation.data.motion.retarget import retarget

FOLDER = Path(os.environ.get("MOTION_CAPTURE", "motion_capture"))
NAMES = ("01_01.bvh", "01_01.amc", "01.asf")
pytestmark = pytest.mark.skipif(
    not all((FOLDER / name).exists() for name in NAMES),
    reason="put 01_01.bvh (apt-get download assimp-testmodels), 01_01.amc and 01.asf (git clone "
    "https://github.com/cyun9601/CMU-MOCAP-Data) into a folder, and name it in MOTION_CAPTURE",
)


def test_bvh_and_amc_of_one_take_agree() -> None:
    bvh, amc = read_motion(FOLDER / "01_01.bvh"), read_motion(FOLDER / "01_01.amc")
    # The BVH file has a rest pose before the first frame.
    bvh = replace(bvh, rotations=bvh.rotations[1:], roots=bvh.roots[1:], times=bvh.times[:-1])
    assert len(bvh.times) == len(amc.times)
    first, second = retarget(bvh.at_rate(5)), retarget(amc.at_rate(5))
    body, count = Body.free(), len(first.pose)
    ours, theirs = (body.joints(torch.from_numpy(each.pose), body.mean_shape(count)) for each in (first, second))
    assert (ours - theirs).norm(dim=2).mean() < 0.01
    assert np.abs(first.roots - second.roots).max() < 0.05
    for result in (first, second):
        assert result.errors["upper arm"] < 0.5 and result.errors["forearm"] < 0.5
        assert result.errors["thigh"] < 6 and result.errors["shin"] < 6
        assert not result.missing
