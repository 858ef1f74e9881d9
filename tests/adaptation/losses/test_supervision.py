from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from adaptation.bodies.body import Body
from adaptation.bodies.camera import Perspective, WeakPerspective, project
from adaptation.data.samples import Samples
from adaptation.losses.settings import SupervisionWeights
from adaptation.losses.supervision import parameter_distance, supervision_loss
from adaptation.regressors.base import Prediction
from adaptation.regressors.heatmaps import heatmap_loss
from adaptation.regressors.hmr import Regressor


def images(count: int = 2) -> Tensor:
    return torch.rand(count, 3, 48, 48, generator=torch.Generator().manual_seed(0))


def test_perfect_predictions_have_no_loss(source: Samples, body: Body) -> None:
    truth = source.bodies(body)
    loss = supervision_loss(Prediction(truth), truth, body, SupervisionWeights())
    assert loss.shape == (24,) and loss.max() < 1e-4
    worse = Prediction(replace(truth, rotations=truth.rotations.roll(1, 0)))
    assert supervision_loss(worse, truth, body, SupervisionWeights()).mean() > 0.05


def test_plain_distance_of_parameters(source: Samples, body: Body) -> None:
    truth = source.bodies(body)
    camera, betas = truth.camera.parameters.clone(), truth.betas.clone()
    camera[:, 1] += 3
    betas[:, 7] -= 4
    turned = truth.rotations.clone()
    turned[:, 5] = -turned[:, 5]  # moves it by 2 sqrt(3) in the Frobenius norm
    predicted = replace(truth, rotations=turned.requires_grad_(), betas=betas, camera=WeakPerspective(camera))
    distance = parameter_distance(predicted, truth)
    torch.testing.assert_close(distance, torch.full((24,), (9 + 16 + 12.0) ** 0.5))
    exact = replace(truth, rotations=truth.rotations.clone().requires_grad_())
    (grad,) = torch.autograd.grad(parameter_distance(exact, truth).sum(), exact.rotations)
    assert not grad.any()


def test_perspective_predictions_are_supervised_where_they_are_seen(source: Samples, body: Body) -> None:
    """A camera far away sees what the label's weak perspective says."""
    truth = source.bodies(body)
    far = torch.full((24, 2), 2000.0)
    centre = torch.zeros(24, 2)
    camera = Perspective(far, centre, torch.ones(24, 3)).moved(truth.camera.scale, truth.camera.offset)
    loss = supervision_loss(Prediction(replace(truth, camera=camera)), truth, body, SupervisionWeights())
    expected = supervision_loss(Prediction(truth), truth, body, SupervisionWeights())
    torch.testing.assert_close(loss, expected, atol=1e-4, rtol=0)
    near = replace(truth, camera=camera.zoomed(torch.full((24, 1), 1.3), centre))
    assert (supervision_loss(Prediction(near), truth, body, SupervisionWeights()) > expected + 1e-3).all()


def test_heatmaps_are_supervised_where_there_are_any(body: Body) -> None:
    torch.manual_seed(0)
    network = Regressor((1, 1, 1, 1), 4, 32, heatmaps=True).eval()
    prediction = network(images())
    truth = prediction.bodies.detach()
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
