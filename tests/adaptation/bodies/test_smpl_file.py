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

import fuzzing
import numpy as np
import pytest
import torch
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


CLEANED = {
    "csr": ("J_regressor", sparse.csr_matrix),
    "coo": ("J_regressor", sparse.coo_matrix),
    "csr array": ("J_regressor", sparse.csr_array),
    "coo array": ("J_regressor", sparse.coo_array),
    "csc array": ("J_regressor", sparse.csc_array),
    "tensor": ("v_template", torch.from_numpy),
    "float32 tensor": ("v_template", lambda array: torch.from_numpy(array).float()),
    "parameter": ("v_template", lambda array: torch.nn.Parameter(torch.from_numpy(array))),
    "transposed tensor": ("v_template", lambda array: torch.from_numpy(array.T.copy()).T),
}


@pytest.mark.parametrize("how", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("kind", CLEANED)
def test_cleaned_pickles(kind: str, how: int, tmp_path: Path) -> None:
    values, (key, clean) = smpl_arrays(), CLEANED[kind]
    extra = {"bs_style": "lbs", "vert_sym_idxs": np.arange(3), "numbers": np.float64(3.5), "names": ["a", ("b",)]}
    (tmp_path / "clean.pkl").write_bytes(pickle.dumps({**values, **extra, key: clean(values[key])}, protocol=how))
    arrays = load_smpl(tmp_path / "clean.pkl")
    np.testing.assert_allclose(getattr(arrays, key), values[key], rtol=1e-6)
    np.testing.assert_array_equal(arrays.posedirs, values["posedirs"])


@pytest.mark.parametrize("kind", CLEANED)
def test_cleaned_npz_files_and_files_of_torch(kind: str, tmp_path: Path) -> None:
    values, (key, clean) = smpl_arrays(), CLEANED[kind]
    cleaned = {**values, key: clean(values[key])}
    if "parameter" not in kind:  # NumPy refuses to convert it
        np.savez(tmp_path / "clean.npz", **cleaned)
        np.save(tmp_path / "dict.npy", cleaned, allow_pickle=True)
    if "J_regressor" not in key:  # torch refuses SciPy's classes
        torch.save(cleaned, tmp_path / "clean.pt")
    assert len(list(tmp_path.iterdir())) >= 1
    for path in tmp_path.iterdir():
        np.testing.assert_allclose(getattr(load_smpl(path), key), values[key], rtol=1e-6)


def test_arrays_of_python_numbers(tmp_path: Path) -> None:
    values = smpl_arrays()
    np.savez(tmp_path / "body.npz", **{**values, "weights": values["weights"].astype(object)})
    np.testing.assert_array_equal(load_smpl(tmp_path / "body.npz").weights, values["weights"])


@pytest.mark.parametrize(
    ("joints", "poses", "message"),
    [
        (52, 459, r"is SMPL-H \(52 joints\), expected SMPL \(24 joints\)"),
        (55, 486, r"is SMPL-X \(55 joints\), expected SMPL"),
        (16, 135, r"is MANO \(16 joints\), expected SMPL"),
        (5, 36, r"is FLAME \(5 joints\), expected SMPL"),
        (24, 93, r"is STAR \(24 joints, 93 pose blend shapes\), expected SMPL"),
    ],
)
@pytest.mark.parametrize("suffix", [".npz", ".pkl"])
def test_other_body_models_are_named(joints: int, poses: int, message: str, suffix: str, tmp_path: Path) -> None:
    values = smpl_arrays() | {
        "weights": np.full((V, joints), 1 / joints),
        "J_regressor": np.full((joints, V), 1 / V),
        "posedirs": np.zeros((V, 3, poses)),
        "kintree_table": np.zeros((2, joints), np.int64),
    }
    path = tmp_path / f"body{suffix}"
    if suffix == ".npz":
        np.savez(path, **values)
    else:
        path.write_bytes(chumpy_pickle(values, 2))
    with pytest.raises(UserError, match=message) as caught:
        load_smpl(path)
    assert "\n" not in str(caught.value) and "SMPL_NEUTRAL.pkl" in str(caught.value)


def test_other_kinds_of_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "body.pkl").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(UserError, match="found an HDF5 file, expected a body model in SMPL's layout"):
        load_smpl(tmp_path / "body.pkl")


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


def read_body(path: Path) -> None:
    """Read a body model; whatever is accepted has finite arrays of one size."""
    arrays = load_smpl(path)
    count = len(arrays.v_template)
    assert arrays.weights.shape == (count, 24) and arrays.J_regressor.shape == (24, count)
    assert arrays.f.max() < count
    for array in (arrays.v_template, arrays.shapedirs, arrays.weights, arrays.J_regressor):
        assert np.isfinite(array).all()


def test_damaged_files_end_in_one_line(tmp_path: Path) -> None:
    values = smpl_arrays(vertices=12)
    np.savez(tmp_path / "body.npz", **values)
    np.savez_compressed(tmp_path / "objects.npz", **{**values, "J_regressor": sparse.csr_matrix(values["J_regressor"])})
    torch.save(
        {key: torch.from_numpy(value.astype(np.int64 if key == "f" else float)) for key, value in values.items()},
        tmp_path / "body.pt",
    )
    good = [path.read_bytes() for path in sorted(tmp_path.iterdir())]
    good += [chumpy_pickle(values, how) for how in ("python2", 0, 2, 5)]
    outcome = fuzzing.fuzz(read_body, good, ".pkl", count=500)
    print(outcome)
    assert not outcome.findings, "\n".join(outcome.findings[:5])
    assert outcome.counts["refused"] > 300 and outcome.counts["read"]


@pytest.mark.parametrize("thing", [[1, 2], None, "text", {"v_template": 3}], ids=str)
def test_pickles_of_other_things(thing: object, tmp_path: Path) -> None:
    (tmp_path / "body.pkl").write_bytes(pickle.dumps(thing))
    with pytest.raises(UserError, match=r"expected a dict of SMPL's arrays|it lacks shapedirs, posedirs") as caught:
        load_smpl(tmp_path / "body.pkl")
    assert "\n" not in str(caught.value)


def test_a_damaged_pickle_takes_no_memory_for_what_it_claims(tmp_path: Path) -> None:
    """Python's own unpickler in C would take 32 GiB for the memo, and 1 TiB for the array of bytes."""
    for claim in (b"\x80\x02Nr\xff\xff\xff\x7f.", b"\x80\x05\x96" + (1 << 40).to_bytes(8, "little") + b"."):
        (tmp_path / "body.pkl").write_bytes(claim)
        with pytest.raises(UserError, match=r"damaged|holds a NoneType"):
            load_smpl(tmp_path / "body.pkl")


def test_missing_file() -> None:
    with pytest.raises(UserError, match=r"no such file: nowhere/SMPL\.pkl"):
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
    with pytest.raises(UserError, match=r"refused: loading it could run code: it names posix\.system"):
        load_smpl(tmp_path / "body.npz")
    assert not marker.exists()


def test_sparse_matrix_that_points_outside(tmp_path: Path) -> None:
    values = smpl_arrays()
    matrix = sparse.csc_matrix(values["J_regressor"])
    matrix.indices[0] = 99
    path = tmp_path / "body.pkl"
    path.write_bytes(pickle.dumps({**values, "J_regressor": matrix}, protocol=2))
    with pytest.raises(UserError, match="J_regressor cannot be read"):
        load_smpl(path)
