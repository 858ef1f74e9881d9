"""Networks of the kinds that people bring, small enough for tests: `make_...` are what --model names."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from adaptation.bodies.body import Body
from adaptation.bodies.rotations import rot6d_to_matrix
from adaptation.regressors.adapters.camera_hmr import CameraHMR
from adaptation.regressors.adapters.hmr2 import HMR2
from adaptation.regressors.adapters.sam_3d_body import SAM3DBody
from adaptation.regressors.adapters.torchscript import TorchScript
from adaptation.regressors.base import wrap
from adaptation.regressors.modes import CropRule

CAMERA = (0.9, 0.0, 0.0)
SMPLX_VERTICES = 10_475


class Trunk(nn.Module):
    """A tiny transformer without batch norms: 16 patches, attention, and numbers near a mean."""

    def __init__(self, mean: Tensor, more: int = 0) -> None:
        super().__init__()
        self.embed = nn.Linear(3, 16)
        self.block = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.head = nn.Linear(16 + more, len(mean))
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)
        self.register_buffer("mean", mean)

    def forward(self, images: Tensor, *more: Tensor) -> Tensor:
        patches = nn.functional.adaptive_avg_pool2d(images, 4).flatten(2).transpose(1, 2)
        features = self.block(self.embed(patches)).mean(1)
        return self.mean + self.head(torch.cat([features, *more], dim=1))


def mean_pose() -> Tensor:
    """144 numbers of an upright body."""
    return torch.tensor([1.0, 0, 0, -1, 0, 0] + [1.0, 0, 0, 1, 0, 0] * 23)


def capsule(rings: int = 419, around: int = 25) -> tuple[Tensor, Tensor]:
    """A tube as tall as a person, of as many vertices as SMPL-X has: vertices (V, 3) and faces (F, 3)."""
    height = torch.linspace(-0.9, 0.9, rings)
    radius = 0.22 * (1 - (height / 0.95) ** 4) + 0.02
    angle = torch.arange(around) * (2 * torch.pi / around)
    circle = torch.stack([angle.cos(), angle.sin()], dim=1)
    across = radius[:, None, None] * circle[None]
    vertices = torch.stack([across[..., 0], height[:, None].expand(-1, around), across[..., 1]], dim=-1).view(-1, 3)
    first = torch.arange(rings - 1)[:, None] * around + torch.arange(around)
    beside = torch.arange(rings - 1)[:, None] * around + (torch.arange(around) + 1) % around
    faces = torch.stack([first, beside, first + around, beside, beside + around, first + around], dim=-1)
    return vertices, faces.view(-1, 3)


class Dictionary(nn.Module):
    """Called like HMR2.0: cuts an eighth of the columns off each side, and returns a dictionary."""

    def __init__(self, with_body: bool = False) -> None:
        super().__init__()
        self.trunk = Trunk(torch.cat([mean_pose(), torch.zeros(10), torch.tensor(CAMERA)]))
        self.smpl = BodyLayer() if with_body else None

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Any]:
        cut = batch["img"].shape[-1] // 8
        numbers = self.trunk(batch["img"][..., cut:-cut])
        rotations = rot6d_to_matrix(numbers[:, :144].view(len(numbers), 24, 6))
        parameters = {"global_orient": rotations[:, :1], "body_pose": rotations[:, 1:], "betas": numbers[:, 144:154]}
        output: dict[str, Any] = {"pred_cam": numbers[:, 154:], "pred_smpl_params": parameters}
        if self.smpl is not None:
            posed = self.smpl(**parameters)
            output |= {"pred_vertices": posed.vertices, "pred_keypoints_3d": posed.joints}
        return output


class BodyLayer(nn.Module):
    """Called like smplx.SMPLLayer, with the free body."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Body.free()
        self.faces = self.body.faces.numpy().astype("uint32")

    def forward(self, global_orient: Tensor, body_pose: Tensor, betas: Tensor) -> Any:
        return self.body(torch.cat([global_orient, body_pose], dim=1), betas)


