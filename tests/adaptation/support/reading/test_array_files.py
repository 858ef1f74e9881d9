"""NumPy's files are read whole or refused in one line, and nothing in them is executed."""

import io
import pickle
import zipfile

import fuzzing
import numpy as np
import pytest

from adaptation.support.errors import UserError
from adaptation.support.reading.array_files import names_of_arrays, open_mapped, read_arrays


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "arrays.npz"
    np.savez_compressed(path, a=np.arange(6.0).reshape(2, 3), b=np.array("text"), c=np.array([None, {}], object))
    return path


def test_chosen_arrays_are_read(archive):
    found = read_arrays(archive, keys=("a", "b", "missing"))
    assert list(found) == ["a", "b"]
    assert np.array_equal(found["a"], np.arange(6.0).reshape(2, 3)) and str(found["b"]) == "text"
    assert names_of_arrays(archive) == ("a", "b", "c")


def test_a_single_array_has_no_name(tmp_path):
    np.save(tmp_path / "one.npy", np.arange(3))
    assert list(read_arrays(tmp_path / "one.npy")) == [""]
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")  # names of files do not count
    assert np.array_equal(read_arrays(tmp_path / "one.npz")[""], np.arange(3))


def test_objects_are_refused_or_given_to_the_reader(archive):
    with pytest.raises(UserError, match="c holds Python objects, which are not loaded"):
        read_arrays(archive)
    contents = []
    assert read_arrays(archive, ("c",), read_object=lambda content: contents.append(content) or "seen") == {"c": "seen"}
    assert pickle.loads(contents[0]).shape == (2,)


def test_a_small_archive_may_not_expand_to_any_size(tmp_path, monkeypatch):
    monkeypatch.setattr("adaptation.support.reading.array_files.MOST_BYTES", 1000)
    np.savez_compressed(tmp_path / "bomb.npz", a=np.zeros(10_000))
    with pytest.raises(UserError, match="more than the limit"):
        read_arrays(tmp_path / "bomb.npz")


def test_a_header_may_not_claim_more_than_there_is(tmp_path):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)})
    with zipfile.ZipFile(tmp_path / "claim.npz", "w") as archive:
        archive.writestr("a.npy", stream.getvalue())
    with pytest.raises(UserError, match="a is truncated: 0 of 8000000000000 bytes"):
        read_arrays(tmp_path / "claim.npz")


def test_other_files_are_named(tmp_path):
    (tmp_path / "poses.npz").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(UserError, match=r"found an HDF5 file, expected an npz or npy file"):
        read_arrays(tmp_path / "poses.npz")
    with pytest.raises(UserError, match="no such file"):
        read_arrays(tmp_path / "missing.npz")
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        read_arrays(tmp_path)


def test_arrays_are_mapped(archive, tmp_path):
    np.save(tmp_path / "one.npy", np.arange(20.0))
    mapped = open_mapped(tmp_path / "one.npy")
    assert isinstance(mapped, np.memmap) and np.array_equal(mapped, np.arange(20.0))
    with pytest.raises(UserError, match="found an npz file of NumPy, expected an npy file"):
        open_mapped(archive)
    (tmp_path / "one.npy").write_bytes((tmp_path / "one.npy").read_bytes()[:-1])
    with pytest.raises(UserError, match=r"one.npy is damaged or truncated: mmap length is greater"):
        open_mapped(tmp_path / "one.npy")


def test_damaged_files_end_in_one_line(archive, tmp_path):
    np.savez(tmp_path / "plain.npz", a=np.arange(6.0), b=np.arange(3, dtype=np.uint8))
    np.save(tmp_path / "one.npy", np.arange(20.0))
    good = [path.read_bytes() for path in (archive, tmp_path / "plain.npz", tmp_path / "one.npy")]
    outcome = fuzzing.fuzz(read_arrays, good, ".npz", count=600)
    print(outcome)
    assert not outcome.findings, "\n".join(outcome.findings[:5])
    assert outcome.counts["refused"] > 300
