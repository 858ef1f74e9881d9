from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from detector_models import models_folder, needs_models
from fuzzing import fuzz

from adaptation.detectors.model_packages import MODELS, open_models
from adaptation.support.errors import UserError


def zipped(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def tarred(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def test_networks_are_found_by_name_in_each_kind_of_package(tmp_path: Path) -> None:
    members = {"a/pose_landmark_full.tflite": b"x", "b/c/pose_detection.tflite": b"y", "a/other.tflite": b"z"}
    (tmp_path / "p.whl").write_bytes(zipped(members))
    (tmp_path / "p.tgz").write_bytes(tarred({"package/pose_landmark_heavy.tflite": b"x"}))
    for name, content in members.items():
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_bytes(content)
    assert set(open_models(tmp_path / "p.whl").members) == {"pose_landmark_full", "pose_detection"}
    assert set(open_models(tmp_path / "p.tgz").members) == {"pose_landmark_heavy"}
    assert set(open_models(tmp_path / "folder").members) == {"pose_landmark_full", "pose_detection"}
    both = open_models(tmp_path)
    assert set(both.members) == {"pose_landmark_full", "pose_detection", "pose_landmark_heavy"}
    assert both.first("pose_landmark_heavy", "pose_landmark_full") == "pose_landmark_heavy"


def test_only_published_networks_are_read(tmp_path: Path) -> None:
    path = tmp_path / "p.whl"
    path.write_bytes(zipped({"pose_landmark_full.tflite": bytes(MODELS["pose_landmark_full"].size)}))
    with pytest.raises(UserError, match=r"damaged or not the published network; download it again with pip download"):
        open_models(path).read("pose_landmark_full")
    with pytest.raises(UserError, match=r"holds no pose_landmark_heavy.tflite; npm pack @mediapipe/pose"):
        open_models(path).read("pose_landmark_heavy")
    with pytest.raises(UserError, match=r"holds no pose_detection.tflite; pip download"):
        open_models(path).first("pose_detection")


def test_a_bomb_is_not_expanded(tmp_path: Path) -> None:
    path = tmp_path / "p.whl"
    path.write_bytes(zipped({"pose_landmark_full.tflite": bytes(200 << 20)}))
    with pytest.raises(UserError, match="not the published network"):
        open_models(path).read("pose_landmark_full")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x1f\x8bxx", b"text", b"\x89PNG\r\n\x1a\n"])
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"expected the wheel of pip download|damaged or truncated"):
        open_models(path)
    with pytest.raises(UserError, match="no such file"):
        open_models(tmp_path / "missing")
    with pytest.raises(UserError, match=r"holds none of MediaPipe's networks"):
        open_models(tmp_path)


def read_all(path: Path) -> None:
    package = open_models(path)
    for name in package.members:
        package.read(name)


@pytest.mark.parametrize("packed", [zipped, tarred])
def test_damaged_packages_are_refused_in_one_line(packed) -> None:
    good = packed({"a/pose_detection.tflite": b"TFL3" * 500, "b": b"text"})
    outcome = fuzz(read_all, [good], ".whl", count=150)
    assert not outcome.findings, outcome
    assert outcome.counts["refused"] > 150


@needs_models
def test_the_published_packages_are_read() -> None:
    package = open_models(models_folder())
    assert set(package.members) == set(MODELS)
    for name, known in MODELS.items():
        assert len(package.read(name)) == known.size
