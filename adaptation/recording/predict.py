"""Bodies that regressors see in crops, as the results that fitting gives: before and after an adaptation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from adaptation.bodies.camera import crop_to_frame, project
from adaptation.fitting.fitter import BodyParameters, Evaluation, Fitter
from adaptation.recording.crops import Crop
from adaptation.recording.results import Array, PersonResult


@dataclass(frozen=True)
class _Seen:
    parameters: BodyParameters
    judged: Evaluation


@torch.no_grad()
def predict_person(
    crops: Sequence[Crop], after: nn.Module, fitter: Fitter, *, before: nn.Module | None = None, batch: int = 64
) -> PersonResult:
    """What a network says about the crops of one person.

    Args:
        crops: of one track, in order.
        after: the network whose bodies are the result.
        fitter: with the body that is rendered, on the networks' device.
        before: the network whose bodies are the starts that the result is compared with; ``after`` where None.
        batch: crops at a time.
    """
    seen = _see(crops, after, fitter, batch)
    start = seen if before is None else _see(crops, before, fitter, batch)
    box = torch.tensor([crop.box for crop in crops], dtype=torch.float32)
    joints = fitter.body.joints(seen.parameters.pose, seen.parameters.betas)
    size = len(crops[0].mask)
    joints2d = crop_to_frame(project(joints, seen.parameters.camera, size).cpu(), box, size)
    return PersonResult(
        frame=np.array([crop.frame for crop in crops], np.int64),
        box=_array(box),
        pose=_array(seen.parameters.pose),
        betas=_array(seen.parameters.betas),
        camera=_array(seen.parameters.camera),
        joints3d=_array(joints),
        joints2d=_array(joints2d),
        iou_before=_array(start.judged.iou),
        iou_after=_array(seen.judged.iou),
        loss_before=_array(start.judged.topology),
        loss_after=_array(seen.judged.topology),
        start_pose=_array(start.parameters.pose),
        start_betas=_array(start.parameters.betas),
        start_camera=_array(start.parameters.camera),
    )


def _see(crops: Sequence[Crop], network: nn.Module, fitter: Fitter, batch: int) -> _Seen:
    device = fitter.body.faces.device
    network = network.to(device).eval()
    parameters, judged = [], []
    for first in range(0, len(crops), batch):
        part = crops[first : first + batch]
        images = torch.from_numpy(np.stack([crop.image for crop in part])).permute(0, 3, 1, 2).float() / 255
        masks = torch.from_numpy(np.stack([crop.mask for crop in part]))[:, None]
        prediction = network(images.to(device))
        bodies = BodyParameters(prediction.pose, prediction.betas, prediction.camera)
        parameters.append(bodies)
        judged.append(fitter.evaluate(bodies, fitter.target(masks.to(device))))
    return _Seen(BodyParameters.cat(parameters), Evaluation.cat(judged))


def _array(value: Tensor) -> Array:
    return value.detach().float().cpu().numpy()
