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

PROTOCOL = (
    "14 joints as in LSP, taken from the body's 24, with its head joint for the top of the head; MPJPE after aligning "
    "the pelvises, PA-MPJPE after a similarity transform without reflection; means over images, millimetres"
)
"""How errors are measured, in words; shown and stored with them."""


@dataclass(frozen=True, eq=False)
class Scores:
    """Errors of N images.

    Attributes:
        mpjpe: (N,) MPJPE, millimetres.
        pa_mpjpe: (N,) PA-MPJPE, millimetres.
        iou: (N,) IoU of the predicted silhouette and the exact mask, 0 to 1.
        joints: (N, J) error of each joint after aligning the pelvises, millimetres.
    """

    mpjpe: npt.NDArray[np.float32]
    pa_mpjpe: npt.NDArray[np.float32]
    iou: npt.NDArray[np.float32]
    joints: npt.NDArray[np.float32]

    def summary(self) -> dict[str, float]:
        """Return the means over images, by the names "mpjpe", "pa_mpjpe" and "iou"."""
        return {name: float(getattr(self, name).mean()) for name in ("mpjpe", "pa_mpjpe", "iou")}

    def write(self, folder: Path) -> None:
        """Write scores.json (means and protocol), images.csv (each image) and joints.csv (mean of each joint).

        Args:
            folder: existing folder to write to.
        """
        text = {"protocol": PROTOCOL, "images": len(self.mpjpe), **self.summary()}
        (folder / "scores.json").write_text(json.dumps(text, indent=2) + "\n")
        with (folder / "images.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["image", "mpjpe_mm", "pa_mpjpe_mm", "iou"])
            for number, row in enumerate(zip(self.mpjpe, self.pa_mpjpe, self.iou, strict=True)):
                writer.writerow([number, *(f"{value:.3f}" for value in row)])
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
        UserError: the set has no labels or masks, or the labels belong to another body model.
    """
    # First, so that missing labels end the command before any prediction.
    truth = samples.bodies(body)
    network, body = network.to(device).eval(), body.to(device)
    parts = []
    for index in torch.arange(len(samples)).split(batch):
        predicted = network(samples.image_batch(index.numpy(), device)).bodies
        known = truth.select(index).to(device)
        masks = samples.mask_batch(index.numpy(), device=device)
        parts.append(_compare(predicted, known, masks, body))
    return Scores(*(torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True)))


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
        parts.append(_compare(bodies.select(rows), known, samples.mask_batch(crops), body))
    return Scores(*(torch.cat(column).numpy() for column in zip(*parts, strict=True)))


def _compare(bodies: Bodies, truth: Bodies, masks: Tensor, body: Body) -> tuple[Tensor, ...]:
    """Return MPJPE, PA-MPJPE and IoU, (B,) each, and the errors of the joints, (B, J)."""
    posed = body(bodies.rotations, bodies.betas)
    joints = body.joints(truth.rotations, truth.betas)
    # Exact, like the true masks: a thresholded soft silhouette would be wider.
    silhouette = exact_silhouette(posed.vertices, body.faces, bodies.camera, masks.shape[-1])
    away = (posed.joints - posed.joints[:, :1]) - (joints - joints[:, :1])
    return (
        mpjpe(posed.joints, joints),
        pa_mpjpe(posed.joints, joints),
        silhouette_iou(silhouette, masks),
        1000 * away.norm(dim=-1),
    )
