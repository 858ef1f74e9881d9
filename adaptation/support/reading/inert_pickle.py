"""Pickles, read without executing anything in them.

Unpickling calls the functions that a file names. Here the names of NumPy's arrays, SciPy's sparse matrices, torch's
tensors and chumpy's values, which files of body models and checkpoints hold, are mapped to inert stand-ins that only
record what they are given. All other names are refused, and the unpickling code of those packages is never reached.
"""

from __future__ import annotations

import io
import math
import pickle
import re
from argparse import Namespace
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
_MOST_ELEMENTS = 1 << 27  # of a dense matrix; SMPL-X's joint regressor has less than 2**20


class RefusedError(pickle.UnpicklingError):
    """A pickle names a class or function that has no stand-in; the message is that name."""


def read_pickle(content: bytes) -> Any:
    """Read a pickle of any protocol, written by Python 2 or 3.

    Args:
        content: the pickle.

    Returns:
        What it holds, with stand-ins that `plain` converts.

    Raises:
        RefusedError: it names something that has no stand-in.
        Exception: of nearly any type if the pickle is damaged.
    """
    return _InertUnpickler(io.BytesIO(content), encoding="latin1").load()


def plain(value: Any) -> Any:
    """Convert stand-ins to NumPy arrays and values, also within containers, which are changed in place.

    Raises:
        Exception: of nearly any type if the pickle was damaged.
    """
    return _Conversion()(value)


class _Conversion:
    """Converts each object once, so that objects that hold each other come to an end."""

    def __init__(self) -> None:
        # With the object itself, whose id would otherwise be given to another one.
        self._done: dict[int, tuple[Any, Any]] = {}

    def __call__(self, value: Any) -> Any:
        if not isinstance(value, _StandIn | dict | list | tuple | Namespace):
            return value
        if id(value) in self._done:
            return self._done[id(value)][1]
        # For a container that holds itself.
        self._done[id(value)] = value, value
        result = self._converted(value)
        self._done[id(value)] = value, result
        return result

    def _converted(self, value: Any) -> Any:
        if isinstance(value, _StandIn):
            return value.value(self)
        if isinstance(value, dict):
            items = [(self(key), self(held)) for key, held in value.items()]
            value.clear()
            value.update(items)
        elif isinstance(value, list):
            value[:] = [self(held) for held in value]
        elif isinstance(value, Namespace):
            self(vars(value))
        # Subclasses such as torch.Size have a constructor of their own, and hold numbers alone.
        elif type(value) is tuple:
            return tuple(self(held) for held in value)
        return value


class _StandIn:
    """Accepts any arguments and any state, and only stores them."""

    arguments: tuple[Any, ...] = ()
    state: Any = None

    def __new__(cls, *arguments: Any) -> _StandIn:
        made = object.__new__(cls)
        made.arguments = arguments
        return made

    def __init__(self, *arguments: Any) -> None: ...

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def value(self, convert: _Conversion) -> Any:
        """Return what the object stands for."""
        raise pickle.UnpicklingError(f"{type(self).__name__.strip('_')} is not a value")


class _Dtype(_StandIn):
    """numpy.dtype: a type code, and a state whose second element is the byte order."""

    def value(self, convert: _Conversion) -> np.dtype[Any]:
        code = self.arguments[0] if self.arguments else None
        order = self.state[1] if isinstance(self.state, tuple) else "="
        if isinstance(code, bytes):
            code = code.decode("latin1")
        if code in ("O", "O8", "O4"):
            return np.dtype(object)
        # Structured types and times have no plain values.
        if not isinstance(code, str) or not re.fullmatch(r"[fiubcSU]\d{1,9}|b", code) or order not in tuple("<>=|"):
            raise pickle.UnpicklingError(f"arrays of type {str(code)[:20]!r} are not numbers")
        return np.dtype(order.replace("|", "=") + code)


class _Scalar(_StandIn):
    """numpy.core.multiarray.scalar: a dtype, and the bytes of the value."""

    def value(self, convert: _Conversion) -> Any:
        dtype, *data = self.arguments
        return _from_bytes(data[0] if data else b"", convert(dtype), (1,), False)[0]


class _Array(_StandIn):
    """numpy.ndarray: state (version, shape, dtype, is_fortran, data)."""

    def value(self, convert: _Conversion) -> Any:
        _, shape, dtype, fortran, data = self.state
        return _array(convert(data), convert(dtype), shape, fortran)


