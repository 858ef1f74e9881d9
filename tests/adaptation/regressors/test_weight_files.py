"""Checkpoints as people have them: what stands around the weights is found, left alone and written back."""

from __future__ import annotations

import argparse
import io
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import fuzzing
import numpy as np
import pytest
import torch
from networks import tiny_network
from safetensors import safe_open
from safetensors.torch import save, save_file
from torch import Tensor, nn

from adaptation.regressors.files import load_network
from adaptation.regressors.hmr import Regressor
from adaptation.support.errors import UserError
from adaptation.support.reading.findings import kept_findings

Weights = dict[str, Tensor]
MEANS = ("init_pose", "init_shape", "init_cam")


def prefixed(prefix: str) -> Callable[[Weights], Weights]:
    return lambda weights: {f"{prefix}{name}": value for name, value in weights.items()}


def split(weights: Weights) -> Weights:
    """The names of PARE's networks: backbone and head apart."""
    resnet = ("conv1", "bn1", "layer")
    return {f"model.{'backbone' if n.startswith(resnet) else 'head'}.{n}": value for n, value in weights.items()}


def without(*ends: str) -> Callable[[Weights], Weights]:
    return lambda weights: {name: value for name, value in weights.items() if not name.endswith(ends)}


AROUND: dict[str, tuple[Callable[[Weights], Any], str | None]] = {
    "bare": (lambda weights: weights, None),
    "SPIN": (lambda weights: {"model": weights, "epoch": 7}, None),
    "DataParallel": (lambda weights: {"state_dict": prefixed("module.")(weights)}, None),
    "Lightning": (
        lambda weights: {"state_dict": prefixed("model.")(weights), "global_step": 3, "hyper_parameters": {"lr": 0.1}},
        "begin with 'model.'",
    ),
    "compiled": (prefixed("_orig_mod."), "begin with '_orig_mod.'"),
    "two prefixes": (prefixed("module.model."), "begin with 'module.model.'"),
    "parts": (split, "begin with 'model.backbone.' and 'model.head.'"),
    "other key": (lambda weights: {"model_state_dict": weights, "optimizer_state_dict": {"state": {0: {}}}}, "are at"),
    "deep": (lambda weights: {"a": {"net": OrderedDict(weights)}, "b": [1, 2]}, "the weights are at 'a.net'"),
    "classifier": (
        lambda weights: weights | {"fc.weight": torch.ones(4, 2), "fc.bias": torch.ones(4)},
        "left as they are: fc.weight, fc.bias",
    ),
    "flat means": (lambda weights: weights | {name: weights[name][0] for name in MEANS}, None),
    "no means": (without(*MEANS), "no init_pose, init_shape, init_cam"),
    "no counters": (without("num_batches_tracked"), None),
    "half": (lambda weights: {n: v.half() if v.is_floating_point() else v for n, v in weights.items()}, None),
    "bfloat16": (lambda weights: {n: v.bfloat16() if v.is_floating_point() else v for n, v in weights.items()}, None),
    "parameters": (lambda weights: {n: nn.Parameter(v, False) for n, v in weights.items()}, None),
    "NumPy": (
        lambda weights: {
            "model": weights,
            "performance": np.float64(51.2),
            "losses": [np.float32(0.5), np.arange(3)],
            "options": argparse.Namespace(lr=np.float32(0.1), name="spin", deep={"n": np.int64(2)}),
            np.int64(3): np.dtype("f4"),
        },
        None,
    ),
}


def shapes(contents: Any) -> Any:
    """Everything in a checkpoint but the values of tensors."""
    if isinstance(contents, Mapping):
        return {key: shapes(value) for key, value in contents.items()}
    if isinstance(contents, list):
        return [shapes(value) for value in contents]
    return tuple(contents.shape) if isinstance(contents, Tensor | np.ndarray) else contents


@pytest.mark.parametrize(
    ("name", "zipped"), [(name, True) for name in AROUND] + [(name, False) for name in ("SPIN", "parts", "NumPy")]
)
def test_checkpoints_of_torch_keep_their_form(name: str, zipped: bool, tmp_path: Path) -> None:
    network = tiny_network()
    around, finding = AROUND[name]
    contents = around({key: value.clone() for key, value in network.state_dict().items()})
    path, again = tmp_path / "model.pth.tar", tmp_path / "again.pth.tar"
    torch.save(contents, path, _use_new_zipfile_serialization=zipped)
    with kept_findings() as findings:
        loaded = load_network(str(path))
    assert ([finding] if finding else []) == [finding for line in findings if finding and finding in line]
    assert len(findings) == (1 if finding else 0)
    tolerance = 0.01 if name in ("half", "bfloat16") else 0
    for key, value in network.state_dict().items():
        torch.testing.assert_close(loaded.network.state_dict()[key], value, rtol=tolerance, atol=tolerance)
    with torch.no_grad():
        loaded.network.fc2.bias.fill_(2.5)
    loaded.save(again)
    saved = torch.load(again, weights_only=False)  # NumPy's values need it, and this file is ours
    assert shapes(saved) == shapes(contents) and type(saved) is type(contents)
    assert (again.read_bytes()[:2] == b"PK") == zipped
    assert torch.equal(load_network(str(again)).network.fc2.bias, torch.full((32,), 2.5))


