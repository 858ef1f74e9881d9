from __future__ import annotations

import json
import shutil
from dataclasses import fields, replace
from pathlib import Path

import fuzzing
import numpy as np
import pytest
import torch

from adaptation.bodies.body import Body
from adaptation.bodies.joint_sets import LSP, SMPL
from adaptation.data.samples import Samples, is_crop_set
from adaptation.support.errors import UserError

COUNT, SIZE = 5, 8


def every_part() -> Samples:
    """Crops with everything that can be known."""
    random = np.random.default_rng(0)

    def floats(*shape: int) -> np.ndarray:
        return random.random((COUNT, *shape)).astype(np.float32)

    flags = np.array([True, False, True, True, False])
    return Samples(
        images=random.integers(0, 256, (COUNT, SIZE, SIZE, 3), np.uint8),
        masks=random.integers(0, 2, (COUNT, 3, SIZE, SIZE), np.uint8),
        clip=np.array([0, 0, 1, 1, 2]), subject=np.array([4, 4, 5, 5, 6]), view=np.arange(COUNT),
        frame=np.arange(COUNT), head_size=floats(),
        box=floats(4), frame_size=floats(2), intrinsics=floats(3, 3),
        pose=floats(24, 3), betas=floats(7), camera=floats(3),
        keypoints=floats(14, 3), joints3d=floats(14, 4), vertices=floats(11, 3),
        parts=random.integers(0, 25, (COUNT, SIZE, SIZE), np.uint8),
        has_pose=flags, has_camera=~flags, has_vertices=flags, has_parts=~flags,
        joint_set=LSP.name, body="smpl-abc",
    )  # fmt: skip


def images_alone() -> Samples:
    return Samples(images=every_part().images)


PARTS = [field.name for field in fields(Samples) if field.name not in ("images", "joint_set", "body")]


def assert_equal(one: Samples, other: Samples) -> None:
    for field in fields(Samples):
        first, second = getattr(one, field.name), getattr(other, field.name)
        if isinstance(second, np.ndarray):
            assert first.dtype == second.dtype, field.name
            np.testing.assert_array_equal(first, second, err_msg=field.name)
        else:
            assert first == second, field.name


def test_every_part_comes_back(tmp_path: Path) -> None:
    assert all(getattr(every_part(), name) is not None for name in PARTS)
    every_part().save(tmp_path / "set", {"made": "by hand"})
    assert_equal(Samples.load(tmp_path / "set"), every_part())
    assert json.loads((tmp_path / "set" / "domain.json").read_text()) == {"made": "by hand"}
    assert is_crop_set(tmp_path / "set") and not is_crop_set(tmp_path)


@pytest.mark.parametrize("name", [name for name in PARTS if name != "clip"])
def test_every_part_may_be_missing(name: str, tmp_path: Path) -> None:
    some = replace(every_part(), **{name: None})
    some.save(tmp_path / "set", {})
    loaded = Samples.load(tmp_path / "set")
    assert getattr(loaded, name) is None
    assert_equal(loaded, some)
    assert_equal(some.take(slice(1, 3)).take(np.array([1])), some.take(np.array([2])))


def test_crops_alone(tmp_path: Path) -> None:
    alone = images_alone()
    assert len(alone) == COUNT and alone.size == SIZE and not alone.labelled
    assert not any(alone.has(name).any() for name in PARTS if not name.startswith("has_"))
    assert alone.sequences.tolist() == [0, 1, 2, 3, 4]
    alone.save(tmp_path / "set", {})
    assert_equal(Samples.load(tmp_path / "set"), alone)
    with pytest.raises(UserError, match=r"no masks \(masks\.npy\)"):
        alone.mask_batch(slice(None))


def test_save_and_load(source: Samples, tmp_path: Path) -> None:
    source.save(tmp_path / "set", {"name": "x"})
    loaded = Samples.load(tmp_path / "set")
    for name in ("images", "masks", "clip", "pose", "betas", "camera"):
        assert np.array_equal(getattr(loaded, name), getattr(source, name))
    replace(source, pose=None, betas=None, camera=None).save(tmp_path / "unlabelled", {})
    assert Samples.load(tmp_path / "unlabelled").pose is None


