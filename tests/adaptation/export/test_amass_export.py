from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from adaptation.bodies.body import Body
from adaptation.export.amass import amass
from adaptation.export.clip import World


def test_smpl_with_these_numbers_is_the_person(world: World) -> None:
    """As readers of AMASS pose SMPL: root and body from ``poses``, moved by ``trans``, z up."""
    clip = world.clips[0].uniform()
    arrays = amass(world.clips[0], world.body, world.rate)
    assert arrays["poses"].shape == (7, 156) and not arrays["poses"][:, 66:].any()
    assert str(arrays["gender"]) == "neutral" and float(arrays["mocap_framerate"]) == 2.5
    pose = torch.zeros(7, 24, 3)
    pose[:, :22] = torch.from_numpy(arrays["poses"][:, :66].reshape(7, 22, 3)).float()
    betas = torch.from_numpy(clip.betas).float().expand(7, -1)
    joints = world.body.joints(pose, betas)[:, :22].double().numpy() + arrays["trans"][:, None]
    expected = clip.posed(world.body, range(7))[1][:, :22]
    np.testing.assert_allclose(joints[..., 2], expected[..., 1], atol=1e-5)  # up
    np.testing.assert_allclose(joints[..., 0], expected[..., 0], atol=1e-5)
    np.testing.assert_allclose(joints[..., 1], -expected[..., 2], atol=1e-5)


def test_shape_coefficients_of_the_free_body_are_not_passed_off_as_smpls(
    world: World, free_body: Body, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = world.clips[0]
    arrays = amass(clip, free_body, 10.0)
    assert arrays["betas"].shape == (16,) and not arrays["betas"].any()
    licensed = replace(world).body
    monkeypatch.setattr(licensed, "name", "smpl-0123456789ab")
    np.testing.assert_allclose(amass(clip, licensed, 10.0)["betas"][:10], clip.betas)
