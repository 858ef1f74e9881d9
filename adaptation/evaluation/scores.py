"""Errors of a regressor on a labelled domain: overall, and joint by joint."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from adaptation.bodies.body import Body
from adaptation.bodies.joint_sets import LSP_JOINTS, SMPL
from adaptation.bodies.renderer import exact_silhouette
from adaptation.data.samples import Samples
from adaptation.evaluation.metrics import mpjpe, pa_mpjpe, silhouette_iou

PROTOCOL = (
    "14 joints as in LSP, taken from the body's 24, its head joint for the top of the head; MPJPE with the pelvises "
    "put together, PA-MPJPE after a similarity without reflection; means over images, millimetres"
)


@dataclass(frozen=True, eq=False)
class Scores:
    """Errors of N images.

    Attributes:
        mpjpe: (N,) millimetres.
        pa_mpjpe: (N,) millimetres.
        iou: (N,) of the predicted silhouette with the exact mask.
        joints: (N, J) millimetres, pelvises aligned.
    """

    mpjpe: npt.NDArray[np.float32]
    pa_mpjpe: npt.NDArray[np.float32]
    iou: npt.NDArray[np.float32]
    joints: npt.NDArray[np.float32]

    def summary(self) -> dict[str, float]:
        """Means."""
        return {name: float(getattr(self, name).mean()) for name in ("mpjpe", "pa_mpjpe", "iou")}

    def write(self, folder: Path) -> None:
        """scores.json with the means and the protocol, images.csv and joints.csv."""
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
                writer.writerow([name, f"{self.joints[:, joint].mean():.2f}", int(joint in LSP_JOINTS)])


@torch.no_grad()
def evaluate(network: nn.Module, samples: Samples, body: Body, *, device: str = "cpu", batch: int = 64) -> Scores:
    """Measure a network's predictions on labelled crops.

    Args:
        network: a `MeshNetwork`.
        samples: with labels and exact masks.
        body: the body model of the network and of the labels.
        device: where to compute.
        batch: crops at a time.

    Raises:
        UserError: the set has no labels, or they belong to another body model.
    """
    truth = samples.bodies(body)
    network, body = network.to(device).eval(), body.to(device)
    parts = []
    for index in torch.arange(len(samples)).split(batch):
        predicted = network(samples.image_batch(index.numpy(), device)).bodies
        known = truth.select(index).to(device)
        posed = body(predicted.rotations, predicted.betas)
        joints = body.joints(known.rotations, known.betas)
        silhouette = exact_silhouette(posed.vertices, body.faces, predicted.camera, samples.size)
        away = (posed.joints - posed.joints[:, :1]) - (joints - joints[:, :1])
        parts.append(
            (
                mpjpe(posed.joints, joints),
                pa_mpjpe(posed.joints, joints),
                silhouette_iou(silhouette, samples.mask_batch(index.numpy(), device=device)),
                1000 * away.norm(dim=-1),
            )
        )
    return Scores(*(torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True)))