class _Buffer(_StandIn):
    """numpy.core.numeric._frombuffer of protocol 5: data, dtype, shape, order."""

    def value(self, convert: _Conversion) -> Any:
        data, dtype, shape, order = self.arguments
        return _array(convert(data), convert(dtype), shape, order == "F")


class _Chumpy(_StandIn):
    """chumpy.ch.Ch: its value is x."""

    def value(self, convert: _Conversion) -> Any:
        return convert(self.state["x"])


class _Select(_StandIn):
    """chumpy.reordering.Select: a.ravel()[idxs].reshape(preferred_shape)."""

    def value(self, convert: _Conversion) -> Array:
        # A selection is from another chumpy value, so its parts may be stand-ins, too.
        source, index, shape = (convert(self.state[key]) for key in ("a", "idxs", "preferred_shape"))
        selected: Array = source.ravel()[index].reshape(tuple(int(n) for n in shape))
        return selected


class _Compressed(_StandIn):
    """scipy.sparse matrices in csc format: data, indices, indptr, _shape."""

    by_rows: ClassVar[bool] = False

    def value(self, convert: _Conversion) -> Array:
        parts = {key: convert(part) for key, part in self.state.items()}
        starts, minor = parts["indptr"], parts["indices"]
        if int(starts[-1]) != len(parts["data"]):
            raise pickle.UnpicklingError("a sparse matrix has more values than its columns hold")
        major = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        return _dense(parts, major if self.by_rows else minor, minor if self.by_rows else major)


class _CompressedRows(_Compressed):
    """scipy.sparse matrices in csr format."""

    by_rows = True


class _Coordinates(_StandIn):
    """scipy.sparse matrices in coo format: data, row, col, _shape; newer versions have coords in place of the two."""

    def value(self, convert: _Conversion) -> Array:
        parts = {key: convert(part) for key, part in self.state.items()}
        rows, columns = parts["coords"] if "coords" in parts else (parts["row"], parts["col"])
        return _dense(parts, rows, columns)


class _Storage(_StandIn):
    """torch.storage._load_from_bytes: a file of torch.save that holds a storage."""

    def value(self, convert: _Conversion) -> Any:
        import torch

        # With weights_only, torch executes nothing.
        return torch.load(io.BytesIO(self.arguments[0]), map_location="cpu", weights_only=True)


class _Tensor(_StandIn):
    """torch._utils._rebuild_tensor_v2: storage, offset, size, stride, and what gradients need."""

    def value(self, convert: _Conversion) -> Array:
        import torch

        storage, offset, size, stride = (convert(part) for part in self.arguments[:4])
        if math.prod(size) > _MOST_ELEMENTS:
            raise pickle.UnpicklingError("a tensor is larger than any body model's")
        tensor = torch.empty(0, dtype=storage.dtype).set_(storage._untyped_storage, offset, size, stride)
        # NumPy has no bfloat16.
        array: Array = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
        return array


class _Parameter(_StandIn):
    """torch._utils._rebuild_parameter: the tensor comes first."""

    def value(self, convert: _Conversion) -> Any:
        return convert(self.arguments[0])


def _reconstruct(*arguments: Any) -> _StandIn:
    """numpy.core.multiarray._reconstruct: an array whose state follows."""
    return _Array()


def _reconstructor(cls: Any, *arguments: Any) -> Any:
    """copyreg._reconstructor of protocols 0 and 1, restricted to the stand-ins."""
    if not (isinstance(cls, type) and issubclass(cls, _StandIn)):
        raise pickle.UnpicklingError("an object of an unexpected type")
    return cls()


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """codecs.encode, with which Python 3 writes bytes in protocols 0 to 2."""
    # Python always names latin1 here; the encoding in the file is not trusted to be that.
    return str(text).encode("latin1")


def _array(data: Any, dtype: np.dtype[Any], shape: Any, fortran: Any) -> Any:
    """Return an array. One of Python objects that has no dimensions is the object in it, as NumPy stores dicts."""
    if dtype != np.dtype(object):
        return _from_bytes(data, dtype, shape, fortran)
    if math.prod(shape) != len(data):
        raise pickle.UnpicklingError("an array of objects lacks some")
    if shape == ():
        return data[0]
    array = np.empty(len(data), object)
    array[:] = data
    return array.reshape(shape, order="F" if fortran else "C")


def _from_bytes(data: Any, dtype: np.dtype[Any], shape: Any, fortran: Any) -> Array:
    """Return an array from its raw bytes, in C or Fortran order."""
    # Bytes written by Python 2 are read as text.
    raw = data.encode("latin1") if isinstance(data, str) else memoryview(data)
    return np.frombuffer(raw, dtype=dtype).reshape(shape, order="F" if fortran else "C")


