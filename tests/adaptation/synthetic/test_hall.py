"""The demo's recording: equal to its ground truth, in memory and on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from adaptation.bodies.body import Body
from adaptation.recording.footage.video import open_frames
from adaptation.recording.results import PersonResult
from adaptation.synthetic.hall import ClipSettings, SyntheticClip, render_clip, write_clip
from topokernels import m2s

SETTINGS = ClipSettings(width=320, height=240, frames=24, rate=3.0)


@pytest.fixture(scope="module")
def body() -> Body:
    return Body.free()


@pytest.fixture(scope="module")
def clip(body: Body) -> SyntheticClip:
    return render_clip(SETTINGS, body)


def test_equal_settings_give_equal_pixels(clip: SyntheticClip, body: Body) -> None:
    np.testing.assert_array_equal(render_clip(SETTINGS, body).images, clip.images)
    other = render_clip(replace(SETTINGS, frames=2, seed=1), body)
    assert (other.images[0] != clip.images[0]).any()


def test_masks_are_those_of_the_known_poses(clip: SyntheticClip, body: Body) -> None:
    seen = 0
    for person, betas in enumerate(torch.from_numpy(clip.betas)):
        frames = np.flatnonzero(clip.full[person].any((1, 2)))
        pose = torch.from_numpy(clip.pose[person, frames])
        posed = body(pose, betas.expand(len(frames), -1))
        projection = torch.from_numpy(clip.projection[person, frames])
        pixels = posed.vertices[..., :2] * projection[:, None, :1] + projection[:, None, 1:]
        drawn = m2s(pixels, body.faces, (240, 320), sigma=1e-3)[:, 0].bool().numpy()
        full = clip.full[person, frames]
        common, union = (drawn & full).sum((1, 2)), (drawn | full).sum((1, 2))
        assert (union - common <= 0.06 * union + 4).all()
        np.testing.assert_allclose(clip.joints3d[person, frames], posed.joints.numpy(), atol=1e-5)
        seen += len(frames)
    assert seen > 20


def test_joints_lie_in_their_masks(clip: SyntheticClip) -> None:
    inside = []
    for person, frame in np.argwhere(clip.full.any((2, 3))):
        x, y = np.floor(clip.joints2d[person, frame, [0, 1, 2, 4, 5, 9, 15]]).astype(int).T
        shown = (x >= 0) & (x < 320)
        inside.append(clip.full[person, frame][y[shown], x[shown]])
    assert np.concatenate(inside).mean() > 0.98


def test_one_person_passes_in_front_of_the_other(clip: SyntheticClip) -> None:
    assert not clip.full[:, :2].any()
    assert not (clip.visible & ~clip.full).any()
    assert not clip.visible.all(0).any()
    hidden = (clip.full & ~clip.visible).any((2, 3))
    assert hidden.any()
    for person, frame in np.argwhere(hidden):
        # The nearer person has a slightly larger scale.
        assert clip.projection[person, frame, 0] < clip.projection[1 - person, frame, 0]


def test_the_empty_scene_is_still_but_for_noise_and_light(clip: SyntheticClip) -> None:
    empty = clip.images[:2].astype(float) - clip.background
    assert abs(empty.mean()) < 0.1
    assert 0.8 * SETTINGS.noise < empty.std() < 1.5 * SETTINGS.noise
    # The top of the picture, where there are no people, before and after the lighting change.
    top = slice(0, 60)
    assert not clip.full[:, :, top].any()
    expected = clip.background[top].astype(float) * SETTINGS.gain + SETTINGS.offset
    dark = expected < 235  # brighter pixels are clipped by the sensor
    change = clip.images[-4:, top].astype(float).mean(0)[dark] - expected[dark]
    assert abs(change.mean()) < 0.2 and change.std() < 1.5 * SETTINGS.noise


def test_people_stand_out(clip: SyntheticClip) -> None:
    before = clip.visible[:, :12].any(0)
    difference = np.abs(clip.images[:12].astype(int) - clip.background).max(-1)[before]
    assert (difference > 6 * SETTINGS.noise).mean() > 0.9


def test_files_hold_exactly_the_clip(clip: SyntheticClip, tmp_path: Path) -> None:
    write_clip(clip, tmp_path / "clip")
    frames = open_frames(tmp_path / "clip" / "frames")
    assert frames.count == len(clip.images)
    for frame, image in zip(frames, clip.images, strict=True):
        np.testing.assert_array_equal(frame, image)
    with np.load(tmp_path / "clip" / "truth.npz", allow_pickle=False) as truth:
        np.testing.assert_array_equal(truth["visible"], clip.visible)
        np.testing.assert_array_equal(truth["pose"], clip.pose)
        assert "images" not in truth.files


@pytest.mark.parametrize("person", [0, 1])
def test_results_find_their_person(clip: SyntheticClip, person: int) -> None:
    frame = clip.frame[8:14]
    zeros = np.zeros(len(frame), np.float32)
    shaken = clip.joints2d[person, frame] + np.random.default_rng(0).normal(0, 3, (6, 24, 2)).astype(np.float32)
    pose, betas, camera = (
        np.zeros((6, 24, 3), np.float32),
        np.zeros((6, 10), np.float32),
        np.ones((6, 3), np.float32),
    )
    result = PersonResult(
        frame=frame, box=np.zeros((6, 4), np.float32), pose=pose, betas=betas, camera=camera,
        joints3d=pose, joints2d=shaken, iou_before=zeros, iou_after=zeros,
        loss_before=zeros, loss_after=zeros,
        start_pose=pose, start_betas=betas, start_camera=camera,
    )  # fmt: skip
    assert clip.person_of(result) == person
