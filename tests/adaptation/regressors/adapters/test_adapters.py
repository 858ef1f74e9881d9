"""Adapters on stand-ins of the documented shapes; docs/your_model.md says which were compared with real networks."""

from __future__ import annotations

import copy
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from foreign_networks import BodyLayer, Conditioned, Dictionary, Program, Promptable, capsule
from torch import Tensor, nn

from adaptation.adapting.algorithm1 import choose_parameters, constants_of
from adaptation.bodies.camera import crop_to_frame
from adaptation.bodies.views import Margins, View
from adaptation.regressors.adapters.camera_hmr import CameraHMR
from adaptation.regressors.adapters.hmr2 import HMR2
from adaptation.regressors.adapters.sam_3d_body import SAM3DBody
from adaptation.regressors.adapters.torchscript import TorchScript
from adaptation.regressors.base import crop_rule, uses_view, visible
from adaptation.regressors.mirrored import Mirrored
from adaptation.regressors.modes import CropRule
from adaptation.support.errors import UserError


def images(size: int = 256) -> Tensor:
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))


def view() -> View:
    intrinsics = torch.tensor([[[1000.0, 0, 600], [0, 1000, 380], [0, 0, 1]]] * 2)
    return View.of(
        torch.tensor([[100.0, 50, 300, 300], [700, 200, 180, 180]]), torch.tensor([[1280.0, 720]] * 2), intrinsics
    )


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def test_hmr2() -> None:
    inner = Dictionary(with_body=True)
    network = HMR2(inner).eval()
    prediction = network(images(), view())
    normalised = (images() - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor([0.229, 0.224, 0.225])[
        :, None, None
    ]
    given = inner({"img": normalised})
    scale, *shift = given["pred_cam"].unbind(1)
    camera, mesh = prediction.bodies.camera, prediction.mesh
    torch.testing.assert_close(camera.translation, torch.stack([*shift, 2 * 5000 / (256 * scale)], dim=1))
    assert mesh is not None and torch.equal(mesh.vertices, given["pred_vertices"])
    # The project's own projection: focal length 5000 / 256, in crops from -0.5 to 0.5.
    seen = given["pred_keypoints_3d"] + camera.translation[:, None]
    expected = 256 * (seen[..., :2] / seen[..., 2:] * 5000 / 256 + 0.5)
    torch.testing.assert_close(mesh.camera.project(mesh.joints, 256), expected, atol=1e-3, rtol=0)
    margins = images()
    margins[..., :32], margins[..., -32:] = 0, 1
    assert torch.equal(network(margins, view()).mesh.vertices, mesh.vertices)
    assert visible(network) == Margins(left=0.125, right=0.125) and not uses_view(network)
    assert crop_rule(Mirrored(network)) == CropRule(256, 1.0, 0.75)
    without = HMR2(Dictionary())(images(), view())
    assert without.mesh is None and without.bodies.rotations.shape == (2, 24, 3, 3)


def test_camera_hmr_places_bodies_by_cliffs_formula() -> None:
    inner = Conditioned()
    network = CameraHMR(inner).eval()
    bodies = network(images(), view()).bodies
    batch = {
        "img": network.normalised(images()),
        "box_center": torch.tensor([[250.0, 200], [790, 290]]),
        "box_size": torch.tensor([300.0, 180]),
        "img_size": torch.tensor([[720.0, 1280]] * 2),
        "cam_int": view().intrinsics,
    }
    parameters, camera, focal = inner(batch)
    torch.testing.assert_close(bodies.rotations[:, 1:], parameters["body_pose"])
    s, tx, ty = camera.unbind(1)
    side = batch["box_size"] * s
    away = 2 * (batch["box_center"] - torch.tensor([640.0, 360])) / side[:, None]
    expected = torch.stack([tx + away[:, 0], ty + away[:, 1], 2 * focal / side], dim=1)
    torch.testing.assert_close(bodies.camera.translation, expected)
    other = View.of(view().box, view().frame_size, view().intrinsics * torch.tensor([0.5, 0.5, 1.0])[:, None])
    assert not torch.equal(network(images(), other).bodies.rotations, bodies.rotations)
    assert uses_view(network)


def test_camera_hmr_with_a_body_layer() -> None:
    inner, layer = Conditioned(), BodyLayer()
    plain, posed = CameraHMR(inner)(images(), view()).bodies, CameraHMR(inner, layer)(images(), view())
    assert posed.mesh is not None and posed.mesh.body_joints is not None
    own = layer.body(plain.rotations, plain.betas)
    torch.testing.assert_close(posed.mesh.vertices, own.vertices)
    torch.testing.assert_close(posed.mesh.body_joints, own.joints)
    assert not [name for name in CameraHMR(inner, layer).state_dict() if "layer" in name]
    with pytest.raises(UserError, match="SMPL-X parameters need their body model: give layer="):
        CameraHMR.load(Path("nowhere.ckpt"), model="smplx")


class SmplxLayer(nn.Module):
    """A body model of 22 joints and another number of vertices."""

    def __init__(self) -> None:
        super().__init__()
        self.template, self.faces = capsule()
        self.register_buffer("moved", torch.zeros(1))

    def forward(self, global_orient: Tensor, body_pose: Tensor, betas: Tensor) -> Any:
        turned = self.template @ global_orient[:, 0].mT
        return types.SimpleNamespace(vertices=turned, joints=turned[:, :55])


class ConditionedX(Conditioned):
    """CameraHMR's SMPL-X: 21 joints beside the root, 16 shape coefficients."""

    def forward(self, batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        parameters, camera, focal = super().forward(batch)
        count = len(camera)
        return (
            {**parameters, "body_pose": parameters["body_pose"][:, :21], "betas": torch.zeros(count, 16)},
            camera,
            focal,
        )


def test_camera_hmr_of_smplx_predicts_a_mesh() -> None:
    network = copy.deepcopy(CameraHMR(ConditionedX(), SmplxLayer()))
    prediction = network(images(), view())
    assert prediction.parameters is None and prediction.mesh is not None
    assert prediction.mesh.vertices.shape == (2, 10_475, 3) and prediction.mesh.body_joints is None
    with pytest.raises(UserError, match=r"22 joints are not SMPL's 24; add the missing ones, or return vertices"):
        CameraHMR(ConditionedX())(images(), view())


def test_sam_3d_body() -> None:
    inner = Promptable()
    network = SAM3DBody(inner, size=512)
    prediction = network(images(512), view())
    mesh = prediction.mesh
    assert mesh is not None and prediction.parameters is None and mesh.joints is not None
    # K (X + t), in frame pixels.
    seen = (mesh.vertices + mesh.camera.translation[:, None]) @ view().intrinsics.mT
    pixels = crop_to_frame(mesh.camera.project(mesh.vertices, 512), view().box, 512)
    torch.testing.assert_close(pixels, seen[..., :2] / seen[..., 2:], atol=1e-2, rtol=0)
    affine = network._batch(images(512), view())["affine_trans"][:, 0]
    corner = affine @ torch.tensor([400.0, 350.0, 1.0])  # the lower right corner of the first box
    torch.testing.assert_close(corner[0], torch.tensor([512.0, 512.0]))
    assert uses_view(network) and crop_rule(network) == CropRule(512, 1.25, 0.75) and visible(network) is None
    settings = types.SimpleNamespace(IMAGE_SIZE=[512, 512], BACKBONE=types.SimpleNamespace(TYPE="vit_hmr_512_384"))
    inner.cfg = types.SimpleNamespace(MODEL=settings)
    assert visible(SAM3DBody(inner)) == Margins(left=0.125, right=0.125)
    del inner.cfg
    with pytest.raises(UserError, match="no settings that say the size of its crops; give size="):
        SAM3DBody(inner)


def test_what_came_frozen_stays_frozen() -> None:
    network = SAM3DBody(Promptable(), size=48)
    chosen = choose_parameters(network, "all", constants_of(network))
    head = network.network.head_pose
    assert not any(parameter is each for parameter in chosen for each in (head.faces, head.constant))
    assert len(chosen) == sum(parameter.requires_grad for parameter in network.parameters()) > 10
    network.requires_grad_(False)
    assert (
        len(choose_parameters(network, "all", constants_of(network))) == len(chosen) + 1
    )  # all but the faces, which are no floats


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_programs_of_torchscript(tmp_path: Path) -> None:
    inner, faces = Program().eval(), capsule(40, 12)[1]
    torch.jit.script(inner).save(str(tmp_path / "program.ts"))
    network = TorchScript.load(tmp_path / "program.ts", faces, unit=0.001)
    mesh = network(images(48), view()).mesh
    given = inner(images(48), view().in_crop(48))["vertices3d"]
    assert mesh is not None
    torch.testing.assert_close(mesh.vertices + mesh.camera.translation[:, None], given / 1000)
    torch.testing.assert_close(mesh.vertices.mean(1), torch.zeros(2, 3), atol=1e-5, rtol=0)
    own = given @ view().in_crop(48).mT
    expected = own[..., :2] / own[..., 2:]
    torch.testing.assert_close(mesh.camera.project(mesh.vertices, 48), expected, atol=1e-2, rtol=0)
    with pytest.raises(UserError, match="has no verts, it has vertices3d; name the key with"):
        TorchScript.load(tmp_path / "program.ts", faces, vertices="verts")(images(48), view())
    torch.save({"a": torch.ones(2)}, tmp_path / "weights.pt")
    with pytest.raises(UserError, match="expected a program of TorchScript"):
        TorchScript.load(tmp_path / "weights.pt", faces)


class Settings(dict[str, Any]):
    """Stands in for yacs.config.CfgNode, which checkpoints of Lightning hold."""

    def __setstate__(self, state: Any) -> None:
        raise AssertionError("nothing in a checkpoint may run")


def public_project(monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a stand-in of 4D-Humans."""
    node = types.SimpleNamespace(BACKBONE={"PRETRAINED_WEIGHTS": "nowhere.pth"})
    settings = types.SimpleNamespace(MODEL=node, defrost=lambda: None, freeze=lambda: None)

    def build(config: Any, init_renderer: bool) -> nn.Module:
        assert config.MODEL.BACKBONE == {} and not init_renderer
        return Dictionary(with_body=True)

    modules = {
        "hmr2": types.ModuleType("hmr2"),
        "hmr2.configs": types.SimpleNamespace(get_config=lambda path, update_cachedir: settings),
        "hmr2.models": types.SimpleNamespace(HMR2=build),
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)  # type: ignore[arg-type]


def test_checkpoints_are_loaded_without_running_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    public_project(monkeypatch)
    weights = {**Dictionary(with_body=True).state_dict(), "discriminator.w": torch.ones(2)}
    held = Settings(A=Settings(B=[1, 2]))
    held.text = "frozen"
    torch.save({"state_dict": weights, "hyper_parameters": {"cfg": held}, "epoch": 35}, tmp_path / "hmr2.ckpt")
    torch.manual_seed(7)
    network = HMR2.load(tmp_path / "hmr2.ckpt")
    assert torch.equal(network.network.trunk.head.weight, weights["trunk.head.weight"]) and not network.training
    for change, message in (
        ({"trunk.head.weight": torch.ones(3, 16)}, r"trunk.head.weight has shape \(3, 16\), expected \(157, 16\)"),
        ({"trunk.head.weight": None}, "does not fit Dictionary: it lacks trunk.head.weight"),
    ):
        torch.save({"state_dict": {**weights, **change}}, tmp_path / "other.ckpt")
        with pytest.raises(UserError, match=message):
            HMR2.load(tmp_path / "other.ckpt")
    torch.save({"epoch": 3}, tmp_path / "empty.ckpt")
    with pytest.raises(UserError, match="holds no weights under state_dict"):
        HMR2.load(tmp_path / "empty.ckpt")


def test_projects_that_are_not_installed_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"hmr2.configs cannot be imported .*; install github.com/shubham-goel/4D-Humans"
    ):
        HMR2.load(tmp_path / "hmr2.ckpt")