def test_folders_of_older_versions_still_load(source: Samples, body: Body, tmp_path: Path) -> None:
    """They have no name of a body or of a joint set, and no flags; keypoints are at SMPL's joints."""
    source.save(tmp_path / "set", {})
    found = np.ones((24, 24, 3), np.float32)
    old = {name: getattr(source, name) for name in ("clip", "pose", "betas", "camera")}
    np.savez(tmp_path / "set" / "labels.npz", **old, keypoints=found)
    loaded = Samples.load(tmp_path / "set")
    assert loaded.body == "free" and loaded.joints is SMPL and loaded.labelled
    assert torch.equal(loaded.bodies(body).betas, torch.from_numpy(source.betas))
    assert loaded.has("pose").all() and loaded.has("keypoints").all()


def test_flags_say_which_crops_have_a_part() -> None:
    samples = every_part()
    for name, flags in (
        ("pose", samples.has_pose), ("betas", samples.has_pose), ("camera", samples.has_camera),
        ("vertices", samples.has_vertices), ("parts", samples.has_parts),
    ):  # fmt: skip
        assert np.array_equal(samples.has(name), flags) and flags.any() and not flags.all()
    assert samples.has("masks").all() and samples.has("box").all()
    unflagged = replace(samples, has_pose=None)
    assert unflagged.has("pose").all() and unflagged.has("betas").all()


@pytest.mark.parametrize("name", ["keypoints", "joints3d"])
def test_keypoints_have_their_own_confidence(name: str) -> None:
    array = getattr(every_part(), name).copy()
    array[3, :, -1] = 0
    array[4, 1:, -1] = 0
    assert replace(every_part(), **{name: array}).has(name).tolist() == [True, True, True, False, True]


def test_partial_labels_are_not_labelled(source: Samples, body: Body) -> None:
    assert source.labelled
    some = np.arange(24) > 0
    for changes in ({"pose": None}, {"betas": None}, {"camera": None}, {"has_pose": some}, {"has_camera": some}):
        partial = replace(source, **changes)
        assert not partial.labelled
        with pytest.raises(UserError, match=r"no labels \(pose, betas, camera\)"):
            partial.bodies(body)
    assert replace(source, has_pose=np.ones(24, bool), has_camera=np.ones(24, bool)).labelled
    assert replace(source, has_pose=some, has_camera=some).take(slice(1, None)).labelled


def test_labels_are_for_their_own_body(source: Samples, body: Body) -> None:
    assert len(source.bodies(body)) == 24
    foreign = replace(source, body="smpl-abc")
    with pytest.raises(
        UserError, match="belong to the body model 'smpl-abc', not to 'free'; choose it with --body"
    ) as refused:
        foreign.bodies(body)
    assert "\n" not in str(refused.value)
    with pytest.raises(UserError, match="'smpl-abc', not to 'free'"):
        foreign.check_body(body)
    replace(foreign, betas=None).check_body(body)  # without shape coefficients nothing belongs to a body


def test_images_and_masks_as_batches() -> None:
    samples = every_part()
    index = np.array([4, 1])
    images = samples.image_batch(index)
    assert images.shape == (2, 3, SIZE, SIZE) and images.dtype == torch.float32
    assert images[1, 2, 3, 4] == samples.images[1, 3, 4, 2] / 255
    for number, kind in enumerate(("truth", "subtracted", "degraded")):
        masks = samples.mask_batch(index, kind)
        assert masks.shape == (2, 1, SIZE, SIZE) and np.array_equal(masks[:, 0], samples.masks[index, number])


def test_labels_are_replaced_and_what_is_not_known_stays(tmp_path: Path) -> None:
    every_part().save(tmp_path, {})
    with np.load(tmp_path / "labels.npz") as data:
        labels = {**data, "mine": np.arange(3)}
    np.savez(tmp_path / "labels.npz", **labels)
    found = np.zeros((COUNT, 24, 3), np.float32)
    replace(Samples.load(tmp_path), keypoints=found, joints3d=None, joint_set=SMPL.name).save_labels(tmp_path)
    loaded = Samples.load(tmp_path)
    assert loaded.joint_set == "smpl" and np.array_equal(loaded.keypoints, found) and loaded.joints3d is None
    with np.load(tmp_path / "labels.npz") as data:
        assert data["mine"].tolist() == [0, 1, 2]


