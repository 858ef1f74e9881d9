"""The binary half of a glTF file: arrays, and the JSON that describes them.

Source: Khronos Group, "glTF 2.0 Specification", sections 3.6 (buffers, accessors) and 4 (GLB).
"""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import numpy.typing as npt

_COMPONENTS = {"u1": 5121, "u2": 5123, "u4": 5125, "f4": 5126}
_SHAPES: dict[tuple[int, ...], str] = {(): "SCALAR", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}
VERTICES, INDICES = 34962, 34963
"""Targets of buffer views: data of vertices, and indices of faces."""


class Arrays:
    """Arrays in one buffer, in the order in which they are added."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._views: list[dict[str, Any]] = []
        self._accessors: list[dict[str, Any]] = []

    def add(self, values: npt.ArrayLike, kind: str, *, target: int | None = None, bounds: bool = False) -> int:
        """Add an array, and return the number of its accessor.

        Args:
            values: (N,), (N, 3), (N, 4) or (N, 4, 4); matrices are stored column by column, as glTF wants them.
            kind: NumPy's name of the type of its numbers: u1, u2, u4 or f4.
            target: what it is for, if it belongs to a mesh.
            bounds: whether to store the least and the greatest values, as glTF requires of positions and times.
        """
        array = np.asarray(values).astype(f"<{kind}")
        shape = _SHAPES[array.shape[1:]]
        if shape == "MAT4":
            array = array.transpose(0, 2, 1)
        view: dict[str, Any] = {"buffer": 0, "byteOffset": len(self._data), "byteLength": array.nbytes}
        self._views.append(view | ({"target": target} if target is not None else {}))
        self._data += array.tobytes()
        self._data += bytes(-len(self._data) % 4)  # accessors of floats start at multiples of 4
        accessor: dict[str, Any] = {"bufferView": len(self._views) - 1, "componentType": _COMPONENTS[kind]}
        accessor |= {"count": len(array), "type": shape}
        if bounds:
            flat = array.reshape(len(array), -1)
            accessor |= {"min": flat.min(0).tolist(), "max": flat.max(0).tolist()}
        self._accessors.append(accessor)
        return len(self._accessors) - 1

    def glb(self, document: dict[str, Any]) -> bytes:
        """Return a GLB file of these arrays and of the rest of the JSON."""
        whole = {
            "asset": {"version": "2.0", "generator": "topo-adapt"},
            **document,
            "accessors": self._accessors,
            "bufferViews": self._views,
            "buffers": [{"byteLength": len(self._data)}],
        }
        text = json.dumps(whole, separators=(",", ":"), allow_nan=False).encode()
        text += b" " * (-len(text) % 4)
        size = 12 + 8 + len(text) + 8 + len(self._data)
        header = struct.pack("<4sII", b"glTF", 2, size) + struct.pack("<I4s", len(text), b"JSON")
        return header + text + struct.pack("<I4s", len(self._data), b"BIN\0") + bytes(self._data)
