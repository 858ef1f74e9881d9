"""SMPL files: read without executing code, and refused if damaged or hostile."""

from __future__ import annotations

import io
import os
import pickle
import struct
import sys
import types
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from scipy import sparse

from adaptation.bodies.smpl_file import PARENTS, load_smpl
from adaptation.support.errors import UserError

V = 40


def smpl_arrays(seed: int = 0, vertices: int = V) -> dict[str, np.ndarray]:
    """Return random arrays in SMPL's layout."""
    random = np.random.default_rng(seed)

    def share(*shape: int) -> np.ndarray:
        values = random.random(shape) ** 4
        return values / values.sum(axis=1, keepdims=True)

    return {
        "v_template": random.normal(size=(vertices, 3)),
        "shapedirs": random.normal(size=(vertices, 3, 10)) * 0.03,
        "posedirs": random.normal(size=(vertices, 3, 207)) * 0.01,
        "J_regressor": share(24, vertices),
        "weights": share(vertices, 24),
        # As in SMPL's files: unsigned, the root's parent is 2**32 - 1.
        "kintree_table": np.array([[2**32 - 1, *PARENTS[1:]], range(24)], np.uint32),
        "f": random.integers(0, vertices, (50, 3)).astype(np.uint32),
    }


class Python2Pickler(pickle._Pickler):
    """Pickler that writes bytes as Python 2 did, as its str."""

    dispatch: ClassVar[dict] = dict(pickle._Pickler.dispatch)

    def save_str(self, value: bytes) -> None:
        self.write(pickle.BINSTRING + struct.pack("<i", len(value)) + value)
        self.memoize(value)

    dispatch[bytes] = save_str


def chumpy_pickle(values: dict[str, np.ndarray], how: int | str) -> bytes:
    """Pickle the arrays as SMPL's authors did: chumpy objects, a csc matrix, and keys that are not read."""
    package, ch, reordering = (types.ModuleType(n) for n in ("chumpy", "chumpy.ch", "chumpy.reordering"))
    ch.Ch = type("Ch", (), {"__module__": "chumpy.ch"})
    reordering.Select = type("Select", (ch.Ch,), {"__module__": "chumpy.reordering"})
    package.ch, package.reordering = ch, reordering

    def wrap(array: np.ndarray) -> object:
        value = ch.Ch()
        value.__dict__.update(x=array, _cache={"drs": set()}, _itr=None)
        return value

    shapes = values["shapedirs"]
    # Select stores the values in another order, with indices that restore it.
    order = np.random.default_rng(1).permutation(shapes.size)
    stored = np.empty(shapes.size)
    stored[order] = shapes.ravel()
    select = reordering.Select()
    select.__dict__.update(a=wrap(stored.reshape(shapes.shape)), idxs=order, preferred_shape=shapes.shape)
    content = {
        **values,
        "v_template": wrap(np.asfortranarray(values["v_template"])),
        "shapedirs": select,
        "J_regressor": sparse.csc_matrix(values["J_regressor"]),
        "bs_type": "lrotmin",
        "pose_training_info": {"n": np.float64(3.0)},
    }
    buffer = io.BytesIO()
    modules = {"chumpy": package, "chumpy.ch": ch, "chumpy.reordering": reordering}
    sys.modules.update(modules)
    try:
        if how == "python2":
            Python2Pickler(buffer, protocol=2).dump(content)
        else:
            pickle.dump(content, buffer, protocol=how)
    finally:
        for name in modules:
            del sys.modules[name]
    return buffer.getvalue()


@pytest.mark.parametrize("how", ["python2", 0, 2, 3, 4, 5])
def test_reads_smpl_pickles_without_chumpy(tmp_path: Path, how: int | str) -> None:
    values = smpl_arrays()
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    path.write_bytes(chumpy_pickle(values, how))
    arrays = load_smpl(path)
    for key in ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "f"):
        np.testing.assert_array_equal(getattr(arrays, key), values[key], err_msg=key)
    assert not any(name.startswith("chumpy") for name in sys.modules)


def test_npz_equals_pickle(tmp_path: Path) -> None:
    values = smpl_arrays()
    np.savez(tmp_path / "body.npz", **values)
    arrays = load_smpl(tmp_path / "body.npz")
    for key in ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "f"):
        np.testing.assert_array_equal(getattr(arrays, key), values[key], err_msg=key)


def test_takes_the_first_ten_shape_directions(tmp_path: Path) -> None:
    values = smpl_arrays()
    many = np.random.default_rng(2).normal(size=(V, 3, 300))
    np.savez(tmp_path / "body.npz", **{**values, "shapedirs": many})
    np.testing.assert_array_equal(load_smpl(tmp_path / "body.npz").shapedirs, many[..., :10])


class Attack:
    def __init__(self, function: object, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 5])
