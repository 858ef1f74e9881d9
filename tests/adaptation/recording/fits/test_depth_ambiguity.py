import numpy as np
import torch

from adaptation.bodies.body import Body
from adaptation.bodies.poses import facing, sample_poses
from adaptation.bodies.reflection import reflect_in_depth
from adaptation.recording.fits.depth_ambiguity import choose
from adaptation.recording.options import TemporalSettings
from topokernels import m2s


def silhouettes(body: Body, pose: torch.Tensor) -> torch.Tensor:
    vertices = body(pose, torch.zeros(len(pose), 10)).vertices
    return m2s(vertices[..., :2] * 50 + 64, body.faces, 128, sigma=1.0)


def test_depth_reflection_keeps_the_silhouette_and_swaps_the_sides():
    body = Body.free()
    pose = sample_poses(6, torch.Generator().manual_seed(0))
    pose[:, 0] = torch.stack([facing(yaw, pitch=0.2) for yaw in (-2.0, -1.0, 0.0, 0.7, 1.6, 3.0)])
    reflected = reflect_in_depth(pose)
    a, b = silhouettes(body, pose), silhouettes(body, reflected)
    iou = (a * b).sum((1, 2, 3)) / torch.maximum(a, b).sum((1, 2, 3))
    assert iou.min() > 0.97  # the template is not perfectly symmetric

    joints = body(pose, torch.zeros(6, 10)).joints
    mirrored = body(reflected, torch.zeros(6, 10)).joints
    left_knee, right_knee = 4, 5
    assert torch.allclose(joints[:, left_knee, :2], mirrored[:, right_knee, :2], atol=0.03)
    depth = joints[:, :, 2] - joints[:, :1, 2]
    assert torch.allclose(depth[:, left_knee], -(mirrored[:, right_knee, 2] - mirrored[:, 0, 2]), atol=0.03)


def test_reflecting_twice_gives_the_pose_back():
    body = Body.free()
    pose = sample_poses(4, torch.Generator().manual_seed(1))
    pose[:, 0] = facing(0.5)
    twice = reflect_in_depth(reflect_in_depth(pose))
    betas = torch.zeros(4, 10)
    assert torch.allclose(body(twice, betas).joints, body(pose, betas).joints, atol=1e-4)


def candidates(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Two candidates per frame that face right and left, in an order that changes from frame to frame."""
    order = np.arange(count) % 2
    facing_x = np.where(order[:, None] == np.arange(2), 1.0, -1.0)
    joints = np.zeros((count, 2, 1, 3))
    joints[..., 0, 2] = facing_x
    return joints, np.stack([facing_x, np.zeros_like(facing_x)], axis=-1)


def test_a_walker_faces_where_they_go():
    joints, facing_of = candidates(7)
    frames = np.arange(7) * 10
    for direction, expected in ((0.03, 1.0), (-0.03, -1.0)):
        picked = choose(frames, np.zeros((7, 2)), joints, facing_of, np.tile([direction, 0.0], (7, 1)))
        assert (facing_of[np.arange(7), picked, 0] == expected).all()


def test_motion_is_smooth_where_nobody_travels():
    joints, facing_of = candidates(7)
    picked = choose(np.arange(7), np.zeros((7, 2)), joints, facing_of, np.zeros((7, 2)))
    assert len(set(facing_of[np.arange(7), picked, 0])) == 1


def test_moving_down_in_the_image_is_coming_closer():
    facing_of = np.array([[[0.0, 1.0], [0.0, -1.0]]])  # away, towards
    for down, expected in ((0.02, 1), (-0.02, 0)):
        picked = choose(
            np.array([0]),
            np.zeros((1, 2)),
            np.zeros((1, 2, 1, 3)),
            facing_of,
            np.array([[0.0, down]]),
            TemporalSettings(),
        )
        assert picked.tolist() == [expected]


def test_own_cost_counts():
    costs = np.array([[0.0, 5.0], [5.0, 0.0]])
    picked = choose(np.array([0, 1]), costs, np.zeros((2, 2, 1, 3)), np.zeros((2, 2, 2)), np.zeros((2, 2)))
    assert picked.tolist() == [0, 1]
