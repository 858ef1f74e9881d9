"""Pickles are read without executing anything in them, and without the memory that they claim."""

import argparse
import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest
from scipy import sparse

from adaptation.support.reading.inert_pickle import RefusedError, plain, read_pickle

VALUES = {
    "scalar": np.float64(51.2),
    "flag": np.bool_(True),
    "text": np.str_("größe"),
    "half": np.float16(0.5),
    "array": np.arange(6, dtype=">i4").reshape(2, 3),
    "Fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "texts": np.array(["a", "bc"]),
    "dtype": np.dtype("<f4"),
    "nested": [{"a": (np.int64(3), [np.float32(0.5)])}],
    "ordered": OrderedDict(a=np.int8(1)),
    "keys": {np.int64(3): "three"},
}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", VALUES)
def test_values_come_back(name: str, protocol: int) -> None:
    value = plain(read_pickle(pickle.dumps(VALUES[name], protocol=protocol)))
    assert repr(value) == repr(VALUES[name]) and type(value) is type(VALUES[name])


@pytest.mark.parametrize("kind", ["csc_matrix", "csr_matrix", "coo_matrix", "csc_array", "csr_array", "coo_array"])
def test_sparse_matrices_become_dense(kind: str) -> None:
    dense = np.random.default_rng(0).random((5, 7)).round()
    made = getattr(sparse, kind)(dense)
    np.testing.assert_array_equal(plain(read_pickle(pickle.dumps(made))), dense)
    if kind.startswith("coo"):  # entries may occur twice
        twice = getattr(sparse, kind)((np.ones(3), ([1, 1, 4], [2, 2, 0])), shape=(5, 7))
        assert plain(read_pickle(pickle.dumps(twice)))[1, 2] == 2


def test_what_holds_itself_comes_to_an_end() -> None:
    made: list[object] = [np.int64(1)]
    made.append(made)
    value = plain(read_pickle(pickle.dumps(made)))
    assert value[0] == 1 and value[1] is value


class Attack:
    def __init__(self, function: object, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.call


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("function", [os.system, eval, exec, getattr, np.load, np.fromfile, argparse.FileType])
def test_functions_are_named_and_not_called(function: object, protocol: int) -> None:
    with pytest.raises(RefusedError, match=r"\w+\.\w+"):
        read_pickle(pickle.dumps(Attack(function, "nothing"), protocol=protocol))


@pytest.mark.parametrize("text", [b"corrupt", b"cold water\nand more\n"])
def test_text_is_not_taken_for_a_name(text: bytes) -> None:
    with pytest.raises(pickle.UnpicklingError, match="not a pickle") as caught:
        read_pickle(text)
    assert not isinstance(caught.value, RefusedError)


@pytest.mark.parametrize("name", ["numpy\nndarray", "_codecs\nencode", "numpy.core.multiarray\n_reconstruct"])
def test_stand_ins_are_not_changed_by_a_file(name: str) -> None:
    """The opcode for states would otherwise set attributes of classes and functions."""
    with pytest.raises(pickle.UnpicklingError, match="a state of something that has none"):
        read_pickle(f"c{name}\n}}(S'__defaults__'\nNub.".encode())


def test_memory_is_not_taken_for_what_a_file_claims() -> None:
    assert read_pickle(b"\x80\x02Nr\xff\xff\xff\x7f.") is None  # the memo has two thousand million places
    with pytest.raises(pickle.UnpicklingError, match="truncated"):
        read_pickle(b"\x80\x05\x96" + (1 << 40).to_bytes(8, "little") + b".")
    many = sparse.coo_matrix((np.ones(1), ([0], [0])), shape=(10**6, 10**6))
    with pytest.raises(pickle.UnpicklingError, match="too large"):
        plain(read_pickle(pickle.dumps(many)))
