"""Files are recognised by what they hold."""

import pickle
import zipfile

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from adaptation.support.errors import UserError
from adaptation.support.reading.file_kinds import kind_of, with_article


def test_kinds_do_not_depend_on_names(tmp_path):
    file = tmp_path / "file.bin"

    def kind(content: bytes) -> str:
        file.write_bytes(content)
        return kind_of(file)

    picture = np.zeros((4, 4, 3), np.uint8)
    for suffix, expected in (
        (".png", "PNG image"),
        (".jpg", "JPEG image"),
        (".bmp", "BMP image"),
        (".webp", "WebP image"),
    ):
        assert kind(cv2.imencode(suffix, picture)[1].tobytes()) == expected
    assert kind(pickle.dumps({})) == "Python pickle"
    assert kind(b'\n {"people": []}') == "JSON file"
    assert kind(b"<opencv_storage>") == "XML or HTML file"
    assert kind(b"") == "empty file"
    assert kind(bytes(200)) == "unknown file"
    assert kind(b"1 2 3\n") == "text file"
    assert kind(b"PK\x03\x04" + bytes(100)) == "truncated or damaged zip archive"
    assert kind(b"PK\x03\x04\x14\x00\x00\x08" + bytes(18) + b"\xff\xff") == "truncated or damaged zip archive"
    assert kind(b"\x08\x08\x12\x07pytorch\x1a\x032.1:\x80") == "ONNX model"
    assert kind(b"version https://git-lfs.github.com/spec/v1\n").startswith("pointer of Git LFS")


def test_articles():
    assert with_article("empty file") == "an empty file" and with_article("HDF5 file") == "an HDF5 file"
    assert with_article("npz file of NumPy") == "an npz file of NumPy" and with_article("PNG image") == "a PNG image"


def test_archives_are_told_apart(tmp_path):
    np.savez(tmp_path / "a", x=np.zeros(3))
    np.save(tmp_path / "b", np.zeros(3))
    torch.save({"w": torch.zeros(3)}, tmp_path / "c")
    torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)).save(str(tmp_path / "d"))
    save_file({"w": torch.zeros(3)}, tmp_path / "e")
    torch.save({"w": torch.zeros(3)}, tmp_path / "f", _use_new_zipfile_serialization=False)
    with zipfile.ZipFile(tmp_path / "g", "w") as archive:
        archive.writestr("model.weights.h5", b"")
    with zipfile.ZipFile(tmp_path / "h", "w") as archive:
        archive.writestr("model/archive_format", b"pt2")
    (tmp_path / "a.npz").rename(tmp_path / "a")
    (tmp_path / "b.npy").rename(tmp_path / "b")
    kinds = [kind_of(tmp_path / name) for name in "abcdefgh"]
    assert kinds == [
        "npz file of NumPy",
        "npy file of NumPy",
        "PyTorch checkpoint",
        "TorchScript file",
        "safetensors file",
        "PyTorch checkpoint",
        "Keras model",
        "program of torch.export",
    ]


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        kind_of(tmp_path / "missing")
    with pytest.raises(UserError, match="cannot be read"):
        kind_of(tmp_path)
