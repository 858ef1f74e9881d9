from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import roma
import torch
from exporting import FOCAL, FRAMES, VIEW, level_axes, walker

from adaptation.bodies.body import Body
from adaptation.bodies.camera import Perspective
from adaptation.export.placing import place
from adaptation.support.errors import UserError


def test_people_stand_where_they_stood(free_body: Body) -> None:
    result, _, joints = walker(free_body)
    world = place({3: result}, free_body, VIEW)
    (clip,) = world.clips
    _, placed = clip.posed(free_body, range(len(clip)))
    # All joints, so rotations too: from the camera's place, in level axes.
    expected = joints.numpy() @ level_axes().T + world.camera.position
    np.testing.assert_allclose(placed, expected, atol=2e-5)
    assert clip.number == 3 and clip.frame.tolist() == FRAMES.tolist() and not world.notes
    np.testing.assert_allclose(clip.times, FRAMES / 10.0)
    # The camera sees them where the true pinhole camera does.
    true = FOCAL * joints.numpy()[..., :2] / joints.numpy()[..., 2:] + VIEW.centre
    np.testing.assert_allclose(world.camera.project(placed), true, atol=0.05)


def test_people_in_perspective_stand_where_they_were_predicted(free_body: Body) -> None:
    result, local, joints = walker(free_body)
    own = free_body.joints(local.float(), torch.from_numpy(result.betas))
    moved = (joints[:, :1] - own[:, :1])[:, 0].float()
    matrix = torch.tensor([[FOCAL, 0, VIEW.centre[0]], [0, FOCAL, VIEW.centre[1]], [0, 0, 1]]).expand(len(own), 3, 3)
    camera = Perspective.of_crop(matrix, torch.from_numpy(result.box), moved).weak().parameters
    pose = roma.rotmat_to_rotvec(local).float().numpy()
    same = {"intrinsics": matrix.numpy(), "rotation": np.tile(np.eye(3, dtype=np.float32), (len(own), 1, 1))}
    seen = replace(
        result, pose=pose, joints3d=own.numpy(), camera=camera.numpy(), translation=moved.numpy(),
        perspective=np.ones(len(own), np.float32), **same,
    )  # fmt: skip
    (clip,) = (world := place({3: seen}, free_body, VIEW)).clips
    expected = joints.numpy() @ level_axes().T + world.camera.position
    np.testing.assert_allclose(clip.posed(free_body, range(len(clip)))[1], expected, atol=2e-5)


def test_people_stand_on_the_floor(free_body: Body) -> None:
    people = {1: walker(free_body)[0], 2: walker(free_body, 1, depth=11)[0]}
    world = place(people, free_body, VIEW)
    lowest = [clip.posed(free_body, range(len(clip)))[0][..., 1].min(axis=1) for clip in world.clips]
    assert np.median(np.concatenate(lowest)) == pytest.approx(0, abs=1e-6)
    assert world.camera.position[0] == world.camera.position[2] == 0


def test_a_longer_lens_puts_people_farther_away(free_body: Body) -> None:
    result, _, joints = walker(free_body)
    near, far = (place({1: result}, free_body, VIEW, focal=focal) for focal in (FOCAL, 2 * FOCAL))
    depth = [((world.clips[0].roots - world.camera.position) @ world.camera.rotation)[:, 2] for world in (near, far)]
    np.testing.assert_allclose(depth[0], joints[:, 0, 2].numpy(), atol=1e-4)
    np.testing.assert_allclose(depth[1], 2 * depth[0], rtol=1e-6)


def test_bodies_say_where_up_is_if_nothing_else_does(free_body: Body) -> None:
    result, _, _ = walker(free_body)
    world = place({1: result}, free_body, replace(VIEW, down=None, focal=None, rate=0.0))
    assert [note.split(";")[0] for note in world.notes] == [
        "nothing says how fast the frames follow each other",
        "nothing says the focal length",
        "the camera's tilt is unknown",
    ]
    assert world.rate == 25 and world.camera.focal == pytest.approx(np.hypot(1280, 720))
    # Everybody is upright in the truth; the assumed lens turns rays by a few degrees.
    up = world.clips[0].rotations[:, 0, :, 1].mean(axis=0)
    assert up[1] / np.linalg.norm(up) == pytest.approx(1, abs=1e-6)

    lying = result.pose.copy()
    lying[:, 0] = torch.tensor([[0.0, 0, 0], [torch.pi, 0, 0], [0, 0, torch.pi], [0, 0, 0], [torch.pi, 0, 0]])
    joints3d = free_body.joints(torch.from_numpy(lying), torch.from_numpy(result.betas)).numpy()
    world = place({1: replace(result, pose=lying, joints3d=joints3d)}, free_body, replace(VIEW, down=None))
    assert "taken as level" in world.notes[0]


def test_a_shape_per_frame_becomes_one_that_appears_as_large(free_body: Body) -> None:
    result, _, _ = walker(free_body)
    betas = result.betas.copy()
    betas[::2, 0] += 1.5
    own = free_body.joints(torch.zeros(5, 24, 3), torch.from_numpy(betas)).numpy()
    camera = result.camera.copy()
    camera[:, 1:] = -own[:, 0, :2]
    joints3d = free_body.joints(torch.from_numpy(result.pose), torch.from_numpy(betas)).numpy()
    changed = replace(result, betas=betas, camera=camera, joints3d=joints3d)
    world = place({1: changed}, free_body, VIEW)
    (clip,) = world.clips
    assert world.notes[0].startswith("shapes differ from frame to frame in 1 person;")
    np.testing.assert_allclose(clip.betas, betas.mean(axis=0), atol=1e-6)
    # In the image, skeletons keep their size and their place.
    _, joints = clip.posed(free_body, range(5))
    pixels = world.camera.project(joints)
    before = (joints3d[..., :2] + camera[:, None, 1:]) * camera[:, None, :1] * 120
    sizes = [np.ptp(each[..., 1], axis=1) for each in (pixels, before)]
    np.testing.assert_allclose(sizes[0] / sizes[1], 1, atol=0.04)
    middle = changed.box[:, :2] + 120
    np.testing.assert_allclose(pixels[:, 0], middle, atol=0.01)


def test_frames_without_a_size_are_left_out_and_counted(free_body: Body) -> None:
    result, _, _ = walker(free_body)
    camera = result.camera.copy()
    camera[1, 0], camera[3, 0] = 0.0, -0.4
    world = place({1: replace(result, camera=camera)}, free_body, VIEW)
    assert world.clips[0].frame.tolist() == [20, 28, 44]
    assert "person 1: 2 of 5 frames" in world.notes[0]
    box = result.box.copy()
    box[2, 2:], camera[4, 1] = 0, 1e30
    world = place({1: replace(result, camera=camera, box=box)}, free_body, VIEW)
    assert world.clips[0].frame.tolist() == [20]
    camera[:, 0] = 0
    with pytest.raises(UserError, match="no frame of the results can be placed"):
        place({1: replace(result, camera=camera)}, free_body, VIEW)


def test_another_body_model_is_refused(free_body: Body) -> None:
    result, _, _ = walker(free_body)
    wrong = replace(result, joints3d=result.joints3d * np.float32(1.1))
    huge = replace(result, betas=result.betas * np.float32(1e38))
    for results in (wrong, huge):
        with pytest.raises(UserError, match=r"joints of person 4 are .* mm from those of this body model; .*--body"):
            place({4: results}, free_body, VIEW)
