"""Read body models in SMPL's layout: npz, the original pickles, or files of torch.save. Nothing in them is executed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from adaptation.support.errors import UserError, reason
from adaptation.support.reading.array_files import read_arrays
from adaptation.support.reading.file_kinds import kind_of, with_article
from adaptation.support.reading.inert_pickle import RefusedError, plain, read_pickle
from adaptation.support.reading.torch_files import read_torch

PARENTS: tuple[int, ...] = (
    -1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21,
)  # fmt: skip
"""SMPL's kinematic tree: the parent of each of its 24 joints, -1 for the root."""

# Directions are in the order of the variation that they explain, so the first ones suffice.
SHAPE_DIRECTIONS = 10
"""Number of shape coefficients used; files may hold more."""

POSE_DIRECTIONS = 9 * (len(PARENTS) - 1)
"""Number of pose blend shapes: the elements of one rotation matrix per joint, without the root."""

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class SmplArrays:
    """The checked arrays of a body model with V vertices and F faces; lengths in metres.

    Attributes:
        v_template: (V, 3) float64, rest vertices.
        shapedirs: (V, 3, 10) float64, vertex offsets per unit of each shape coefficient.
        posedirs: (V, 3, 207) float64, vertex offsets per unit of each element of ``R - I`` of
            joints 1 to 23; None if they are all zero.
        J_regressor: (24, V) float64, weights that give joints from vertices.
        weights: (V, 24) float64, skinning weights.
        f: (F, 3) int64, vertex indices.
    """

    v_template: Array
    shapedirs: Array
    posedirs: Array | None
    J_regressor: Array
    weights: Array
    f: Array


def load_smpl(path: str | Path) -> SmplArrays:
    """Read a body model.

    Args:
        path: an SMPL pickle as its authors distribute it, or a file with the same keys: npz, npy of a dict, a pickle
            without chumpy, or a file of torch.save. Arrays may be SciPy's sparse matrices or torch's tensors.

    Returns:
        The checked arrays.

    Raises:
        UserError: the file is missing or unreadable, names code to be loaded, is another body model, lacks a key, or
            holds invalid arrays.
    """
    path = Path(path)
    values = _read(path)
    if not isinstance(values, dict):
        raise UserError(f"{path} holds a {type(values).__name__}, expected a dict of SMPL's arrays")
    return checked_arrays({key: _numbers(values[key], key, path) for key in _KEYS if key in values}, path)


def _read(path: Path) -> Any:
    """Read the contents of a file of one of four kinds, by its first bytes, since users rename files."""
    kind = kind_of(path)
    if kind in ("npz file of NumPy", "npy file of NumPy"):
        arrays = read_arrays(
            path, (*_KEYS, ""), lambda content: _unpickled(content, path, "an array of Python objects")
        )
        # np.save stores a dict as an array of one object.
        return _numbers(arrays[""], "the array", path) if "" in arrays else arrays
    if kind == "PyTorch checkpoint":
        return read_torch(path)
    # The oldest pickles are text.
    if kind in ("Python pickle", "text file", "unknown file"):
        return _unpickled(path.read_bytes(), path, "a pickle")
    raise UserError(f"{path}: found {with_article(kind)}, expected a body model in SMPL's layout (.pkl or .npz)")


def _unpickled(content: bytes, path: Path, what: str) -> Any:
    try:
        values = read_pickle(content)
        # Other keys than SMPL's may hold what has no plain value.
        return {key: values[key] for key in _KEYS if key in values} if isinstance(values, dict) else values
    except RefusedError as error:
        raise UserError(
            f"{path} refused: loading it could run code: it names {error}, which no SMPL file needs; if you trust it, "
            "save its arrays with numpy.savez where it was made"
        ) from None
    except Exception as error:  # damaged pickles raise errors of nearly every type
        raise UserError(f"{path} is damaged or not a body model: {what} cannot be read ({reason(error)})") from None


def _numbers(value: Any, key: str, path: Path) -> Any:
    """Return the array that a value of a file stands for; other values are returned unchanged."""
    try:
        value = plain(value)
        if isinstance(value, Tensor):
            # NumPy has no bfloat16.
            value = (value.detach().double() if value.is_floating_point() else value.detach()).numpy()
        if isinstance(value, np.ndarray) and value.dtype == object:
            value = np.array(value.tolist())
    except Exception as error:  # damaged values raise errors of nearly every type
        raise UserError(f"{path} is damaged or not a body model: {key} cannot be read ({reason(error)})") from None
    return value


