"""Bodies that `topo-adapt fit` found, as pseudo-labels of an adaptation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from adaptation.adapting.pseudo_labels import PseudoLabels
from adaptation.bodies.body import Body
from adaptation.bodies.camera import WeakPerspective, from_crop_to_crop
from adaptation.bodies.parameters import Bodies
from adaptation.recording.crops import Crop
from adaptation.recording.regions import iou
from adaptation.recording.results import PersonResult
from adaptation.support.errors import UserError
from adaptation.support.reading.findings import found as state

_SAME = 0.5  # IoU of the boxes of a person in the results and in the crops, above which they are one


def result_files(folder: Path) -> list[Path]:
    """Return the files of the people in a result folder.

    Raises:
        UserError: there are none.
    """
    files = sorted(folder.glob("person_*.npz"))
    if not files:
        raise UserError(f"{folder}: no person_*.npz; expected the results of `topo-adapt fit` for the same recording")
    return files


def labels_of_results(folder: Path, crops: Sequence[Crop], body: Body) -> PseudoLabels:
    """Return the bodies of a result folder as pseudo-labels.

    Args:
        folder: results of `topo-adapt fit` for the same recording.
        crops: N crops to label.
        body: body model of the results.

    Returns:
        N bodies; those of crops without a result are at rest, with a trust of 0.

    Raises:
        UserError: the folder has no results, or none of these crops.
    """
    files = result_files(folder)
    by_frame: dict[int, list[tuple[PersonResult, int]]] = defaultdict(list)
    for result in map(PersonResult.load, files):
        for row, frame in enumerate(result.frame.tolist()):
            by_frame[frame].append((result, row))
    trust = torch.zeros(len(crops))
    # What crops without a result keep: any body, which no loss looks at.
    rotations = torch.eye(3).repeat(len(crops), body.joint_count, 1, 1)
    betas, camera = torch.zeros(len(crops), body.shape_count), torch.ones(len(crops), 3)
    for index, crop in enumerate(crops):
        own = torch.tensor([crop.box])
        there = by_frame.get(crop.frame)
        if not there:
            continue
        overlaps = iou(np.array([result.box[row] for result, row in there]), np.array([crop.box]))[:, 0]
        if overlaps.max() < _SAME:
            continue
        result, row = there[overlaps.argmax()]
        bodies = result.bodies([row])
        zoomed = bodies.camera.zoomed(*from_crop_to_crop(torch.from_numpy(result.box[[row]]), own))
        rotations[index], betas[index], camera[index] = (
            bodies.rotations[0],
            bodies.betas[0],
            zoomed.weak().parameters[0],
        )
        trust[index] = 1
    if not trust.any():
        raise UserError(f"{folder}: none of its bodies is in the crops to adapt to; fit the same recording and frames")
    state(f"{folder}: bodies for {int(trust.sum())} of {len(crops)} crops")
    return PseudoLabels(Bodies(rotations, betas, WeakPerspective(camera)), trust)
