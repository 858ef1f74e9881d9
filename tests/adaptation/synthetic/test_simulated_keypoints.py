from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from adaptation.bodies.body import Body
from adaptation.bodies.joint_sets import OPENPOSE_JOINTS
from adaptation.data.samples import Samples
from adaptation.losses.keypoints import keypoint_loss
from adaptation.support.errors import UserError
from adaptation.synthetic.keypoints import simulated_keypoints


def test_simulated_keypoints_are_noisy_labels(source: Samples, body: Body) -> None:
    exact = torch.from_numpy(simulated_keypoints(source, body, 0.0, 0.0, torch.Generator().manual_seed(0)))
    assert keypoint_loss(source.bodies(body), exact, body, 48).max() < 1e-10
    assert (exact[..., 2] > 0).sum(1).eq(len(OPENPOSE_JOINTS)).all()
    noisy = torch.from_numpy(simulated_keypoints(source, body, 2.0, 0.25, torch.Generator().manual_seed(0)))
    found = noisy[..., 2] > 0
    assert 1.7 < (noisy - exact)[..., :2][found].std() < 2.3
    assert 0.65 < found[:, list(OPENPOSE_JOINTS)].float().mean() < 0.85
    assert not noisy[~found].any()
    assert np.array_equal(noisy, simulated_keypoints(source, body, 2.0, 0.25, torch.Generator().manual_seed(0)))


def test_labels_of_this_body_are_needed(source: Samples, body: Body) -> None:
    with pytest.raises(UserError, match="no labels"):
        simulated_keypoints(replace(source, pose=None), body, 0, 0, torch.Generator())
    with pytest.raises(UserError, match="belong to the body model 'smpl-abc', not to 'free'"):
        simulated_keypoints(replace(source, body="smpl-abc"), body, 0, 0, torch.Generator())
