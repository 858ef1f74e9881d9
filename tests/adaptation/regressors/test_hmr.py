from __future__ import annotations

import roma
import torch
from networks import tiny_network
from torch import Tensor, nn

from adaptation.bodies.body import Body
from adaptation.bodies.poses import facing
from adaptation.priors.latent import LatentPosePrior
from adaptation.regressors.heatmaps import expected_places
from adaptation.regressors.hmr import Regressor


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
    torch.testing.assert_close(prediction.bodies.rotations[0, 0], upright, atol=1e-6, rtol=0)
    torch.testing.assert_close(prediction.bodies.rotations[0, 1:], torch.eye(3).expand(23, 3, 3))


def test_body_takes_rotations(body: Body) -> None:
    prediction = tiny_network().eval()(images())
    bodies = prediction.bodies
    by_matrix, by_vector = body(bodies.rotations, bodies.betas), body(bodies.axis_angle(), bodies.betas)
    torch.testing.assert_close(by_matrix.vertices, by_vector.vertices, atol=1e-5, rtol=0)
    torch.testing.assert_close(body.joints(bodies.rotations, bodies.betas), by_matrix.joints)


def test_latent_head_stays_in_the_cube_and_leaves_the_prior_alone() -> None:
    prior = LatentPosePrior(16).frozen()
    network = Regressor((1, 1, 1, 1), 4, 32, prior)
    prediction = network.eval()(images())
    assert prediction.latent is not None and prediction.latent.shape == (2, 32)
    assert prediction.latent.abs().max() <= 1
    torch.testing.assert_close(prediction.bodies.rotations[:, 1:], prior.decode(prediction.latent))
    prediction.bodies.rotations.sum().backward()
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