class Conditioned(nn.Module):
    """Called like CameraHMR: the place of the crop and the focal length are part of its input."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk(torch.cat([mean_pose(), torch.zeros(10), torch.tensor(CAMERA)]), more=3)

    def forward(self, batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        height, width = batch["img_size"].unbind(1)
        focal = batch["cam_int"][:, 0, 0]
        away = batch["box_center"] - torch.stack([width, height], dim=1) / 2
        known = torch.cat([away, batch["box_size"][:, None]], dim=1) / focal[:, None]
        numbers = self.trunk(batch["img"], known)
        rotations = rot6d_to_matrix(numbers[:, :144].view(len(numbers), 24, 6))
        parameters = {"global_orient": rotations[:, :1], "body_pose": rotations[:, 1:], "betas": numbers[:, 144:154]}
        return parameters, numbers[:, 154:], focal


class Mesh(nn.Module):
    """A mesh of SMPL-X's size without a body model: (vertices, camera)."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk(torch.cat([torch.ones(3), torch.tensor(CAMERA)]))
        self.register_buffer("template", capsule()[0])

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        numbers = self.trunk(images)
        return self.template * numbers[:, None, :3], numbers[:, 3:]


class Program(nn.Module):
    """Called like a network of points: vertices before the camera of the crop, in millimetres."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.layers = nn.Sequential(nn.Linear(12, 16), nn.LayerNorm(16), nn.GELU(), nn.Linear(16, 6))
        nn.init.normal_(self.layers[3].weight, std=0.02)
        self.register_buffer("mean", torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0, 1.0]))
        self.register_buffer("template", capsule(40, 12)[0])

    def forward(self, images: Tensor, intrinsics: Tensor) -> dict[str, Tensor]:
        numbers = self.mean + self.layers(self.pool(images).flatten(1))
        depth = intrinsics[:, 0, 0] / images.shape[-1] * 2.2
        place = torch.cat([numbers[:, 3:5], numbers[:, 5:] * depth[:, None]], dim=1)
        return {"vertices3d": 1000 * (self.template * numbers[:, None, :3] + place[:, None])}


class Promptable(nn.Module):
    """Called like SAM 3D Body: a batch of persons, a decoder's output, faces that are a frozen parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk(torch.cat([torch.ones(3), torch.tensor(CAMERA)]))
        vertices, faces = capsule(40, 12)
        self.register_buffer("template", vertices)
        self.head_pose = nn.Module()
        self.head_pose.faces = nn.Parameter(faces, requires_grad=False)
        self.head_pose.constant = nn.Parameter(torch.ones(3), requires_grad=False)
        self.persons = 0

    def _initialize_batch(self, batch: dict[str, Tensor]) -> None:
        self.persons = batch["img"].shape[1]

    def forward_step(self, batch: dict[str, Tensor], decoder_type: str) -> dict[str, Any]:
        assert decoder_type == "body" and self.persons == 1 and not batch["mask"].any()
        numbers = self.trunk(batch["img"][:, 0])
        vertices = self.template * numbers[:, None, :3]
        scale, shift = numbers[:, 3], numbers[:, 4:]
        centre, side, matrix = batch["bbox_center"][:, 0], batch["bbox_scale"][:, 0, 0], batch["cam_int"]
        across = shift + 2 * (centre - matrix[:, :2, 2]) / (side * scale)[:, None]
        moved = torch.cat([across, (2 * matrix[:, 0, 0] / (side * scale))[:, None]], dim=1)
        return {"mhr": {"pred_vertices": vertices, "pred_keypoints_3d": vertices[:, ::12], "pred_cam_t": moved}}


def make_dictionary() -> nn.Module:
    torch.manual_seed(0)
    network = HMR2(Dictionary())
    network.crop = CropRule(48, aspect=0.75)
    return network


def make_dictionary_with_mesh() -> nn.Module:
    torch.manual_seed(0)
    network = HMR2(Dictionary(with_body=True))
    network.crop = CropRule(48, aspect=0.75)
    return network


def make_conditioned() -> nn.Module:
    torch.manual_seed(0)
    network = CameraHMR(Conditioned())
    network.crop = CropRule(48)
    return network


def make_mesh() -> nn.Module:
    torch.manual_seed(0)
    return wrap(Mesh(), faces=capsule()[1])


def make_program() -> nn.Module:
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls TorchScript deprecated; programs of it are still published
        program = torch.jit.script(Program().eval())
    return TorchScript(program, capsule(40, 12)[1], unit=0.001)


def make_promptable() -> nn.Module:
    torch.manual_seed(0)
    return SAM3DBody(Promptable(), size=48)