@pytest.mark.parametrize("name", ["bare", "compiled", "parts", "classifier", "flat means", "no means", "half"])
def test_safetensors_keep_their_form(name: str, tmp_path: Path) -> None:
    contents = AROUND[name][0](dict(tiny_network().state_dict()))
    contents = {key: value.clone().contiguous() for key, value in contents.items()}
    save_file(contents, tmp_path / "model.bin", {"format": "pt", "of": "mine"})
    loaded = load_network(str(tmp_path / "model.bin"))
    loaded.save(tmp_path / "again.bin")
    with safe_open(tmp_path / "again.bin", "pt") as file:
        assert file.metadata() == {"format": "pt", "of": "mine"}
        assert {name: tuple(file.get_tensor(name).shape) for name in file.keys()} == shapes(contents)
    load_network(str(tmp_path / "again.bin"))


@pytest.mark.parametrize("how", ["keys", "prefixes"])
def test_averaged_weights_are_left_alone(how: str, tmp_path: Path) -> None:
    plain, average = dict(tiny_network(0).state_dict()), dict(tiny_network(1).state_dict())
    if how == "keys":
        contents: Any = {"ema": average, "model": plain}
    else:
        contents = {**prefixed("model_ema.module.")(average), **prefixed("model.")(plain)}
    torch.save(contents, tmp_path / "two.pt")
    with kept_findings() as findings:
        loaded = load_network(str(tmp_path / "two.pt"))
    assert torch.equal(loaded.network.fc1.weight, plain["fc1.weight"])
    expected = "at 'model', 'ema'; those at 'model'" if how == "keys" else "'model.', 'model_ema.module.'; those with"
    assert expected.split(";")[1] in findings[0] and findings[0].startswith(f"{tmp_path / 'two.pt'}: weights that fit")
    with torch.no_grad():
        loaded.network.fc2.bias.fill_(2.5)
    loaded.save(tmp_path / "again.pt")
    saved = torch.load(tmp_path / "again.pt", weights_only=True)
    averages = saved["ema"] if how == "keys" else saved
    name = "fc2.bias" if how == "keys" else "model_ema.module.fc2.bias"
    assert torch.equal(averages[name], average["fc2.bias"])


def test_means_are_taken_from_spins_file_beside(tmp_path: Path) -> None:
    weights = without(*MEANS)(dict(tiny_network().state_dict()))
    torch.save(weights, tmp_path / "model.pt")
    means = {"pose": np.linspace(0, 1, 144), "shape": np.full(10, 0.2, np.float32), "cam": np.array([0.8, 0, 0])}
    np.savez(tmp_path / "smpl_mean_params.npz", **means)
    with kept_findings() as findings:
        loaded = load_network(str(tmp_path / "model.pt"))
    assert findings[0].endswith("are taken from smpl_mean_params.npz beside it")
    np.testing.assert_allclose(loaded.network.init_pose[0], means["pose"], rtol=1e-6)
    (tmp_path / "run").mkdir()
    loaded.save(tmp_path / "run" / "adapted.pt")  # no such file lies there
    again = load_network(str(tmp_path / "run" / "adapted.pt")).network
    assert torch.equal(again.init_pose, loaded.network.init_pose) and torch.equal(
        again.init_cam, loaded.network.init_cam
    )
    np.savez(tmp_path / "smpl_mean_params.npz", **{**means, "pose": np.zeros(72)})
    with pytest.raises(UserError, match=r"init_pose has shape \(72,\), expected \(1, 144\)"):
        load_network(str(tmp_path / "model.pt"))


