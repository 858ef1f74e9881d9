"""Scores of a regressor on labelled crops: overall, and joint by joint."""

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
    "14 joints of LSP, taken from SMPL's, with its head joint instead of the top of the head; MPJPE with the "
    "pelvises aligned, PA-MPJPE after a similarity transform without reflection; means over images, millimetres"
)


@dataclass(frozen=True, eq=False)
class Scores:
    """Errors of N images.

    Attributes:
        mpjpe: (N,) millimetres.
        pa_mpjpe: (N,) millimetres.
        iou: (N,) intersection over union of the predicted silhouette and the exact mask, in [0, 1].
        joints: (N, J) error of each joint with the pelvises aligned, millimetres.
    """

    mpjpe: npt.NDArray[np.float32]
    pa_mpjpe: npt.NDArray[np.float32]
    iou: npt.NDArray[np.float32]
    joints: npt.NDArray[np.float32]

    def summary(self) -> dict[str, float]:
        """Return the means over images, by name."""
        return {name: float(getattr(self, name).mean()) for name in ("mpjpe", "pa_mpjpe", "iou")}

    def write(self, folder: Path) -> None:
        """Write scores.json with the means and the protocol, images.csv and joints.csv into a folder."""
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
        samples: N crops with labels and exact masks.
        body: the body model of the network and of the labels.
        device: device to compute on.
        batch: crops that are predicted together.

    Raises:
        UserError: the crops have no labels, or the labels belong to another body model.
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