def _dense(parts: Mapping[str, Any], rows: Array, columns: Array) -> Array:
    """Expand a sparse matrix from the places of its values."""
    height, width = (int(n) for n in (parts["_shape"] if "_shape" in parts else parts["shape"]))
    if height * width > _MOST_ELEMENTS or not len(rows) == len(columns) == len(parts["data"]):
        raise pickle.UnpicklingError("a sparse matrix is too large, or its parts have different lengths")
    # NumPy takes negative places from the end.
    if len(rows) and min(rows.min(), columns.min()) < 0:
        raise pickle.UnpicklingError("a sparse matrix has values in places that it does not have")
    dense = np.zeros((height, width))
    np.add.at(dense, (rows, columns), parts["data"])  # entries may occur twice, and are summed
    return dense


# Names differ between Python 2 and 3 and between versions of NumPy and SciPy.
_NUMPY: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    **{(f"numpy.{c}.multiarray", "_reconstruct"): _reconstruct for c in ("core", "_core")},
    **{(f"numpy.{c}.multiarray", "scalar"): _Scalar for c in ("core", "_core")},
    **{(f"numpy.{c}.numeric", "_frombuffer"): _Buffer for c in ("core", "_core")},
}


def _scipy(formats: Mapping[str, type[_StandIn]]) -> dict[tuple[str, str], Callable[..., Any]]:
    return {
        (f"scipy.sparse{module}", f"{name}_{kind}"): stand_in
        for name, stand_in in formats.items()
        for module in ("", f".{name}", f"._{name}")
        for kind in ("matrix", "array")
    }


_STAND_INS: dict[tuple[str, str], Callable[..., Any]] = {
    **_NUMPY,
    **_scipy({"csc": _Compressed, "csr": _CompressedRows, "coo": _Coordinates}),
    ("chumpy.ch", "Ch"): _Chumpy,
    ("chumpy", "Ch"): _Chumpy,
    ("chumpy.reordering", "Select"): _Select,
    ("torch._utils", "_rebuild_tensor_v2"): _Tensor,
    ("torch._utils", "_rebuild_parameter"): _Parameter,
    ("torch.storage", "_load_from_bytes"): _Storage,
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): _encode,
    **{(m, "_reconstructor"): _reconstructor for m in ("copy_reg", "copyreg")},
    # `object` is the base class that _reconstructor is given; chumpy keeps sets in its caches.
    **{(m, n): t for m in ("__builtin__", "builtins") for n, t in (("object", object), ("set", set))},
}

IN_CHECKPOINTS: Sequence[tuple[Callable[..., Any], str]] = (
    *((stand_in, ".".join(name)) for name, stand_in in _NUMPY.items()),
    # A class without code of its own: it holds the options of a training program.
    (Namespace, "argparse.Namespace"),
)
"""What `torch.load` may call besides its own classes, in the form of `torch.serialization.safe_globals`."""


# Python's own implementation: that in C takes memory for as many objects as a damaged file claims.
class _InertUnpickler(pickle._Unpickler):
    """Unpickler that resolves names to stand-ins and never imports anything."""

    def __init__(self, file: io.BytesIO, **options: Any) -> None:
        super().__init__(file, **options)
        self._size = len(file.getbuffer())

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _STAND_INS[module, name]
        except KeyError:
            # Any text that begins with a c looks like a name.
            if not re.fullmatch(r"[^\W\d][\w.]*", f"{module}.{name}") or not name or not module:
                raise pickle.UnpicklingError("it is not a pickle") from None
            raise RefusedError(f"{module}.{name}") from None

    def load_build(self) -> None:
        state = self.stack.pop()  # type: ignore[attr-defined]
        made = self.stack[-1]  # type: ignore[attr-defined]
        if isinstance(made, _StandIn):
            made.__setstate__(state)
        elif type(made) is not OrderedDict:
            # Functions and classes have attributes as well, which a file must not change.
            raise pickle.UnpicklingError("a state of something that has none")

    def load_bytearray8(self) -> None:
        length = int.from_bytes(self.read(8), "little")  # type: ignore[attr-defined]
        if length > self._size:
            raise pickle.UnpicklingError("pickle data was truncated")
        self.append(bytearray(self.read(length)))  # type: ignore[attr-defined]

    dispatch: ClassVar[dict[int, Callable[..., None]]] = {
        **pickle._Unpickler.dispatch,
        pickle.BUILD[0]: load_build,
        pickle.BYTEARRAY8[0]: load_bytearray8,
    }
