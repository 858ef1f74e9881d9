from __future__ import annotations

from pathlib import Path

import pytest
import torch
from networks import tiny_network
from safetensors.torch import save_file
from torch import Tensor

from adaptation.priors.latent import LatentPosePrior
from adaptation.regressors.files import LoadedNetwork, load_imagenet, load_network
from adaptation.regressors.hmr import Regressor
from adaptation.support.errors import UserError


def images(count: int = 2) -> Tensor:
    return torch.rand(count, 3, 48, 48, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize(("latent", "heatmaps"), [(False, False), (True, False), (False, True)])
def test_checkpoints_come_back(suffix: str, latent: bool, heatmaps: bool, tmp_path: Path) -> None:
    prior = LatentPosePrior(16).frozen() if latent else None
    network = Regressor((1, 2, 1, 1), 4, 24, prior, heatmaps=heatmaps).eval()
    path = tmp_path / f"model{suffix}"
    LoadedNetwork(network, suffix).save(path)
    loaded = load_network(str(path))
    expected, actual = network(images()).bodies, loaded.network(images()).bodies
    torch.testing.assert_close(actual.rotations, expected.rotations)
    torch.testing.assert_close(actual.camera.parameters, expected.camera.parameters)
    again = tmp_path / f"again{suffix}"
    loaded.save(again)
    torch.testing.assert_close(load_network(str(again)).network(images()).bodies.betas, expected.betas)


def test_what_surrounds_the_weights_is_kept(tmp_path: Path) -> None:
    network = tiny_network()
    path = tmp_path / "spin.pt"
    weights = {f"module.{name}": value for name, value in network.state_dict().items()}
    torch.save({"model": weights, "epoch": 7}, path)
    loaded = load_network(str(path))
    loaded.save(path)
    whole = torch.load(path, weights_only=True)
    assert whole["epoch"] == 7 and "module.conv1.weight" in whole["model"]
    torch.save({**network.state_dict(), "epoch": 8}, path)
    load_network(str(path)).save(path)
    whole = torch.load(path, weights_only=True)
    assert whole["epoch"] == 8 and "conv1.weight" in whole


def test_bad_checkpoints(tmp_path: Path) -> None:
    def refused(name: str, match: str) -> None:
        with pytest.raises(UserError, match=match):
            load_network(str(tmp_path / name))

    refused("none.pt", "no such file")
    (tmp_path / "noise.pt").write_bytes(b"noise")
    refused("noise.pt", "found a text file, expected weights of torch")
    (tmp_path / "noise.safetensors").write_bytes(b"noise")
    refused("noise.safetensors", "found a text file, expected weights of torch")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    refused("other.safetensors", r"holds 1 weights of another network \(a\), expected the weights of SPIN's network")
    weights = dict(tiny_network().state_dict())
    torch.save(weights | {"fc2.weight": torch.zeros(3, 3)}, tmp_path / "shape.pt")
    refused("shape.pt", r"does not fit: fc2\.weight has shape \(3, 3\), expected \(32, 32\)")
    torch.save(weights | {"decpose.weight": torch.zeros(38, 32)}, tmp_path / "latent.pt")
    refused("latent.pt", "not the pose prior")
    torch.save(weights | {"conv1.weight": torch.tensor(1.0)}, tmp_path / "scalar.pt")
    refused("scalar.pt", "conv1, fc1 or decpose is missing")
    torch.save(weights | {"fc1.bias": torch.full((32,), torch.nan)}, tmp_path / "nan.pt")
    refused("nan.pt", r"fc1\.bias holds numbers that are not finite")
    with pytest.raises(UserError, match="nowhere"):
        load_network("nowhere.at_all:make")


def test_imagenet_weights_start_the_resnet(tmp_path: Path) -> None:
    first, second = tiny_network(0), tiny_network(1)
    weights = {n: v for n, v in first.state_dict().items() if n.startswith(("conv1", "bn1", "layer"))}
    torch.save(weights | {"fc.weight": torch.zeros(2, 2)}, tmp_path / "resnet.pth")
    load_imagenet(second, tmp_path / "resnet.pth")
    assert torch.equal(second.layer2[0].conv2.weight, first.layer2[0].conv2.weight)
    assert not torch.equal(second.fc1.weight, first.fc1.weight)
    with pytest.raises(
        UserError, match=r"does not fit: conv1\.weight has shape \(4, 3, 7, 7\), expected \(8, 3, 7, 7\)"
    ):
        load_imagenet(Regressor((1, 1, 1, 1), 8, 32), tmp_path / "resnet.pth")
