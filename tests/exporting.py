"""A recording whose people, camera and results are known exactly, for tests of exports."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import roma
import torch

from adaptation.bodies.body import Body
from adaptation.bodies.poses import facing
from adaptation.recording.results import PersonResult
from adaptation.recording.tilt.camera_tilt import down_of
from adaptation.recording.view import KEY, RecordingView
from adaptation.support.files import MARKER

FOCAL, SIZE, PITCH, ROLL = 900.0, (1280, 720), 0.3, 0.1
VIEW = RecordingView(SIZE, 10.0, "free", FOCAL, (640.0, 360.0), down_of(PITCH, ROLL))
FRAMES = np.array([20, 24, 28, 36, 44])


def ray_turn(point: np.ndarray) -> torch.Tensor:
    """Smallest rotation from the optical axis to the ray through a point in camera axes, by its definition."""
    ray = torch.from_numpy(point / np.linalg.norm(point))
    axis = torch.linalg.cross(torch.tensor([0.0, 0.0, 1.0]).double(), ray)
    angle = torch.arccos(ray[2])
    return roma.rotvec_to_rotmat(axis / axis.norm().clamp(min=1e-12) * angle)


def walker(
    body: Body, seed: int = 0, frames: np.ndarray = FRAMES, depth: float = 8.0
) -> tuple[PersonResult, torch.Tensor, torch.Tensor]:
    """A person under weak perspective, with true rotations (N, J, 3, 3) and joints (N, J, 3) in camera axes."""
    rng, count = np.random.default_rng(seed), len(frames)
    local = roma.rotvec_to_rotmat(torch.from_numpy(rng.normal(0, 0.3, (count, 24, 3))))
    yaw = torch.linspace(0.2, 1.2, count).double()
    local[:, 0] = roma.rotvec_to_rotmat(facing(yaw, torch.tensor(PITCH).double(), torch.tensor(ROLL).double()))
    betas = torch.from_numpy(np.tile(rng.normal(0, 0.5, 10), (count, 1))).float()
    roots = np.stack(
        [np.linspace(-2, 2.5, count), np.linspace(0.5, 0.8, count), np.linspace(depth, depth + 1, count)], 1
    )
    rest = body.joints(torch.zeros(count, 24, 3), betas)
    joints = body.joints(local.float(), betas).double()
    joints = joints - joints[:, :1] + torch.from_numpy(roots)[:, None]

    # The crop is centred on the pelvis; under weak perspective its camera maps the body model's origin, not the pelvis.
    side = 240.0
    pelvis = FOCAL * roots[:, :2] / roots[:, 2:] + VIEW.centre
    box = np.concatenate([pelvis - side / 2, np.full((count, 2), side)], axis=1)
    scale = 2 * FOCAL / (side * roots[:, 2])
    camera = np.concatenate([scale[:, None], -rest[:, 0, :2].numpy()], axis=1)
    seen = local.clone()
    seen[:, 0] = torch.stack([ray_turn(root).mT for root in roots]) @ local[:, 0]
    zeros = np.zeros((count, 24, 2), np.float32)
    arrays = {
        "frame": frames, "box": box, "pose": roma.rotmat_to_rotvec(seen).numpy(), "betas": betas.numpy(),
        "camera": camera, "joints3d": body.joints(seen.float(), betas).numpy(), "joints2d": zeros,
        **dict.fromkeys(("iou_before", "iou_after", "loss_before", "loss_after"), np.ones(count)),
    }  # fmt: skip
    arrays |= {f"start_{name}": arrays[name] for name in ("pose", "betas", "camera")}
    typed = {name: value if name == "frame" else value.astype(np.float32) for name, value in arrays.items()}
    return PersonResult(**typed), local, joints


def write_folder(folder: Path, people: dict[int, PersonResult], view: RecordingView = VIEW) -> Path:
    """Write a result folder as far as exports read it."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, result in people.items():
        result.save(folder / f"person_{number:02d}.npz")
    (folder / MARKER).write_text(json.dumps({KEY: view.as_json()}))
    return folder


def level_axes() -> np.ndarray:
    """World axes as rows in camera axes: the camera pitched and rolled by known angles."""
    sine, cosine = math.sin(ROLL), math.cos(ROLL)
    up = -np.array(down_of(PITCH, ROLL))
    right = np.array([1.0, 0.0, 0.0]) - up[0] * up
    right /= np.linalg.norm(right)
    assert abs(right @ [cosine, sine, 0.0]) > 0.9
    return np.stack([right, up, np.cross(right, up)])