def test_broken_sets_are_refused(source: Samples, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a crop set"):
        Samples.load(tmp_path)
    replace(source, masks=source.masks[:3]).save(tmp_path / "short", {})
    with pytest.raises(UserError, match=r"masks must have shape \(24, 3, 48, 48\)"):
        Samples.load(tmp_path / "short")
    source.save(tmp_path / "cut", {})
    (tmp_path / "cut" / "images.npy").write_bytes((tmp_path / "cut" / "images.npy").read_bytes()[:1000])
    with pytest.raises(UserError, match="not a crop set"):
        Samples.load(tmp_path / "cut")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"joint_set": "coco"}, "unknown joint set 'coco'; known are smpl, lsp, openpose, spin, h36m"),
        ({"keypoints": np.zeros((COUNT, 24, 3), np.float32)}, r"keypoints must have shape \(5, 14, 3\), got \(5, 24"),
        ({"has_pose": np.ones(4, bool)}, r"has_pose must have shape \(5,\), got \(4,\)"),
        ({"has_pose": np.ones(COUNT, np.uint8)}, "has_pose must be bool, got uint8"),
        ({"subject": np.ones(COUNT, np.float32)}, "subject must be int64, got float32"),
        ({"pose": np.zeros((COUNT, 52, 3), np.float32)}, r"pose must have shape \(5, 24, 3\)"),
        ({"intrinsics": np.full((COUNT, 3, 3), np.nan, np.float32)}, "intrinsics has numbers that are not finite"),
        ({"parts": np.zeros((COUNT, SIZE, 4), np.uint8)}, r"parts must have shape \(5, 8, 8\)"),
        ({"masks": np.full((COUNT, 3, SIZE, SIZE), 255, np.uint8)}, "masks must hold 0 and 1, got 255"),
        ({"images": np.zeros((0, SIZE, SIZE, 3), np.uint8)}, "has no crops"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_parts_that_do_not_fit_are_named(changes: dict[str, object], message: str, tmp_path: Path) -> None:
    replace(every_part(), **changes).save(tmp_path / "set", {})
    with pytest.raises(UserError, match=message) as refused:
        Samples.load(tmp_path / "set")
    assert "\n" not in str(refused.value) and str(tmp_path) in str(refused.value)


def test_what_is_wrong_with_a_folder_is_said(tmp_path: Path) -> None:
    def refused(message: str) -> None:
        with pytest.raises(UserError, match=f"set is not a crop set: .*{message}"):
            Samples.load(tmp_path / "set")

    every_part().save(tmp_path / "set", {})
    labels = tmp_path / "set" / "labels.npz"
    labels.write_bytes(b"<html>")
    refused("labels.npz: found an XML or HTML file, expected an npz or npy file")
    np.savez(labels, pose=np.array([None, {}]))
    refused("pose holds Python objects, which are not loaded")
    labels.unlink()
    refused("no such file: .*labels.npz")
    np.save(tmp_path / "set" / "masks.npy", np.array([None, {}]))
    refused("masks.npy is damaged or truncated: Array can't be memory-mapped: Python objects")
    (tmp_path / "set" / "images.npy").write_bytes(b"\x89PNG\r\n\x1a\n")
    refused("images.npy: found a PNG image, expected an npy file of NumPy")


def test_images_stay_on_the_disk(tmp_path: Path) -> None:
    every_part().save(tmp_path / "set", {})
    loaded = Samples.load(tmp_path / "set")
    assert isinstance(loaded.images, np.memmap) and isinstance(loaded.masks, np.memmap)


def load_and_check(path: Path) -> None:
    """Load a folder with a file in place of its labels or its images; whatever is accepted is finite and fits."""
    content, folder = path.read_bytes(), path.parent / "set"
    shutil.rmtree(folder, ignore_errors=True)
    every_part().save(folder, {})
    (folder / ("images.npy" if content.startswith(b"\x93NUMPY") else "labels.npz")).write_bytes(content)
    loaded = Samples.load(folder)
    assert len(loaded) and loaded.images.shape == (len(loaded), loaded.size, loaded.size, 3)
    for field in fields(Samples):
        array = getattr(loaded, field.name)
        if isinstance(array, np.ndarray):
            assert len(array) == len(loaded) and (array.dtype != np.float32 or np.isfinite(array).all())


def test_damaged_folders_end_in_one_line(tmp_path: Path) -> None:
    every_part().save(tmp_path, {})
    good = [(tmp_path / name).read_bytes() for name in ("labels.npz", "images.npy")]
    outcome = fuzzing.fuzz(load_and_check, good, "", count=200)
    print(outcome)
    assert not outcome.findings, "\n".join(outcome.findings[:5])
    assert outcome.counts["refused"] > 100 and outcome.counts["read"]
