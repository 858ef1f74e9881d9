"""Errors of a regressor on a labelled crop set, per image and per joint."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from adaptation.bodies.body import Body
from adaptation.bodies.joint_sets import LSP_JOINTS, SMPL
from adaptation.bodies.parameters import Bodies
from adaptation.bodies.renderer import exact_silhouette
from adaptation.data.samples import Samples
from adaptation.evaluation.metrics import mpjpe, pa_mpjpe, silhouette_iou
from adaptation.regressors.base import Prediction
from adaptation.regressors.running import predict_in

Array = npt.NDArray[np.float32]

MEASURES = {"mpjpe": "mpjpe_mm", "pa_mpjpe": "pa_mpjpe_mm", "iou": "iou"}
"""Measures of each image, and the headings of their columns in files."""
PROTOCOL = (
    "14 joints as in LSP, taken from the body's 24, with its head joint for the top of the head; MPJPE after aligning "
    "the pelvises, PA-MPJPE after a similarity transform without reflection; means over images, millimetres"
)
"""How errors are measured, in words; shown and stored with them."""


@dataclass(frozen=True, eq=False)
class Scores:
    """Errors of N images. Those of joints are None for networks that predict none of SMPL's joints.

    Attributes:
        mpjpe: (N,) MPJPE, millimetres.
        pa_mpjpe: (N,) PA-MPJPE, millimetres.
        iou: (N,) IoU of the predicted silhouette and the exact mask, 0 to 1.
        joints: (N, J) error of each joint after aligning the pelvises, millimetres.
    """

    mpjpe: Array | None
    pa_mpjpe: Array | None
    iou: Array
    joints: Array | None

    def columns(self) -> dict[str, Array]:
        """Return what was measured of each image, by the names "mpjpe", "pa_mpjpe" and "iou"."""
        return {name: each for name in MEASURES if (each := getattr(self, name)) is not None}

    def summary(self) -> dict[str, float]:
        """Return the means over images of what was measured."""
        return {name: float(values.mean()) for name, values in self.columns().items()}

    def write(self, folder: Path) -> None:
        """Write scores.json (means and protocol), images.csv (each image) and, of joints, joints.csv (mean of each).

        Args:
            folder: existing folder to write to.
        """
        text = {"protocol": PROTOCOL, "images": len(self.iou), **self.summary()}
        (folder / "scores.json").write_text(json.dumps(text, indent=2) + "\n")
        with (folder / "images.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["image", *(MEASURES[name] for name in self.columns())])
            for number, row in enumerate(zip(*self.columns().values(), strict=True)):
                writer.writerow([number, *(f"{value:.3f}" for value in row)])
        if self.joints is None:
            return
        with (folder / "joints.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["joint", "error_mm", "in_protocol"])
            for joint, name in enumerate(SMPL.joints):
                # All joints are listed; the protocol's means are over 14 of them.
                writer.writerow([name, f"{self.joints[:, joint].mean():.2f}", int(joint in LSP_JOINTS)])


@torch.no_grad()
def evaluate(network: nn.Module, samples: Samples, body: Body, *, device: str = "cpu", batch: int = 64) -> Scores:
    """Measure a network's predictions on labelled crops.

    Args:
        network: a `MeshNetwork`; it is moved to the device and set to evaluation mode.
        samples: crops with labels and exact masks.
        body: body model of the network and of the labels; it is moved to the device.
        device: "cpu", "cuda" or "cuda:N".
        batch: crops at a time.

    Raises:
        UserError: the set has no labels or masks, the labels belong to another body model, or the network's output
            cannot be used.
    """
    # First, so that missing labels end the command before any prediction.
    truth = samples.bodies(body)
    network, body = network.to(device).eval(), body.to(device)
    parts = []
    for index in torch.arange(len(samples)).split(batch):
        crops = samples.image_batch(index.numpy(), device), samples.view_batch(index.numpy(), device)
        prediction, masks = predict_in("float32", network, *crops), samples.mask_batch(index.numpy(), device=device)
        parts.append(_compare(prediction, truth.select(index).to(device), masks, body))
    return _scores(parts)


@torch.no_grad()
def evaluate_bodies(bodies: Bodies, index: npt.NDArray[np.int64], samples: Samples, body: Body) -> Scores:
    """Measure bodies that were fitted to labelled crops.

    Args:
        bodies: N bodies, on the CPU.
        index: (N,) the crop of each.
        samples: crops with labels and exact masks.
        body: body model of the bodies and of the labels.

    Raises:
        UserError: the set has no labels or masks, or the labels belong to another body model.
    """
    truth = samples.bodies(body)
    parts = []
    for rows in torch.arange(len(index)).split(64):
        crops = index[rows.numpy()]
        known = truth.select(torch.from_numpy(crops))
        parts.append(_compare(Prediction(bodies.select(rows)), known, samples.mask_batch(crops), body))
    return _scores(parts)


def _compare(prediction: Prediction, truth: Bodies, masks: Tensor, body: Body) -> tuple[Tensor, ...]:
    """Return IoU, MPJPE and PA-MPJPE, (B,) each, and the errors of the joints, (B, J); without joints, the IoU."""
    mesh = prediction.meshes(body)
    # Exact, like the true masks: a thresholded soft silhouette would be wider.
    silhouette = exact_silhouette(mesh.vertices, mesh.faces, mesh.camera, masks.shape[-1])
    iou = silhouette_iou(silhouette, masks)
    joints, known = prediction.body_joints(body), body.joints(truth.rotations, truth.betas)
    if joints is None:
        return (iou,)
    away = (joints - joints[:, :1]) - (known - known[:, :1])
    return iou, mpjpe(joints, known), pa_mpjpe(joints, known), 1000 * away.norm(dim=-1)


def _scores(parts: list[tuple[Tensor, ...]]) -> Scores:
    iou, *errors = (torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True))
    plain, aligned, each = errors or (None, None, None)
    return Scores(plain, aligned, iou, each)
