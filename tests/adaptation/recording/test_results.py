from dataclasses import fields

import numpy as np
import pytest

from adaptation.recording.results import _SHAPES, PersonResult
from adaptation.support.errors import UserError


def make_result(count: int = 3) -> PersonResult:
    rng = np.random.default_rng(0)
    arrays = {name: rng.random((count, *shape)).astype(np.float32) for name, shape in _SHAPES.items()}
    arrays["frame"] = np.arange(count) * 10
    return PersonResult(**arrays)


def test_round_trip(tmp_path):
    result = make_result()
    result.save(tmp_path / "person_01.npz")
    loaded = PersonResult.load(tmp_path / "person_01.npz")
    for field in fields(result):
        np.testing.assert_array_equal(getattr(loaded, field.name), getattr(result, field.name))
    assert [path.name for path in tmp_path.iterdir()] == ["person_01.npz"]


def test_file_needs_no_pickle_and_keeps_the_documented_keys(tmp_path):
    make_result().save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as data:
        documented = {"frame", "box", "pose", "betas", "camera", "joints3d", "joints2d"}
        documented |= {"iou_before", "iou_after", "loss_before", "loss_after"}
        assert documented <= set(data.files)
        assert data["frame"].dtype == np.int64
        assert data["pose"].shape == (3, 24, 3)


def test_wrong_shape_is_refused():
    with pytest.raises(ValueError, match=r"frame must have shape \(3,\)|box must have shape"):
        PersonResult(**{f.name: getattr(make_result(), f.name)[:, None] for f in fields(PersonResult)})


@pytest.mark.parametrize("content", [b"", b"not an npz", b"PK\x03\x04 broken"])
def test_corrupt_file(tmp_path, content):
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with pytest.raises(UserError, match="is not a result"):
        PersonResult.load(path)


def test_missing_file_and_missing_key(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        PersonResult.load(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", frame=np.arange(3))
    with pytest.raises(UserError, match="is not a result"):
        PersonResult.load(tmp_path / "other.npz")
