from __future__ import annotations

import torch

from adaptation.bodies.camera import (
    WeakPerspective,
    crop_to_frame,
    fit_camera_to_bbox,
    frame_to_crop,
    mask_bounds,
    project,
)


def test_project_by_hand() -> None:
    camera = WeakPerspective(torch.tensor([[0.5, 0.2, -0.4]]))
    points = torch.tensor([[[-0.2, 0.4, 9.0], [1.8, 0.4, -9.0], [-0.2, -1.6, 0.0]]])
    # The point at (-tx, -ty) is the crop's centre; 1 / s metres reach its edge; y runs down.
    expected = torch.tensor([[[56.0, 56.0], [112.0, 56.0], [56.0, 0.0]]])
    torch.testing.assert_close(project(points, camera, 112), expected)
    torch.testing.assert_close(project(points[..., :2], camera, 112), expected)


def test_projection_uses_each_camera_for_its_own_points() -> None:
    points = torch.randn(3, 5, 3)
    camera = WeakPerspective(torch.tensor([[0.9, 0.0, 0.1], [0.5, 0.3, 0.0], [1.2, -0.1, 0.2]]))
    together = project(points, camera, 64)
    for i in range(3):
        torch.testing.assert_close(together[i : i + 1], project(points[i : i + 1], camera.select(slice(i, i + 1)), 64))


def test_crop_to_frame_by_hand_and_back() -> None:
    points = torch.tensor([[[0.0, 0.0], [112.0, 56.0]]])
    box = torch.tensor([[-10.0, 20.0, 56.0, 56.0]])
    frame = crop_to_frame(points, box, 112)
    torch.testing.assert_close(frame, torch.tensor([[[-10.0, 20.0], [46.0, 48.0]]]))
    torch.testing.assert_close(frame_to_crop(frame, box, 112), points)
    torch.testing.assert_close(crop_to_frame(points, box[0], 112), frame)


def test_mask_bounds() -> None:
    masks = torch.zeros(4, 1, 6, 8)
    masks[0, 0, 2, 3] = 1
    masks[1, 0, 1:5, 2:7] = 1
    masks[1, 0, 2, 4] = 0
    masks[2] = 1
    expected = torch.tensor([[3.0, 2, 4, 3], [2, 1, 7, 5], [0, 0, 8, 6], [0, 0, 8, 6]])
    torch.testing.assert_close(mask_bounds(masks), expected)
    torch.testing.assert_close(mask_bounds(masks[:, 0].bool()), expected)


def test_fitted_camera_recovers_the_true_one() -> None:
    points = torch.randn(4, 30, 3, dtype=torch.float64)
    camera = torch.tensor([[0.9, 0.1, -0.2], [0.3, 0, 0], [1.5, -0.3, 0.4], [0.7, 2, 1]], dtype=torch.float64)
    pixels = project(points, WeakPerspective(camera), 96)
    bounds = torch.cat([pixels.amin(dim=1), pixels.amax(dim=1)], dim=1)
    torch.testing.assert_close(fit_camera_to_bbox(points, bounds, 96).parameters, camera)


def test_fitted_camera_is_led_by_the_longer_side_and_centres() -> None:
    # A body 2 m tall and 0.2 m wide, and a box of 40 by 60 pixels.
    points = torch.tensor([[[-0.1, -1.0, 0.0], [0.1, 1.0, 0.0]]])
    bounds = torch.tensor([[30.0, 20.0, 70.0, 80.0]])
    camera = fit_camera_to_bbox(points, bounds, 100)
    pixels = project(points, camera, 100)[0]
    torch.testing.assert_close(pixels.mean(dim=0), torch.tensor([50.0, 50.0]))
    height = pixels[1, 1] - pixels[0, 1]
    assert 60 <= height < 64


def test_fitted_camera_of_a_single_point_is_finite() -> None:
    camera = fit_camera_to_bbox(torch.zeros(1, 1, 3), torch.tensor([[10.0, 10.0, 10.0, 10.0]]), 64)
    assert camera.finite()
    assert camera.scale > 0
