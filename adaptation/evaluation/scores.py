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

from adaptation.bodies.body import JOINT_NAMES, Body
from adaptation.bodies.renderer import exact_silhouette
from adaptation.data.samples import Domain
from adaptation.evaluation.metrics import LSP_JOINTS, mpjpe, pa_mpjpe, silhouette_iou
from adaptation.losses.supervision import truth_of

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
        joints: (N, 24) millimetres, pelvises put together.
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
            for joint, name in enumerate(JOINT_NAMES):
                writer.writerow([name, f"{self.joints[:, joint].mean():.2f}", int(joint in LSP_JOINTS)])


@torch.no_grad()
def evaluate(network: nn.Module, domain: Domain, body: Body, *, device: str = "cpu", batch: int = 64) -> Scores:
    """Errors of a network's predictions on a labelled domain.

    Raises:
        UserError: the domain has no labels.
    """
    truth = truth_of(domain)
    network, body = network.to(device).eval(), body.to(device)
    parts = []
    for index in torch.arange(len(domain)).split(batch):
        prediction = network(domain.image_batch(index.numpy(), device))
        posed = prediction.body(body)
        wanted = truth.select(index).to(device)
        joints = body.joints(wanted.rotations, wanted.betas)
        silhouette = exact_silhouette(posed.vertices, body.faces, prediction.camera, domain.size)
        away = (posed.joints - posed.joints[:, :1]) - (joints - joints[:, :1])
        parts.append(
            (
                mpjpe(posed.joints, joints),
                pa_mpjpe(posed.joints, joints),
                silhouette_iou(silhouette, domain.mask_batch(index.numpy(), device=device)),
                1000 * away.norm(dim=-1),
            )
        )
    return Scores(*(torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True)))
