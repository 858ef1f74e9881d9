from __future__ import annotations

from pathlib import Path

import pytest
import roma
import torch
from networks import tiny_network
from safetensors.torch import save_file
from torch import Tensor, nn

from adaptation.bodies.body import Body
from adaptation.bodies.camera import project
from adaptation.bodies.poses import facing
from adaptation.bodies.rotations import matrix_to_rot6d
from adaptation.losses.settings import SupervisionWeights
from adaptation.losses.supervision import Truth, supervision_loss
from adaptation.priors.latent import LatentPosePrior
from adaptation.regressors.base import wrap
from adaptation.regressors.files import LoadedNetwork, load_imagenet, load_network
from adaptation.regressors.heatmaps import expected_places, heatmap_loss
from adaptation.regressors.hmr import Regressor
from adaptation.support.errors import UserError


def images(count: int = 2) -> Tensor:
    return torch.rand(count, 3, 48, 48, generator=torch.Generator().manual_seed(0))


def test_keys_and_shapes_are_spins() -> None:
    weights = Regressor().state_dict()
    assert weights["layer3.5.conv2.weight"].shape == (256, 256, 3, 3)
    assert weights["layer1.0.downsample.0.weight"].shape == (256, 64, 1, 1)
    assert weights["fc1.weight"].shape == (1024, 2048 + 144 + 13)
    assert weights["decpose.weight"].shape == (144, 1024)
    assert {"decshape.bias", "deccam.bias", "init_pose", "init_shape", "init_cam", "fc2.weight"} <= set(weights)
    assert len([name for name in weights if name.endswith("running_mean")]) == 53


def test_starts_upright() -> None:
    network = tiny_network()
    for layer in (network.decpose, network.decshape, network.deccam):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    prediction = network.eval()(images())
    upright = roma.rotvec_to_rotmat(facing(0.0))
    torch.testing.assert_close(prediction.rotations[0, 0], upright, atol=1e-6, rtol=0)
    torch.testing.assert_close(prediction.rotations[0, 1:], torch.eye(3).expand(23, 3, 3))


def test_body_takes_rotations(body: Body) -> None:
    prediction = tiny_network().eval()(images())
    by_matrix, by_vector = prediction.body(body), body(prediction.pose, prediction.betas)
    torch.testing.assert_close(by_matrix.vertices, by_vector.vertices, atol=1e-5, rtol=0)
    torch.testing.assert_close(body.joints(prediction.rotations, prediction.betas), by_matrix.joints)


def test_latent_head_stays_in_the_cube_and_leaves_the_prior_alone() -> None:
    prior = LatentPosePrior(16).frozen()
    network = Regressor((1, 1, 1, 1), 4, 32, prior)
    prediction = network.eval()(images())
    assert prediction.latent is not None and prediction.latent.shape == (2, 32)
    assert prediction.latent.abs().max() <= 1
    torch.testing.assert_close(prediction.rotations[:, 1:], prior.decode(prediction.latent))
    prediction.rotations.sum().backward()
    assert all(parameter.grad is None for parameter in prior.parameters())
    assert not [name for name in network.state_dict() if "prior" in name or "decoder" in name]


def test_a_regressor_with_heatmaps_sees_where_joints_are(body: Body) -> None:
    torch.manual_seed(0)
    network = Regressor((1, 1, 1, 1), 4, 32, heatmaps=True).eval()
    assert network.joints is not None
    prediction = network(images())
    assert prediction.heatmaps is not None and prediction.heatmaps.shape == (2, 24, 6, 6)
    stages = network.stages((images() - network.mean) / network.std)
    logits, found = network.joints(stages[1:])
    torch.testing.assert_close(logits, prediction.heatmaps)
    shares = logits.flatten(2).softmax(2).view_as(logits)
    torch.testing.assert_close(found[:, :48].view(2, 24, 2), expected_places(shares))
    assert found.shape == (2, network.joints.features)


