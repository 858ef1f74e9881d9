from __future__ import annotations

from typing import Any

import pytest
import torch
from foreign_networks import capsule
from torch import Tensor, nn

from adaptation.bodies.views import View
from adaptation.regressors.base import wrap
from adaptation.support.errors import UserError


class Gives(nn.Module):
    """Returns what it is given, for any images."""

    def __init__(self, output: Any) -> None:
        super().__init__()
        self.output, self.seen = output, None

    def forward(self, given: Any) -> Any:
        self.seen = given
        return self.output


def rotations(count: int = 24) -> Tensor:
    return torch.eye(3).expand(2, count, 3, 3)


def parameters(count: int = 24, betas: int = 10) -> dict[str, Tensor]:
    pose = rotations(count)
    return {"global_orient": pose[:, :1], "body_pose": pose[:, 1:], "betas": torch.zeros(2, betas)}


IMAGES, VIEW = torch.zeros(2, 3, 48, 48), View.whole(2, 48)
CAMERA = torch.tensor([[0.9, 0.0, 0.1]] * 2)


@pytest.mark.parametrize(
    "output",
    [
        (rotations(), torch.zeros(2, 10), CAMERA, "more"),
        {"pred_cam": CAMERA, "pred_smpl_params": parameters()},
        {"pred_cam": CAMERA[:, None], **parameters()},
        {"pred_rotmat": rotations(), "pred_shape": torch.zeros(2, 10), "pred_cam": CAMERA},
    ],
)
def test_bodies_are_found_in_tuples_and_dictionaries(output: Any) -> None:
    bodies = wrap(Gives(output))(IMAGES, VIEW).bodies
    assert torch.equal(bodies.rotations, rotations()) and bodies.betas.shape == (2, 10)
    assert torch.equal(bodies.camera.parameters, CAMERA)


def test_keys_of_ones_own() -> None:
    output = {"smpl": {"turns": rotations(), "form": torch.ones(2, 10)}, "lens": CAMERA}
    network = wrap(Gives(output), keys={"pose": "smpl.turns", "betas": "smpl.form", "camera": "lens"})
    assert network(IMAGES, VIEW).bodies.betas.sum() == 20
    with pytest.raises(UserError, match=r"keys: unknown part 'lens'; the parts are pose, .*vertices"):
        wrap(Gives(output), keys={"lens": "camera"})


def test_meshes_and_bodies_beside_them() -> None:
    vertices, faces = capsule(6, 5)
    mesh = wrap(Gives((vertices.expand(2, -1, -1), CAMERA)), faces=faces.numpy().astype("uint32"))(IMAGES, VIEW)
    assert mesh.parameters is None and torch.equal(mesh.mesh.faces, faces) and mesh.mesh.vertices.shape == (2, 30, 3)
    with pytest.raises(UserError, match="vertices without rotations and shape"):
        _ = mesh.bodies
    output = {"pred_vertices": vertices.expand(2, -1, -1), "pred_cam": CAMERA, "pred_smpl_params": parameters()}
    both = wrap(Gives(output), faces=faces.tolist())(IMAGES, VIEW)
    assert both.mesh is not None and both.bodies.rotations.shape == (2, 24, 3, 3)


def test_inputs_are_what_the_network_takes() -> None:
    inner = Gives({"pred_cam": CAMERA, "pred_smpl_params": parameters()})
    network = wrap(
        inner, inputs=lambda images, view: {"img": images, "size": view.side}, mean=(0.5,) * 3, std=(0.25,) * 3
    )
    network(IMAGES, VIEW)
    assert torch.equal(inner.seen["img"], torch.full_like(IMAGES, -2)) and inner.seen["size"].tolist() == [48, 48]


@pytest.mark.parametrize(
    ("output", "options", "message"),
    [
        (
            (rotations(22), torch.zeros(2, 10), CAMERA), {},
            r'pose has shape \(2, 22, 3, 3\), expected 24 rotations as "matrix", \(B, 216\); 22 joints are not SMPL',
        ),
        (
            (torch.zeros(2, 72), torch.zeros(2, 10), CAMERA), {},
            r'\(2, 72\), expected 24 rotations as "matrix".*72 numbers are 24 rotations as .*pose="axis_angle"\)',
        ),
        (
            (rotations(), torch.zeros(2, 11), CAMERA), {},
            r"betas has shape \(2, 11\), expected \(2, 10\); shape coefficients of another number belong to another",
        ),
        ((rotations(), torch.zeros(2, 10), torch.zeros(2, 4)), {}, r"camera has shape \(2, 4\), expected \(2, 3\)"),
        (
            {"pred_smpl_params": parameters(), "pred_cam_t": CAMERA}, {},
            r"no camera \(camera, pred_cam, .*\), it has pred_smpl_params.global_orient, .*pred_cam_t; name the key",
        ),
        ({"pred_cam": CAMERA, "pose": None}, {}, "no pose .*it has pred_cam, pose; name the key"),
        ({"pred_cam": CAMERA, "v3d": torch.zeros(2, 9, 3)}, {}, "returns vertices, expected their faces, too"),
        (torch.zeros(2, 3), {}, r"returns a Tensor, expected \(pose, betas, camera\) or a dictionary"),
        ((rotations(), CAMERA), {}, r"returns 2 values, expected \(pose, betas, camera\)"),
        ((rotations().numpy(), torch.zeros(2, 10), CAMERA), {}, "pose is a ndarray, expected a tensor"),
        ((torch.zeros(2, 3, 3), CAMERA), {"faces": [[0, 1, 3]]}, "faces name 4 vertices, and the network predicts 3"),
        ((torch.zeros(3, 9, 3), CAMERA), {"faces": [[0, 1, 3]]}, r"vertices .* \(3, 9, 3\), expected \(2, V, 3\)"),
    ],
)  # fmt: skip
def test_wrong_outputs_end_in_one_line(output: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        wrap(Gives(output), **options)(IMAGES, VIEW)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("faces", [[[0, 1]], [[0.0, 1.0, 2.0]], [[0, -1, 2]], "faces", [[0, 1, 2], [0]]])
def test_wrong_faces_are_refused(faces: Any) -> None:
    with pytest.raises(UserError, match="faces must be"):
        wrap(Gives(()), faces=faces)
    with pytest.raises(UserError, match="pose must be one of matrix, axis_angle, rot6d, got 'quaternion'"):
        wrap(Gives(()), pose="quaternion")  # type: ignore[arg-type]
