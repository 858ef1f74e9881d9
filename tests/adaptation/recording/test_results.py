from dataclasses import fields, replace

import fuzzing
import numpy as np
import pytest

from adaptation.bodies.camera import Perspective, WeakPerspective
from adaptation.recording.results import _PLACES, _SHAPES, PersonResult
from adaptation.support.errors import UserError


def make_result(count: int = 3) -> PersonResult:
    rng = np.random.default_rng(0)
    arrays = {name: rng.random((count, *shape)).astype(np.float32) for name, shape in {**_SHAPES, **_PLACES}.items()}
    arrays["frame"] = np.arange(count) * 10
    return PersonResult(**arrays)


def test_round_trip(tmp_path):
    result = make_result()
    result.save(tmp_path / "person_01.npz")
    loaded = PersonResult.load(tmp_path / "person_01.npz")
    for field in fields(result):
        np.testing.assert_array_equal(getattr(loaded, field.name), getattr(result, field.name))
    assert [path.name for path in tmp_path.iterdir()] == ["person_01.npz"]


def test_files_of_earlier_versions_say_nothing_of_places(tmp_path):
    arrays = {field.name: getattr(make_result(), field.name) for field in fields(PersonResult)}
    np.savez(tmp_path / "a.npz", **{name: array for name, array in arrays.items() if name not in _PLACES})
    loaded = PersonResult.load(tmp_path / "a.npz")
    assert loaded.intrinsics is None and isinstance(loaded.bodies([0]).camera, WeakPerspective)
    loaded.save(tmp_path / "b.npz")
    with np.load(tmp_path / "b.npz", allow_pickle=False) as data:
        assert not set(_PLACES) & set(data.files)


def test_bodies_in_perspective_are_drawn_in_it(tmp_path):
    seen = replace(make_result(), perspective=np.ones(3, np.float32))
    camera = seen.bodies([1, 2]).camera
    assert isinstance(camera, Perspective)
    np.testing.assert_array_equal(camera.translation.numpy(), seen.translation[1:])
    weak = replace(make_result(), perspective=np.zeros(3, np.float32))
    assert isinstance(weak.bodies([1, 2]).camera, WeakPerspective)


def test_meshes_are_no_results_of_a_body_model(tmp_path):
    np.savez(tmp_path / "a.npz", frame=np.arange(3), vertices=np.zeros((3, 9, 3), np.float32))
    with pytest.raises(UserError, match=r"a\.npz holds meshes without a body model, as networks without one predict"):
        PersonResult.load(tmp_path / "a.npz")


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
    with pytest.raises(UserError, match=r"found an? .+, expected an npz or npy file"):
        PersonResult.load(path)


def test_missing_file_and_missing_key(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        PersonResult.load(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", frame=np.arange(3))
    with pytest.raises(UserError, match="is not a result of `topo-adapt fit`: it lacks box, pose"):
        PersonResult.load(tmp_path / "other.npz")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pose": np.full((3, 24, 3), np.nan, np.float32)}, "pose must hold finite numbers"),
        ({"betas": np.full((3, 10), "a")}, r"betas must hold finite numbers, got <U1 of shape \(3, 10\)"),
        ({"camera": np.zeros((2, 3), np.float32)}, r"camera must have shape \(3, 3\), got \(2, 3\)"),
        ({"frame": np.array(3)}, "is not a result of `topo-adapt fit`"),
        ({"frame": np.array([None, {}, 2])}, "frame holds Python objects, which are not loaded"),
    ],
)
def test_wrong_arrays_are_named(tmp_path, changes, message):
    arrays = {field.name: getattr(make_result(), field.name) for field in fields(PersonResult)}
    np.savez(tmp_path / "a.npz", **{**arrays, **changes})
    with pytest.raises(UserError, match=message):
        PersonResult.load(tmp_path / "a.npz")


def test_numbers_of_other_programs_are_converted(tmp_path):
    arrays = {field.name: getattr(make_result(), field.name).astype(float) for field in fields(PersonResult)}
    np.savez(tmp_path / "a.npz", **arrays, mine=np.array(["what nobody knows"]))
    loaded = PersonResult.load(tmp_path / "a.npz")
    assert loaded.pose.dtype == np.float32 and loaded.frame.dtype == np.int64


def load_and_check(path):
    """Load a result; whatever is accepted is finite and typed."""
    loaded = PersonResult.load(path)
    for field in fields(loaded):
        array = getattr(loaded, field.name)
        assert np.isfinite(array).all() and array.dtype == (np.int64 if field.name == "frame" else np.float32)


def test_damaged_files_end_in_one_line(tmp_path):
    make_result().save(tmp_path / "small.npz")
    np.savez(tmp_path / "plain.npz", **{f.name: getattr(make_result(1), f.name) for f in fields(PersonResult)})
    good = [(tmp_path / name).read_bytes() for name in ("small.npz", "plain.npz")]
    outcome = fuzzing.fuzz(load_and_check, good, ".npz", count=200)
    print(outcome)
    assert not outcome.findings, "\n".join(outcome.findings[:5])
    assert outcome.counts["refused"] > 100 and outcome.counts["read"]
