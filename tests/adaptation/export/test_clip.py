from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import roma
import torch

from adaptation.export.clip import World
from adaptation.support.errors import UserError


def test_gaps_are_interpolated(world: World) -> None:
    clip = world.clips[0]
    even = clip.uniform()
    assert clip.step == 4 and even.frame.tolist() == [20, 24, 28, 32, 36, 40, 44]
    known = [even.frame.tolist().index(frame) for frame in clip.frame]
    np.testing.assert_allclose(even.rotations[known], clip.rotations, atol=1e-12)
    np.testing.assert_allclose(even.roots[known], clip.roots, atol=1e-12)
    np.testing.assert_allclose(even.times, even.frame / world.rate)
    np.testing.assert_allclose(even.roots[3], (clip.roots[2] + clip.roots[3]) / 2)
    turns = [
        roma.rotmat_geodesic_distance(torch.from_numpy(even.rotations[3]), torch.from_numpy(clip.rotations[index]))
        for index in (2, 3)
    ]
    whole = roma.rotmat_geodesic_distance(*(torch.from_numpy(clip.rotations[index]) for index in (2, 3)))
    for turn in turns:
        torch.testing.assert_close(turn, whole / 2)


def test_gaps_without_end_are_refused(world: World) -> None:
    clip = world.clips[0]
    with pytest.raises(UserError, match=r"person 1: frames 20 to \d+ in steps of 4 are more than 1,000,000"):
        replace(clip, frame=np.array([20, 24, 28, 36, 4 * 10**12])).uniform()


def test_even_clips_and_single_frames_stay_as_they_are(world: World) -> None:
    clip = world.clips[0]
    index = [0, 1, 2]
    even = replace(
        clip, frame=clip.frame[index], times=clip.times[index], rotations=clip.rotations[index], roots=clip.roots[index]
    )
    assert even.uniform() is even
    one = replace(even, frame=even.frame[:1], times=even.times[:1], rotations=even.rotations[:1], roots=even.roots[:1])
    assert one.uniform() is one and one.step == 1


def test_one_person_of_a_world(world: World) -> None:
    assert [clip.number for clip in world.of(2).clips] == [2]
    assert world.of(2).camera is world.camera