def test_heatmaps_are_supervised_where_there_are_any(body: Body) -> None:
    torch.manual_seed(0)
    network = Regressor((1, 1, 1, 1), 4, 32, heatmaps=True).eval()
    prediction = network(images())
    truth = Truth(prediction.rotations.detach(), prediction.betas.detach(), prediction.camera.detach())
    with_maps, without = (
        supervision_loss(prediction, truth, body, SupervisionWeights(heatmaps=weight)) for weight in (0.2, 0.0)
    )
    places = project(body.joints(truth.rotations, truth.betas), truth.camera, 6)
    assert prediction.heatmaps is not None
    expected = 0.2 * heatmap_loss(prediction.heatmaps, places, 0.6).mean(1)
    torch.testing.assert_close(with_maps - without, expected)
    with_maps.sum().backward()
    assert network.joints is not None and network.joints.maps.weight.grad is not None
    assert network.joints.maps.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize(("latent", "heatmaps"), [(False, False), (True, False), (False, True)])
def test_checkpoints_come_back(suffix: str, latent: bool, heatmaps: bool, tmp_path: Path) -> None:
    prior = LatentPosePrior(16).frozen() if latent else None
    network = Regressor((1, 2, 1, 1), 4, 24, prior, heatmaps=heatmaps).eval()
    path = tmp_path / f"model{suffix}"
    LoadedNetwork(network, suffix, {}, None).save(path)
    loaded = load_network(str(path))
    expected, actual = network(images()), loaded.network(images())
    torch.testing.assert_close(actual.rotations, expected.rotations)
    torch.testing.assert_close(actual.camera, expected.camera)
    again = tmp_path / f"again{suffix}"
    loaded.save(again)
    torch.testing.assert_close(load_network(str(again)).network(images()).betas, expected.betas)


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


class Payload:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('executed')",))


def test_bad_checkpoints(tmp_path: Path) -> None:
    def refused(name: str, match: str) -> None:
        with pytest.raises(UserError, match=match):
            load_network(str(tmp_path / name))

    refused("none.pt", "no such file")
    (tmp_path / "noise.pt").write_bytes(b"noise")
    refused("noise.pt", "cannot be read")
    (tmp_path / "noise.safetensors").write_bytes(b"noise")
    refused("noise.safetensors", "cannot be read")
    torch.save({"model": Payload()}, tmp_path / "evil.pt")
    refused("evil.pt", "cannot be read as plain weights")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    refused("other.safetensors", "not a regressor")
    weights = dict(tiny_network().state_dict())
    torch.save(weights | {"fc2.weight": torch.zeros(3, 3)}, tmp_path / "shape.pt")
    refused("shape.pt", "does not fit")
    torch.save(weights | {"decpose.weight": torch.zeros(38, 32)}, tmp_path / "latent.pt")
    refused("latent.pt", "not the pose prior")
    torch.save(weights | {"conv1.weight": torch.tensor(1.0)}, tmp_path / "scalar.pt")
    refused("scalar.pt", "not a regressor")
    torch.save(weights | {"fc1.bias": torch.full((8,), torch.nan)}, tmp_path / "nan.pt")
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
    with pytest.raises(UserError, match="does not fit the network"):
        load_imagenet(Regressor((1, 1, 1, 1), 8, 32), tmp_path / "resnet.pth")


class Foreign(nn.Module):
    """Somebody's network, in any of the three forms."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form = form
        self.inner = nn.Linear(1, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        vectors = 0.3 * torch.ones(len(images), 24, 3)
        rotations = roma.rotvec_to_rotmat(vectors)
        pose = {
            "matrix": rotations,
            "axis_angle": vectors.flatten(1),
            "rot6d": matrix_to_rot6d(rotations, "concatenated").flatten(1),
        }[self.form]
        return pose, torch.zeros(len(images), 10), torch.ones(len(images), 3)


@pytest.mark.parametrize("form", ["matrix", "axis_angle", "rot6d"])
def test_foreign_networks_are_wrapped(form: str) -> None:
    network = wrap(Foreign(form), pose=form, layout="concatenated")  # type: ignore[arg-type]
    expected = roma.rotvec_to_rotmat(0.3 * torch.ones(2, 24, 3))
    torch.testing.assert_close(network(images()).rotations, expected)
    assert all(name.startswith("network.") for name in network.state_dict())