@pytest.mark.parametrize("kind", ["system", "eval", "getattr"])
def test_executes_nothing(tmp_path: Path, kind: str, protocol: int) -> None:
    marker = tmp_path / "ran"
    attack, name = {
        "system": (Attack(os.system, f"touch {marker}"), "system"),
        "eval": (Attack(eval, f"open({str(marker)!r}, 'w')"), "eval"),
        "getattr": (Attack(getattr, marker, "touch"), "getattr"),
    }[kind]
    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps({**smpl_arrays(), "bs_type": attack}, protocol=protocol))
    with pytest.raises(UserError, match=rf"refused: loading it could run code.*{name}") as caught:
        load_smpl(path)
    assert not marker.exists()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("inert", ["numpy.core.multiarray\nfromfile", "numpy\nload", "scipy.sparse\nload_npz"])
def test_refuses_other_names_of_allowed_packages(tmp_path: Path, inert: str) -> None:
    path = tmp_path / "evil.pkl"
    path.write_bytes(f"c{inert}\n(S'x'\ntR.".encode())
    with pytest.raises(UserError, match="refused"):
        load_smpl(path)


def test_damaged_files_are_one_line_errors(tmp_path: Path) -> None:
    values = smpl_arrays()
    np.savez(tmp_path / "body.npz", **values)
    whole = {"a.pkl": chumpy_pickle(values, 2), "a.npz": (tmp_path / "body.npz").read_bytes()}
    random = np.random.default_rng(0)
    damaged = [b"", b"\x80", b"PK\x03\x04"]
    damaged += [content[: len(content) * part // 10] for content in whole.values() for part in range(1, 10)]
    damaged += [random.bytes(n) for n in (1, 10, 100, 1000)]
    damaged += [bytes([first]) + random.bytes(200) for first in range(256)]
    damaged += [pickle.dumps(thing) for thing in ([1, 2], None)]
    path = tmp_path / "body"
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(UserError, match="is not a readable") as caught:
            load_smpl(path)
        assert "\n" not in str(caught.value)


def test_missing_file() -> None:
    with pytest.raises(UserError, match=r"cannot read the body model nowhere/SMPL\.pkl"):
        load_smpl("nowhere/SMPL.pkl")


def broken(key: str, index: tuple[int, ...], value: float) -> dict[str, np.ndarray]:
    array = smpl_arrays()[key].copy()
    array[index] = value
    return {key: array}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": np.ones((V, 25)) / 25}, r"expected weights of shape \(40, 24\), got \(40, 25\)"),
        ({"v_template": np.ones((V, 2))}, "expected v_template of shape"),
        ({"v_template": np.ones((0, 3))}, "expected v_template of shape"),
        ({"shapedirs": np.ones((V, 3, 9))}, "at least 10 directions, got 9"),
        ({"posedirs": np.ones((V, 3, 200))}, "expected posedirs of shape"),
        ({"J_regressor": np.ones((V, 24))}, "expected J_regressor of shape"),
        ({"kintree_table": np.zeros((2, 24), np.int64)}, "kintree_table is not SMPL's tree"),
        ({"kintree_table": np.zeros((2, 52), np.int64)}, "expected kintree_table of shape"),
        ({"f": np.full((5, 3), V)}, "f must hold vertex indices"),
        ({"f": np.zeros((5, 3))}, "f must hold vertex indices"),
        ({"v_template": np.array([["a", "b", "c"]] * V)}, "v_template is not an array of numbers"),
        (broken("v_template", (3, 1), np.nan), "v_template holds NaN"),
        (broken("posedirs", (3, 1, 7), np.inf), "posedirs holds NaN or infinity"),
        (broken("weights", (0, 0), -0.5), "weights must not be negative"),
        (broken("weights", (0, 0), 2.0), "must sum to 1"),
    ],
)
def test_wrong_arrays(tmp_path: Path, change: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "body.npz", **{**smpl_arrays(), **change})
    with pytest.raises(UserError, match=message):
        load_smpl(tmp_path / "body.npz")


def test_missing_keys(tmp_path: Path) -> None:
    values = smpl_arrays()
    del values["weights"], values["f"]
    np.savez(tmp_path / "body.npz", **values)
    with pytest.raises(UserError, match="lacks weights, f"):
        load_smpl(tmp_path / "body.npz")


def test_npz_with_pickled_objects_is_refused(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    values = {**smpl_arrays(), "f": np.array([Attack(os.system, f"touch {marker}")], dtype=object)}
    np.savez(tmp_path / "body.npz", **values)
    with pytest.raises(UserError, match="not a readable npz"):
        load_smpl(tmp_path / "body.npz")
    assert not marker.exists()


def test_sparse_matrix_that_points_outside(tmp_path: Path) -> None:
    values = smpl_arrays()
    matrix = sparse.csc_matrix(values["J_regressor"])
    matrix.indices[0] = 99
    path = tmp_path / "body.pkl"
    path.write_bytes(pickle.dumps({**values, "J_regressor": matrix}, protocol=2))
    with pytest.raises(UserError, match="is not a readable SMPL pickle"):
        load_smpl(path)
