"""Read files of poses in the layouts of AMASS and of this project."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from adaptation.bodies.joint_sets import SMPL
from adaptation.support.errors import UserError

_FEWEST = 40  # poses: one in 20 is held out, and measuring a prior between two poses needs two of them
# SMPL-H and SMPL-X share the first 22 joints with SMPL; they have fingers where SMPL has hands.
_SHARED = 22


def read_poses(path: Path) -> Tensor:
    """Read poses from an npz file.

    Args:
        path: npz file with ``poses`` (N, 66 or more), the layout of AMASS, or ``pose`` (N, J, 3).

    Returns:
        (N, J, 3) axis-angle, radians, in the order of SMPL's joints; hands are 0 if the file has fingers instead.

    Raises:
        UserError: the file is missing, has no such array, or has fewer than 40 finite poses.
    """
    try:
        with np.load(path, allow_pickle=False) as data:
            array = data["poses"] if "poses" in data else data["pose"]
        flat = array.reshape(len(array), -1).astype(np.float32)
    except Exception as error:  # np.load raises errors of many types
        raise UserError(f"{path} has no poses: {error}") from None
    if flat.shape[1] < 3 * _SHARED or not np.isfinite(flat).all() or len(flat) < _FEWEST:
        raise UserError(
            f"{path}: expected at least {_FEWEST} finite poses of {3 * _SHARED} numbers or more, got {array.shape}"
        )
    pose = np.zeros((len(flat), len(SMPL), 3), np.float32)
    # Exactly 72 numbers are SMPL's own, hands included; with more, fingers follow the shared joints.
    count = len(SMPL) if flat.shape[1] == 3 * len(SMPL) else _SHARED
    pose[:, :count] = flat[:, : 3 * count].reshape(-1, count, 3)
    return torch.from_numpy(pose)