def refused(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        load_network(str(path))
    assert "\n" not in str(caught.value) and "\x1b" not in str(caught.value) and len(str(caught.value)) < 600
    return str(caught.value)


class Attack:
    """Runs a command when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.marker}",)


class Config:
    """A class of somebody's training program."""


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before 1.6"])
def test_nothing_is_executed(zipped: bool, tmp_path: Path) -> None:
    path, marker = tmp_path / "model.pt", tmp_path / "ran"
    weights = dict(tiny_network().state_dict())
    torch.save({"model": weights, "performance": Attack(marker)}, path, _use_new_zipfile_serialization=zipped)
    assert "holds objects of posix.system; only tensors, plain values" in refused(path)
    torch.save({"model": weights, "config": Config()}, path, _use_new_zipfile_serialization=zipped)
    line = refused(path)
    assert f"holds objects of {Config.__module__}.Config;" in line
    assert """torch.save(torch.load('model.pt', weights_only=False)["model"], 'weights.pt')""" in line
    torch.save(nn.Sequential(nn.Linear(2, 2)), path, _use_new_zipfile_serialization=zipped)
    line = refused(path)
    assert "holds objects of torch.nn.modules.container.Sequential;" in line
    assert "torch.load('model.pt', weights_only=False).state_dict()" in line
    path.write_bytes(pickle.dumps({"model": Attack(marker)}))
    assert "found a Python pickle, expected weights of torch" in refused(path)
    assert not marker.exists()


def contents_of_other_kinds(folder: Path) -> dict[str, bytes]:
    np.savez(folder / "npz", **{name: value.numpy() for name, value in tiny_network().state_dict().items()})
    torch.jit.script(nn.Linear(2, 2)).save(folder / "script")
    return {
        "npz file of NumPy, expected weights of torch .*torch.from_numpy": (folder / "npz.npz").read_bytes(),
        "TorchScript file, .*torch.jit.load": (folder / "script").read_bytes(),
        "HDF5 file, .*--model package.module:function": b"\x89HDF\r\n\x1a\n" + bytes(100),
        "ONNX model, .*--model package.module:function": b"\x08\x08\x12\x07pytorch\x1a\x032.1:\x80",
        "gzip archive, .*unpack it first": b"\x1f\x8b\x08" + bytes(30),
        "pointer of Git LFS, not the file itself": b"version https://git-lfs.github.com/spec/v1\n",
        "empty file": b"",
    }


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_other_kinds_of_files_are_named(tmp_path: Path) -> None:
    for message, content in contents_of_other_kinds(tmp_path).items():
        (tmp_path / "model.pt").write_bytes(content)
        with pytest.raises(UserError, match=f"found an? {message}"):
            load_network(str(tmp_path / "model.pt"))


def test_other_networks_are_named(tmp_path: Path) -> None:
    weights, path = dict(tiny_network().state_dict()), tmp_path / "model.pt"
    resnet = {n: v for n, v in weights.items() if n.startswith(("conv1", "bn1", "layer"))}
    for contents, message in (
        (
            {"state_dict": {"backbone.blocks.0.attn.qkv.weight": torch.ones(3, 2)}},
            "of a vision transformer (backbone.bl",
        ),
        (resnet, "the weights of a ResNet without SPIN's head (layer1.0.conv1.weight)"),
        ({"stage2.0.branches.0.weight": torch.ones(2)}, "the weights of an HRNet"),
        ({"epoch": 3}, "no tensors (epoch)"),
        ({"model": {name: value.numpy() for name, value in weights.items()}}, "NumPy's arrays in place of tensors"),
        (weights | {"fc1.weight": torch.ones(32, 288)}, "fc1.weight has shape (32, 288), expected (32, 285)"),
        (without("conv3.weight")(weights), "a ResNet of basic blocks (18 or 34)"),
        (weights | {"layer1.0.se.weight": torch.ones(2)}, "layer1.0.se.weight, for which the network has no place"),
    ):
        torch.save(contents, path)
        line = refused(path)
        assert message in line and "give --model package.module:function" in line
    torch.save(without("layer2.0.bn1.weight", "fc2.bias")(weights), path)
    assert "does not fit: it lacks layer2.0.bn1.weight, fc2.bias" in refused(path)
    torch.save(torch.ones(3), path)
    assert "holds a Tensor, expected the weights" in refused(path)
    torch.save(weights | {"fc2.weight": weights["fc2.weight"].to_sparse()}, path)
    assert "fc2.weight is not a plain tensor" in refused(path)


def load_and_check(path: Path) -> None:
    """Load a network; whatever is accepted is finite and can be written again."""
    loaded = load_network(str(path))
    assert all(torch.isfinite(value.float()).all() for value in loaded.network.state_dict().values())
    loaded.save(path.with_suffix(".again"))


def test_damaged_checkpoints_end_in_one_line() -> None:
    torch.manual_seed(0)
    weights = {name: value.clone() for name, value in Regressor((1, 1, 1, 1), width=1, hidden=4).state_dict().items()}
    good = [save(weights)]
    for name, zipped in (("NumPy", True), ("NumPy", False), ("DataParallel", False)):
        stream = io.BytesIO()
        torch.save(AROUND[name][0](weights), stream, _use_new_zipfile_serialization=zipped)
        good.append(stream.getvalue())
    outcome = fuzzing.fuzz(load_and_check, good, ".pt", count=250)
    print(outcome)
    assert not outcome.findings, "\n".join(outcome.findings[:5])
    assert outcome.counts["refused"] > 100 and outcome.counts["read"]
