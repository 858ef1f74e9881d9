"""MATLAB's files of version 5 to 7 (MAT-file level 5). Nothing in a file is executed.

Source of the format: MathWorks, "MAT-File Format". SciPy's reader is not used, because damaged files make it end the
process (seen with SciPy 1.17); here every length is checked before it is used.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from adaptation.support.errors import UserError, reason

Array = npt.NDArray[Any]
MOST_BYTES = 4 << 30  # of one variable: a small file can expand to any size
_HEADER, _DEEPEST = 128, 32
_START = 1024  # bytes of a variable in which its name stands
_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TAGS = {order: struct.Struct(f"{order}II") for order in "<>"}
_STORED = {(order, kind): np.dtype(order + name) for order in "<>" for kind, name in _NUMBERS.items()}
_TEXTS = {16: "utf-8", 17: "utf-16", 18: "utf-32"}
_CELL, _STRUCT, _CHAR = 1, 2, 4
_CLASSES = {
    kind: np.dtype(name)
    for kind, name in enumerate(("f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"), start=6)
}
_OTHERS = {3: "an object", 5: "a sparse matrix", 16: "a function", 17: "an object"}


class _Damaged(Exception):
    """The bytes are not what the format says."""


def read_mat_file(path: Path, names: Collection[str]) -> dict[str, Any]:
    """Read variables of a file.

    Args:
        path: the file, whose first bytes are "MATLAB 5.0".
        names: names of the variables. Others are not read, and those that are not there are missing in the result.

    Returns:
        Variables by name. Numbers are arrays with MATLAB's dimensions, of which there are two at least; text is str; a
        cell array is an array of objects; a struct array is an array of dicts.

    Raises:
        UserError: the file is damaged, or a variable is of a kind that is not read.
    """
    try:
        content = path.read_bytes()
        order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
        if order is None:
            raise _Damaged("its header is cut off")
        found: dict[str, Any] = {}
        for element in _matrices(memoryview(content)[_HEADER:], order, names):
            name, value = _Variable(element, order).named()
            found[name] = value
        return found
    except (_Damaged, zlib.error, ValueError, OverflowError, MemoryError) as error:
        raise UserError(f"{path} is damaged or truncated: {reason(error)}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None


def _matrices(data: memoryview, order: str, names: Collection[str]) -> Iterator[memoryview]:
    """Yield the contents of the variables of these names, decompressed."""
    reader = _Elements(data, order)
    while reader.left >= 8:
        kind, content = reader.next()
        if kind == _COMPRESSED:
            # The name stands at the start: no other variable is decompressed.
            start = memoryview(zlib.decompressobj().decompress(content, _START))
            if _Variable(start[8:], order).name() not in names:
                continue
            expand = zlib.decompressobj()
            whole = memoryview(expand.decompress(content, MOST_BYTES))
            if not expand.eof:
                raise _Damaged("a compressed variable is cut off or too large")
            kind, content = _Elements(whole, order).next()
        # Other kinds belong to objects.
        if kind == _MATRIX and _Variable(content, order).name() in names:
            yield content


class _Elements:
    """Reads the elements of a stretch of bytes: a kind, a length and the content, in multiples of 8 bytes."""

    def __init__(self, data: memoryview, order: str) -> None:
        self._data, self._order, self._place = data, order, 0

    @property
    def left(self) -> int:
        """Number of bytes that were not read."""
        return len(self._data) - self._place

    def next(self) -> tuple[int, memoryview]:
        """Return the kind and the content of the next element."""
        if self.left < 8:
            raise _Damaged("an element is cut off")
        first, second = _TAGS[self._order].unpack_from(self._data, self._place)
        if first >> 16:
            # Up to four bytes are stored with their length in the upper half of the kind.
            kind, length, start, end = first & 0xFFFF, first >> 16, self._place + 4, self._place + 8
            if length > 4:
                raise _Damaged("a short element is longer than 4 bytes")
        else:
            kind, length, start = first, second, self._place + 8
            padded = length if kind == _COMPRESSED else -(-length // 8) * 8
            end = start + padded
        if start + length > len(self._data):
            raise _Damaged(f"{length} bytes are announced, and {len(self._data) - start} are left")
        self._place = min(end, len(self._data))
        return kind, self._data[start : start + length]

    def numbers(self) -> Array:
        """Return the next element, of numbers."""
        kind, content = self.next()
        if kind not in _NUMBERS:
            raise _Damaged(f"numbers of the unknown kind {kind}")
        return np.frombuffer(content, _STORED[self._order, kind])


class _Variable:
    """One array of a file, whose content is not read before it is asked for."""

    def __init__(self, content: memoryview, order: str, depth: int = 0) -> None:
        if depth > _DEEPEST:
            raise _Damaged("cells and structs are nested too deeply")
        self._elements, self._order, self._depth = _Elements(content, order), order, depth

    def name(self) -> str:
        """Return the name alone; nothing else can be read after it."""
        return self._head()[3]

    def named(self) -> tuple[str, Any]:
        """Return the name and the value."""
        head = self._head()
        return head[3], self._value(*head)

    def value(self) -> Any:
        """Return the value of an array within another one."""
        return self._value(*self._head()) if self._elements.left else np.zeros((0, 0))

    def _head(self) -> tuple[int, bool, tuple[int, ...], str]:
        flags, dimensions = self._elements.numbers(), self._elements.numbers()
        name = bytes(self._elements.next()[1]).decode("latin-1")
        shape = tuple(dimensions.tolist())
        if len(flags) != 2 or len(shape) < 2 or min(shape) < 0:
            raise _Damaged("an array has no valid dimensions")
        bits = int(flags[0])
        return bits & 0xFF, bool(bits & 0x800), shape, name

    def _value(self, kind: int, complex_: bool, shape: tuple[int, ...], name: str) -> Any:
        count = math.prod(shape)
        if kind in _CLASSES and not complex_:
            values = self._elements.numbers()
            if len(values) != count:
                raise _Damaged(f"{len(values)} numbers for the dimensions {shape}")
            return values.astype(_CLASSES[kind]).reshape(shape, order="F")
        if kind == _CHAR:
            return self._text(count)
        if kind == _CELL:
            self._checked(count)
            return self._objects([self._inner() for _ in range(count)], shape)
        if kind == _STRUCT:
            fields = self._fields()
            self._checked(count * max(len(fields), 1))
            return self._objects([{field: self._inner() for field in fields} for _ in range(count)], shape)
        raise _Damaged(f"{name or 'a part'} is {'complex' if complex_ else _OTHERS.get(kind, 'of an unknown class')}")

    def _inner(self) -> Any:
        kind, content = self._elements.next()
        if kind != _MATRIX:
            raise _Damaged("a cell or a field is no array")
        return _Variable(content, self._order, self._depth + 1).value()

    def _checked(self, parts: int) -> None:
        """Compare a number of parts with the bytes that are left, 8 for each at least."""
        if parts > self._elements.left // 8 + 1:
            raise _Damaged(f"{parts} parts are announced in {self._elements.left} bytes")

    def _fields(self) -> list[str]:
        length = self._elements.numbers()
        names = bytes(self._elements.next()[1])
        if len(length) != 1 or int(length[0]) < 1 or len(names) % int(length[0]):
            raise _Damaged("the names of a struct's fields are cut off")
        size = int(length[0])
        return [names[place : place + size].split(b"\0")[0].decode("latin-1") for place in range(0, len(names), size)]

    def _text(self, count: int) -> str:
        kind, content = self._elements.next()
        if kind in _TEXTS:
            endian = "" if kind == 16 else {"<": "-le", ">": "-be"}[self._order]
            return bytes(content).decode(_TEXTS[kind] + endian)
        if kind not in _NUMBERS:
            raise _Damaged(f"text of the unknown kind {kind}")
        letters = np.frombuffer(content, np.dtype(self._order + _NUMBERS[kind]))
        if len(letters) != count:
            raise _Damaged(f"{len(letters)} letters for {count}")
        return "".join(chr(int(letter)) for letter in letters)

    @staticmethod
    def _objects(values: list[Any], shape: tuple[int, ...]) -> Array:
        array = np.empty(len(values), object)
        for place, value in enumerate(values):
            array[place] = value
        return array.reshape(shape, order="F")
