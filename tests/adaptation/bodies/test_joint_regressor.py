from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from adaptation.bodies.body import Body
from adaptation.bodies.camera import WeakPerspective, fit_camera_to_keypoints
from adaptation.bodies.joint_regressor import load_regressor
from adaptation.bodies.joint_sets import H36M, SMPL
from adaptation.support.errors import UserError


def regressor_of(body: Body) -> np.ndarray:
    """Weights that find the vertex nearest to each of SMPL's joints of the same name."""
    rest = body(torch.zeros(1, 24, 3), torch.zeros(1, 10))
    weights = np.zeros((len(H36M), body.vertex_count))
    for place, name in enumerate(H36M.joints):
        near = name if name in SMPL.joints else {"spine": "spine2", "jaw": "head"}[name]
        away = (rest.vertices[0] - rest.joints[0, SMPL.joints.index(near)]).norm(dim=1)
        weights[place, int(away.argmin())] = 1
    return weights


def test_order_is_recognised_on_the_body(body: Body, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    weights = regressor_of(body)
    np.save(tmp_path / "r.npy", weights)
    caplog.set_level("INFO", "adaptation.found")
    np.testing.assert_array_equal(load_regressor(tmp_path / "r.npy", body), weights)
    assert not caplog.text
    other = weights[[0, 4, 5, 6, 1, 2, 3, *range(7, 17)]]  # right legs first, as in I2L-MeshNet
    np.save(tmp_path / "other.npy", other)
    np.testing.assert_array_equal(load_regressor(tmp_path / "other.npy", body), weights)
    assert "left and right legs are in the other order" in caplog.text and "arms" not in caplog.text


def test_other_arrays_are_refused(body: Body, tmp_path: Path) -> None:
    np.save(tmp_path / "r.npy", np.zeros((17, 6890)))
    with pytest.raises(UserError, match=r"found float64 \(17, 6890\), expected the weights of 17 joints and 1229 vert"):
        load_regressor(tmp_path / "r.npy", body)
    np.save(tmp_path / "r.npy", np.zeros((17, body.vertex_count)))
    with pytest.raises(UserError, match="must sum to 1"):
        load_regressor(tmp_path / "r.npy", body)
    np.savez(tmp_path / "r.npz", a=np.zeros(3))
    with pytest.raises(UserError, match="found an archive"):
        load_regressor(tmp_path / "r.npz", body)


def test_cameras_from_keypoints() -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(4, 6, 3, generator=generator)
    truth = torch.tensor([[0.7, 0.2, -0.3]] * 4)
    seen = WeakPerspective(truth).project(points, 96)
    keypoints = torch.cat([seen, torch.ones(4, 6, 1)], dim=2)
    keypoints[1, 0] = torch.tensor([5000.0, 0, 0])  # unknown
    keypoints[2, 3:, 2] = 0  # three keypoints are too few
    keypoints[3, :, :2] = 96 - keypoints[3, :, :2]  # seen in a mirror: no positive scale
    camera, known = fit_camera_to_keypoints(points, keypoints, 96)
    assert known.tolist() == [True, True, False, False]
    torch.testing.assert_close(camera.parameters[:2], truth[:2])
    assert camera.parameters[2:].tolist() == [[1, 0, 0]] * 2
