"""Read body models in SMPL's layout, npz or the original pickles, without executing code from the file.

SMPL's pickles hold NumPy arrays, SciPy csc matrices and objects of chumpy, a package that can no
longer be installed. Unpickling calls the functions that a file names. Here every name that SMPL
files use is mapped to an inert stand-in, which only records its arguments, and all other names are
refused. The unpickling code of NumPy and SciPy is never reached.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from adaptation.support.errors import UserError

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
        path: An ``.npz`` file with SMPL's keys, or an SMPL pickle as distributed by its authors.

    Returns:
        The checked arrays.

    Raises:
        UserError: The file is missing or unreadable, names code to be loaded, lacks a key, or holds
            invalid arrays.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read the body model {path}: {error.strerror or error}") from None
    # An npz is a zip archive, which starts with "PK"; users rename files, so the suffix is not evidence.
    values = _read_npz(content, path) if content[:2] == b"PK" else _read_pickle(content, path)
    return checked_arrays(values, path)


def _read_npz(content: bytes, path: Path) -> dict[str, Any]:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            return {key: archive[key] for key in _KEYS if key in archive.files}
    except Exception as error:  # damaged archives raise errors of nearly every type
        raise UserError(f"{path} is not a readable npz of a body model: {_first_line(error)}") from None


def _read_pickle(content: bytes, path: Path) -> dict[str, Any]:
    try:
        values = _InertUnpickler(io.BytesIO(content), encoding="latin1").load()  # Python 2 wrote it
        if not isinstance(values, dict):
            raise pickle.UnpicklingError(f"it holds a {type(values).__name__}, not a dict")
        return {key: _resolve(values[key]) for key in _KEYS if key in values}
    except _RefusedError as error:
        raise UserError(
            f"{path} refused: loading it could run code: it names {error}, which no SMPL file needs"
        ) from None
    except Exception as error:  # as do damaged pickles
        raise UserError(f"{path} is not a readable SMPL pickle (damaged or truncated?): {_first_line(error)}") from None


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


# ---- required contents ----

_KEYS = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f")


def checked_arrays(values: dict[str, Any], path: Path) -> SmplArrays:
    """Check the arrays of a file and convert them to the dtypes of `SmplArrays`.

    Args:
        values: NumPy arrays by SMPL's keys.
        path: The file that they come from, for error messages.

    Raises:
        UserError: A key is missing, or an array is invalid.
    """
    missing = [key for key in _KEYS if key not in values]
    if missing:
        raise UserError(f"{path} is not an SMPL body model: it lacks {', '.join(missing)}")

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


# ---- stand-ins for the names in SMPL's pickles ----


class _RefusedError(pickle.UnpicklingError):
    """A pickle names something outside of `_STAND_INS`."""


class _Recorder:
    """Accepts any arguments and any state, and only stores the state."""

    state: Any = None

    def __new__(cls, *args: Any) -> _Recorder:
        return object.__new__(cls)

    def __init__(self, *args: Any) -> None: ...

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Array(_Recorder):
    """numpy.ndarray: state (version, shape, dtype, is_fortran, data)."""


class _Chumpy(_Recorder):
    """chumpy.ch.Ch: its value is x."""


class _Select(_Recorder):
    """chumpy.reordering.Select: a.ravel()[idxs].reshape(preferred_shape)."""


class _Sparse(_Recorder):
    """scipy.sparse csc matrices: data, indices, indptr, _shape."""


class _Dtype(_Recorder):
    """numpy.dtype: a type code, and a state whose second element is the byte order."""

    def __init__(self, code: str = "", *args: Any) -> None:
        self.code = code

    def numpy(self) -> np.dtype[Any]:
        """Return the dtype, which must be a number or boolean."""
        order = self.state[1] if isinstance(self.state, tuple) else "="
        # Arrays of objects have no raw bytes to read.
        if not isinstance(self.code, str) or self.code[:1] not in tuple("fiub") or order not in ("<", ">", "=", "|"):
            raise pickle.UnpicklingError(f"arrays of type {self.code!r} are not numbers")
        return np.dtype(order.replace("|", "=") + self.code)


class _Buffer(_Recorder):
    """Arguments of numpy's _frombuffer in protocol 5: data, dtype, shape, order."""

    def __init__(self, data: Any, dtype: Any, shape: Any, order: Any) -> None:
        self.parts = data, dtype, shape, order == "F"


