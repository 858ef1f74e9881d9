"""MATLAB's files, compared with SciPy's reader."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import fuzzing
import numpy as np
import pytest

from adaptation.support.errors import UserError
from adaptation.support.reading.mat_file import read_mat_file

io = pytest.importorskip("scipy.io")

ARRAYS = {
    **{f"x{kind}": np.arange(24).reshape(2, 3, 4).astype(kind) for kind in ("f8", "f4", "u1", "i2", "u4", "i8")},
    "flag": np.array([[True, False]]),
    "empty": np.zeros((0, 3)),
    "one": np.array([[2.5]]),
}


def write(path: Path, compressed: bool) -> None:
    cell = np.empty((2, 1), object)
    cell[0, 0], cell[1, 0] = np.arange(6.0).reshape(2, 3), "text"
    people = np.empty((1, 2), dtype=[("name", object), ("point", object)])
    people[0, 0] = "Ann", np.array([[1, 2]])
    people[0, 1] = "Bo", np.zeros((0, 0))
    more = {"cell": cell, "people": people, "word": "größe", "nested": {"inner": {"x": 3.0}}}
    io.savemat(path, {**ARRAYS, **more}, do_compression=compressed)


@pytest.mark.parametrize("compressed", [False, True])
def test_everything_is_read(compressed: bool, tmp_path: Path) -> None:
    write(tmp_path / "a.mat", compressed)
    read = read_mat_file(tmp_path / "a.mat", (*ARRAYS, "cell", "people", "word", "nested", "absent"))
    theirs = io.loadmat(tmp_path / "a.mat")
    for name in ARRAYS:
        np.testing.assert_array_equal(read[name], theirs[name])
        assert read[name].dtype == theirs[name].dtype and read[name].shape == theirs[name].shape, name
    assert read["cell"].shape == (2, 1) and read["cell"][0, 0].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert read["cell"][1, 0] == "text" and read["word"] == "größe" and "absent" not in read
    assert read["people"].shape == (1, 2) and read["people"][0, 0]["name"] == "Ann"
    assert read["people"][0, 0]["point"].tolist() == [[1, 2]] and read["people"][0, 1]["point"].size == 0
    assert read["nested"][0, 0]["inner"][0, 0]["x"].tolist() == [[3.0]]


def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    io.savemat(tmp_path / "a.mat", {"number": 1.0, "complex": np.array([1j])})
    assert list(read_mat_file(tmp_path / "a.mat", ("number",))) == ["number"]
    with pytest.raises(UserError, match="complex is complex"):
        read_mat_file(tmp_path / "a.mat", ("complex",))


def test_big_endian(tmp_path: Path) -> None:
    def element(kind: int, content: bytes) -> bytes:
        return struct.pack(">II", kind, len(content)) + content + bytes(-len(content) % 8)

    inner = element(6, struct.pack(">II", 6, 0)) + element(5, struct.pack(">ii", 1, 3)) + element(1, b"x")
    inner += element(3, struct.pack(">3h", 1, -2, 300))  # doubles that are stored as short integers
    header = b"MATLAB 5.0 MAT-file".ljust(124, b" ") + struct.pack(">H", 0x0100) + b"MI"
    (tmp_path / "a.mat").write_bytes(header + element(14, inner))
    read = read_mat_file(tmp_path / "a.mat", ("x",))["x"]
    assert read.dtype == np.float64 and read.tolist() == [[1, -2, 300]]


def read_all(path: Path) -> None:
    def check(value: Any) -> None:
        assert isinstance(value, str | np.ndarray)
        if isinstance(value, np.ndarray) and value.dtype == object:
            for inner in value.ravel():
                for part in inner.values() if isinstance(inner, dict) else [inner]:
                    check(part)

    for value in read_mat_file(path, (*ARRAYS, "cell", "people", "word", "nested")).values():
        check(value)


@pytest.mark.parametrize("compressed", [False, True])
def test_damaged_files_are_refused(compressed: bool, tmp_path: Path) -> None:
    write(tmp_path / "a.mat", compressed)
    outcome = fuzzing.fuzz(read_all, [(tmp_path / "a.mat").read_bytes()], ".mat", count=500)
    assert not outcome.findings, "\n".join([str(outcome), *outcome.findings[:5]])
    assert outcome.counts["refused"] > 50