# ---- required contents ----

_KEYS = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f")
_OTHER_MODELS = {5: "FLAME", 16: "MANO", 52: "SMPL-H", 55: "SMPL-X"}
"""Models with SMPL's keys, by their number of joints."""
_STAR_POSES = 93  # STAR has SMPL's joints, but its blend shapes depend on quaternions


def _other_model(values: dict[str, Any]) -> str | None:
    """Name the model of a file that has SMPL's keys and is none, or return None."""

    def size(key: str, axis: int) -> int:
        array = values.get(key)
        return array.shape[axis] if isinstance(array, np.ndarray) and array.ndim > axis else 0

    joints = size("weights", 1) or size("J_regressor", 0)
    if joints in _OTHER_MODELS:
        return f"{_OTHER_MODELS[joints]} ({joints} joints)"
    if size("posedirs", 2) == _STAR_POSES:
        return f"STAR ({joints} joints, {_STAR_POSES} pose blend shapes)"
    return None


def checked_arrays(values: dict[str, Any], path: Path) -> SmplArrays:
    """Check the arrays of a file and convert them to the dtypes of `SmplArrays`.

    Args:
        values: NumPy arrays by SMPL's keys.
        path: The file that they come from, for error messages.

    Raises:
        UserError: A key is missing, or an array is invalid.
    """
    if other := _other_model(values):
        raise UserError(f"{path} is {other}, expected SMPL (24 joints): SMPL_NEUTRAL.pkl of smpl.is.tue.mpg.de is one")
    missing = [key for key in _KEYS if key not in values]
    if missing:
        raise UserError(f"{path} is not an SMPL body model: it lacks {', '.join(missing)}; it needs {', '.join(_KEYS)}")

    def array(key: str, *shape: int | None) -> Array:
        value = values[key]
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
            raise UserError(f"{path}: {key} is not an array of numbers")
        expected = f"({', '.join('any' if n is None else str(n) for n in shape)})"
        fits = value.ndim == len(shape) and all(n in (None, m) for n, m in zip(shape, value.shape, strict=True))
        # An empty array would fail later, in min and max.
        if not fits or 0 in value.shape:
            raise UserError(f"{path}: expected {key} of shape {expected}, got {value.shape}")
        if not np.isfinite(value).all():
            raise UserError(f"{path}: {key} holds NaN or infinity")
        return value

    joints = len(PARENTS)
    template = array("v_template", None, 3).astype(np.float64)
    count = len(template)
    shapedirs = array("shapedirs", count, 3, None)
    # SMPL's files hold 10 directions or 300.
    if shapedirs.shape[2] < SHAPE_DIRECTIONS:
        raise UserError(
            f"{path}: expected shapedirs of at least {SHAPE_DIRECTIONS} directions, got {shapedirs.shape[2]}"
        )
    weights = array("weights", count, joints).astype(np.float64)
    # The tolerance admits rounded weights.
    if weights.min() < 0 or np.abs(weights.sum(axis=1) - 1).max() > 1e-2:
        raise UserError(f"{path}: weights must not be negative and must sum to 1 for every vertex")
    tree = array("kintree_table", 2, joints)
    # The root's parent is not compared: SMPL's files write it as 2**32 - 1.
    if tuple(int(p) for p in tree[0, 1:]) != PARENTS[1:]:
        raise UserError(f"{path}: kintree_table is not SMPL's tree of {joints} joints")
    faces = array("f", None, 3)
    if faces.dtype.kind == "f" or faces.min() < 0 or faces.max() >= count:
        raise UserError(f"{path}: f must hold vertex indices from 0 to {count - 1}")
    posedirs = array("posedirs", count, 3, POSE_DIRECTIONS)
    # Without pose blend shapes, None saves a large product per posed body.
    return SmplArrays(
        v_template=template,
        shapedirs=shapedirs[..., :SHAPE_DIRECTIONS].astype(np.float64),
        posedirs=posedirs.astype(np.float64) if posedirs.any() else None,
        J_regressor=array("J_regressor", joints, count).astype(np.float64),
        weights=weights,
        f=faces.astype(np.int64),
    )
