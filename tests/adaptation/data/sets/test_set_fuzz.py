"""Damaged files of data sets are read, or refused in one line; no result is of another shape."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import fuzzing
import numpy as np
import pytest
from dataset_files import (
    poses,
    write_3dhp_train,
    write_coco,
    write_human36m,
    write_mpii,
    write_spin,
    write_surreal,
    write_threedpw,
    write_up3d,
)

from adaptation.data.sets.clips import read_clips
from adaptation.data.sets.coco import read_coco
from adaptation.data.sets.human36m import read_human36m
from adaptation.data.sets.mpi_inf_3dhp import read_3dhp
from adaptation.data.sets.mpii import read_mpii
from adaptation.data.sets.people import People
from adaptation.data.sets.spin import read_spin
from adaptation.data.sets.surreal import read_surreal
from adaptation.data.sets.threedpw import read_threedpw
from adaptation.data.sets.up3d import read_up3d


def check(people: People) -> None:
    count = len(people)
    assert count > 0 and people.box.shape == (count, 4) and np.isfinite(people.box).all()
    for name, shape in (("keypoints", (len(people.joint_set), 3)), ("joints3d", (len(people.joints3d_set), 4)),
                        ("pose", (24, 3)), ("betas", (10,)), ("frame", ()), ("intrinsics", (3, 3))):  # fmt: skip
        array = getattr(people, name)
        assert array is None or (array.shape == (count, *shape) and np.isfinite(array).all()), name


def read_one(path: Path) -> None:
    readers: dict[str, Callable[[Path], People]] = {".npz": read_spin, ".pkl": read_threedpw, ".json": read_coco}
    check(readers[path.suffix](path))


def read_amass(path: Path) -> None:
    for clip in read_clips(path, 30):
        assert clip.pose.shape == (len(clip.times), 24, 3) and np.isfinite(clip.pose).all()


def moved(path: Path, name: str) -> Path:
    """The file under a name that a reader of folders looks for."""
    place = path.parent / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(path.read_bytes())
    return path.parent


def read_moon(path: Path) -> None:
    folder = moved(path, "Human36M_subject9_data.json")
    for kind in ("camera", "joint_3d"):
        if not (folder / f"Human36M_subject9_{kind}.json").exists():
            write_human36m(folder / "good", 9, fits=False)
            (folder / "good" / f"Human36M_subject9_{kind}.json").rename(folder / f"Human36M_subject9_{kind}.json")
    check(read_human36m(folder))


def read_body(path: Path) -> None:
    if not (path.parent / "test.txt").exists():
        write_up3d(path.parent, 1)
    check(read_up3d(moved(path, "00001_body.pkl"), "test"))


def read_mat(path: Path) -> None:
    check(read_mpii(path))


def read_info(path: Path) -> None:
    check(read_surreal(moved(path, "01_info.mat")))


def read_annotations(path: Path) -> None:
    folder = moved(path, "S1/Seq1/annot.mat")
    if not (folder / "S1" / "Seq1" / "camera.calibration").exists():
        write_3dhp_train(folder / "good")
        (folder / "good" / "S1" / "Seq1" / "camera.calibration").rename(folder / "S1" / "Seq1" / "camera.calibration")
    check(read_3dhp(folder, "train"))


def good_files(folder: Path) -> dict[str, bytes]:
    """A good file of each format, by a word for it."""
    write_spin(folder / "spin.npz", ["a.jpg", "b.jpg"], pose=poses(2), shape=np.zeros((2, 10)), has_smpl=np.ones(2))
    write_threedpw(folder / "3dpw.pkl", frames=3)
    write_coco(folder / "coco.json")
    np.savez(folder / "amass.npz", poses=np.tile(poses(5), 3)[:, :156], trans=np.zeros((5, 3)), mocap_framerate=60.0)
    write_human36m(folder / "moon", 9, fits=False)
    write_up3d(folder / "up", 1)
    files = {
        "spin": folder / "spin.npz",
        "3dpw": folder / "3dpw.pkl",
        "coco": folder / "coco.json",
        "amass": folder / "amass.npz",
        "moon": folder / "moon" / "Human36M_subject9_data.json",
        "up3d": folder / "up" / "00001_body.pkl",
    }
    return {name: file.read_bytes() for name, file in files.items()}


@pytest.mark.parametrize(
    ("name", "read", "suffix"),
    [
        ("spin", read_one, ".npz"),
        ("3dpw", read_one, ".pkl"),
        ("coco", read_one, ".json"),
        ("amass", read_amass, ".npz"),
        ("moon", read_moon, ".json"),
        ("up3d", read_body, ".pkl"),
    ],
)
def test_damaged_files(name: str, read: fuzzing.Read, suffix: str, tmp_path: Path) -> None:
    outcome = fuzzing.fuzz(read, [good_files(tmp_path)[name]], suffix, count=150)
    assert not outcome.findings, "\n".join([str(outcome), *outcome.findings[:5]])
    assert outcome.counts["refused"] > 20


@pytest.mark.parametrize(("name", "read"), [("mpii", read_mat), ("surreal", read_info), ("3dhp", read_annotations)])
def test_damaged_matlab_files(name: str, read: fuzzing.Read, tmp_path: Path) -> None:
    pytest.importorskip("scipy")
    write_mpii(tmp_path / "mpii.mat")
    write_surreal(tmp_path / "01_01", 2)
    write_3dhp_train(tmp_path)
    good = {"mpii": tmp_path / "mpii.mat", "surreal": tmp_path / "01_01" / "01_01_c0001_info.mat",
            "3dhp": tmp_path / "S1" / "Seq1" / "annot.mat"}[name]  # fmt: skip
    outcome = fuzzing.fuzz(read, [good.read_bytes()], ".mat", count=150)
    assert not outcome.findings, "\n".join([str(outcome), *outcome.findings[:5]])
    assert outcome.counts["refused"] > 20
