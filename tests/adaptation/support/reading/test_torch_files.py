"""Files of torch.save, old and new, are read whole or refused in one line."""

import argparse
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from adaptation.support.errors import UserError
from adaptation.support.reading.file_kinds import kind_of
from adaptation.support.reading.torch_files import is_before_zip, read_state_dict, read_torch


@pytest.mark.parametrize("zipped", [True, False])
def test_plain_values_come_back(zipped, tmp_path):
    whole = {"w": torch.arange(3), "n": np.float64(0.5), "o": argparse.Namespace(a=np.arange(2)), "t": (1, "a", None)}
    torch.save(whole, tmp_path / "file", _use_new_zipfile_serialization=zipped)
    assert kind_of(tmp_path / "file") == "PyTorch checkpoint" and is_before_zip(tmp_path / "file") != zipped
    assert repr(read_torch(tmp_path / "file")) == repr(whole)
    # torch itself would take this name for a file of another format.
    (tmp_path / "file").rename(tmp_path / "file.safetensors")
    assert repr(read_torch(tmp_path / "file.safetensors")) == repr(whole)


@pytest.mark.parametrize("key", ["state_dict", "model", "net"])
def test_the_advice_names_the_key_that_the_file_has(key, tmp_path):
    torch.save({"x": 1, key: {"a": torch.zeros(1)}, "e": ValueError("no plain value")}, tmp_path / "file.ckpt")
    with pytest.raises(
        UserError, match=rf"file.ckpt holds objects of .*ValueError; only .* if you trust .*\[\"{key}\"\]"
    ):
        read_torch(tmp_path / "file.ckpt")


class Settings(dict):
    """Settings of a training program, as Lightning keeps them in checkpoints."""

    def __setstate__(self, state):
        raise AssertionError("nothing in a file may run")


class Runs:
    """Runs a function when it is unpickled."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


def test_objects_of_other_classes_can_be_left_out(tmp_path):
    held = Settings(depth=Settings(blocks=[1, 2]))
    held.name = "vit"
    whole = {"state_dict": {"w": torch.arange(3)}, "settings": held, "path": Path("a"), "kind": Settings}
    torch.save(whole, tmp_path / "file.ckpt")
    with pytest.raises(UserError, match="holds objects of"):
        read_torch(tmp_path / "file.ckpt")
    read = read_torch(tmp_path / "file.ckpt", leave_others=True)
    assert read["settings"] == {"depth": {"blocks": [1, 2]}} and type(read["settings"]) is not Settings
    assert read_state_dict(tmp_path / "file.ckpt").keys() == {"w"}


@pytest.mark.parametrize("call", [(os.system, ("touch ran",)), (eval, ("1 + 1",)), (print, ("ran",))])
def test_functions_in_checkpoints_are_not_called(call, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"w": torch.arange(3)}, "more": Runs(*call)}, tmp_path / "file.ckpt")
    with pytest.raises(UserError, match="holds objects of"):
        read_state_dict(tmp_path / "file.ckpt")
    assert not (tmp_path / "ran").exists() and not capfd.readouterr().out


def test_damage_is_found_by_checksums(tmp_path):
    torch.save({"w": torch.full((1000,), 1.5)}, tmp_path / "file")
    content = bytearray((tmp_path / "file").read_bytes())
    content[content.find(torch.full((4,), 1.5).numpy().tobytes()) + 3] ^= 1
    (tmp_path / "file").write_bytes(content)
    assert torch.load(tmp_path / "file")["w"].unique().numel() == 2  # torch does not notice
    with pytest.raises(UserError, match=r"file is damaged or truncated: Bad CRC-32 for file '.*data/0'"):
        read_torch(tmp_path / "file")


def test_files_without_checksums_are_read(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"w": torch.ones(2)}, tmp_path / "file")
    finally:
        torch.serialization.set_crc32_options(True)
    assert torch.equal(read_torch(tmp_path / "file")["w"], torch.ones(2))


def test_other_kinds_are_named(tmp_path):
    np.savez(tmp_path / "file.npz", a=np.ones(1))
    with pytest.raises(UserError, match=r"found an npz file of NumPy, expected a file of torch\.save"):
        read_torch(tmp_path / "file.npz")
