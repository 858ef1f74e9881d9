"""Human3.6M's joints from the vertices of SMPL: SPIN's ``J_regressor_h36m.npy``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from adaptation.bodies.body import Body
from adaptation.bodies.joint_sets import H36M
from adaptation.support.errors import UserError
from adaptation.support.reading.array_files import read_arrays
from adaptation.support.reading.findings import found

_LEGS, _ARMS = ((1, 2, 3), (4, 5, 6)), ((11, 12, 13), (14, 15, 16))  # left and right in `H36M`


def load_regressor(path: Path, body: Body) -> Tensor:
    """Load a joint regressor.

    Args:
        path: npy file (17, V). Limbs that it has in the other order, as the "corrected" file of I2L-MeshNet, are
            exchanged.
        body: body model with V vertices, on which left and right are recognised.

    Returns:
        (17, V) float32; row k gives joint k of `H36M` as the weighted mean of the vertices.

    Raises:
        UserError: the file is missing or damaged, or is no regressor of 17 joints from this body's vertices.
    """
    array = read_arrays(path).get("")
    if array is None or array.shape != (len(H36M), body.vertex_count) or array.dtype.kind != "f":
        shape = "an archive" if array is None else f"{array.dtype} {array.shape}"
        raise UserError(
            f"{path}: found {shape}, expected the weights of {len(H36M)} joints and {body.vertex_count} vertices, the "
            "number that the body model has (--body)"
        )
    if not np.isfinite(array).all() or np.abs(array.sum(axis=1) - 1).max() > 1e-2:
        raise UserError(f"{path}: the weights of each joint must sum to 1")
    rest = body(torch.zeros(1, body.joint_count, 3), body.mean_shape(1)).vertices[0].double().numpy()
    array = array.copy()
    for limbs, (left, right) in (("legs", _LEGS), ("arms", _ARMS)):
        # The body at rest has its left at positive x.
        x = array @ rest[:, 0]
        if x[list(left)].mean() < x[list(right)].mean():
            found(f"{path}: left and right {limbs} are in the other order, and are exchanged")
            array[[*left, *right]] = array[[*right, *left]]
    return torch.from_numpy(array.astype(np.float32))