def _reconstruct(*args: Any) -> _Array:
    return _Array()


def _reconstructor(cls: Any, *args: Any) -> Any:
    """copyreg._reconstructor of protocols 0 and 1, restricted to the stand-ins."""
    if not (isinstance(cls, type) and issubclass(cls, _Recorder)):
        raise pickle.UnpicklingError("an object of an unexpected type")
    return cls()


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """codecs.encode, with which Python 3 writes bytes in protocols 0 to 2."""
    # Python always names latin1 here; the encoding in the file is not trusted to be that.
    return str(text).encode("latin1")


def _scalar(*args: Any) -> None:
    """A NumPy scalar; no key that is read holds one."""


# Names differ between Python 2 and 3 and between versions of NumPy and SciPy.
_STAND_INS: dict[tuple[str, str], Callable[..., Any]] = {
    ("chumpy.ch", "Ch"): _Chumpy,
    ("chumpy", "Ch"): _Chumpy,
    ("chumpy.reordering", "Select"): _Select,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
    **{(m, "_reconstructor"): _reconstructor for m in ("copy_reg", "copyreg")},
    # `object` is the base class that _reconstructor is given; chumpy keeps sets in its caches.
    **{(m, n): t for m in ("__builtin__", "builtins") for n, t in (("object", object), ("set", set))},
    **{(f"numpy.{c}.multiarray", "_reconstruct"): _reconstruct for c in ("core", "_core")},
    **{(f"numpy.{c}.multiarray", "scalar"): _scalar for c in ("core", "_core")},
    **{(f"numpy.{c}.numeric", "_frombuffer"): _Buffer for c in ("core", "_core")},
    **{(f"scipy.sparse{m}", n): _Sparse for m in ("", ".csc", "._csc") for n in ("csc_matrix", "csc_array")},
}


class _InertUnpickler(pickle.Unpickler):
    """Unpickler that resolves names to stand-ins and never imports anything."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _STAND_INS[module, name]
        except KeyError:
            raise _RefusedError(f"{module}.{name}") from None


def _resolve(value: Any) -> Any:
    """Convert stand-ins to plain arrays; other values are returned unchanged."""
    if isinstance(value, _Array):
        _, shape, dtype, fortran, data = value.state
        return _from_bytes(data, dtype, shape, fortran)
    if isinstance(value, _Buffer):
        return _from_bytes(*value.parts)
    if isinstance(value, _Chumpy):
        return _resolve(value.state["x"])
    # A selection is from another chumpy value, so its parts may be stand-ins, too.
    if isinstance(value, _Select):
        source, index = _resolve(value.state["a"]), _resolve(value.state["idxs"])
        shape = _resolve(value.state["preferred_shape"])
        return source.ravel()[index].reshape(tuple(int(n) for n in shape))
    if isinstance(value, _Sparse):
        return _dense({key: _resolve(part) for key, part in value.state.items()})
    return value


def _from_bytes(data: Any, dtype: _Dtype, shape: tuple[int, ...], fortran: Any) -> Array:
    """Return an array from its raw bytes, in C or Fortran order."""
    # Bytes written by Python 2 are read as text.
    raw = data.encode("latin1") if isinstance(data, str) else bytes(data)
    flat = np.frombuffer(raw, dtype=dtype.numpy())
    return flat.reshape(shape, order="F" if fortran else "C")


def _dense(parts: dict[str, Any]) -> Array:
    """Expand a csc matrix, the joint regressor, to (24, V)."""
    rows, columns = parts["_shape"] if "_shape" in parts else parts["shape"]
    data, indices, starts = parts["data"], parts["indices"], parts["indptr"]
    if rows != len(PARENTS) or starts[-1] != len(data):  # also bounds the allocation below
        raise pickle.UnpicklingError(f"the joint regressor is not a matrix of {len(PARENTS)} rows")
    column = np.repeat(np.arange(columns), np.diff(starts))
    dense = np.zeros((int(rows), int(columns)))
    np.add.at(dense, (indices, column), data)  # csc allows duplicate entries, which are summed
    return dense
