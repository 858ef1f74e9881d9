import pytest
import torch

from adaptation.losses import LOSS_NAMES, LossSettings, SilhouetteTarget, silhouette_loss, topology_agreement
from adaptation.renderer import binarise
from topokernels import reference


def disc(x: float, y: float, radius: float, size: int = 48, sigma: float = 1.0) -> torch.Tensor:
    """Soft disc (1, 1, size, size), differentiable in its centre."""
    axis = torch.arange(size) + 0.5
    distance = ((axis[None, :] - x) ** 2 + (axis[:, None] - y) ** 2).sqrt()
    return torch.sigmoid((radius - distance) / sigma)[None, None]


def test_binarise_is_binary_and_scales_the_gradient():
    coverage = torch.rand(2, 1, 8, 8, requires_grad=True)
    hard = binarise(coverage, gain=2.0)
    assert set(hard.unique().tolist()) <= {0.0, 1.0}
    assert torch.equal(hard.bool(), coverage > 0.5)
    hard.sum().backward()
    assert torch.equal(coverage.grad, torch.full_like(coverage, 2.0))


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_zero_at_the_target(name):
    coverage = (disc(20, 24, 9) > 0.5).float()
    target = SilhouetteTarget.of(coverage)
    assert silhouette_loss(coverage, target, LossSettings(name)).item() == 0
    assert topology_agreement(coverage, target, LossSettings(name)).item() == 0


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_gradient_points_to_the_target(name):
    target = SilhouetteTarget.of((disc(29, 24, 9) > 0.5).float())
    x = torch.tensor(22.0, requires_grad=True)
    loss = silhouette_loss(disc(x, torch.tensor(24.0), 9), target, LossSettings(name))
    loss.sum().backward()
    assert loss.item() > 0
    assert x.grad < 0  # moving right lowers the loss


def test_equal_to_the_formulas():
    pred, true = (disc(20, 24, 9) > 0.5).float(), (disc(26, 22, 8) > 0.5).float()
    target = SilhouetteTarget.of(true)
    pull, push = reference.chamfer(pred, true, reference.s2d(1 - pred), reference.s2d(1 - true))
    l_s = (3 * pull + push).item() / true.sum().item()
    b2 = silhouette_loss(pred, target, LossSettings("b2", pull_weight=3))
    assert b2.item() == pytest.approx(l_s, rel=1e-6)

    skeleton = reference.d2t(reference.s2d(true), true)
    l_t = reference.topology_loss(pred, true, pull_weight=3).item() / skeleton.sum().item()
    ours = silhouette_loss(pred, target, LossSettings("ours", pull_weight=3, topology_weight=0.5))
    assert ours.item() == pytest.approx(l_s + 0.5 * l_t, rel=1e-6)

    b1 = silhouette_loss(pred, target, LossSettings("b1"))
    assert b1.item() == pytest.approx(((pred - true) ** 2).sum().item() / true.sum().item())


def test_losses_do_not_depend_on_the_size_of_the_person():
    small = silhouette_loss(disc(20, 24, 6), SilhouetteTarget.of((disc(23, 24, 6) > 0.5).float()), LossSettings("b2"))
    large = silhouette_loss(disc(20, 24, 12), SilhouetteTarget.of((disc(26, 24, 12) > 0.5).float()), LossSettings("b2"))
    assert large.item() == pytest.approx(2 * small.item(), rel=0.15)  # pixels: twice the size, twice the shift


def test_selection_and_repetition():
    masks = torch.cat([(disc(x, 24, 9) > 0.5).float() for x in (18, 24, 30)])
    target = SilhouetteTarget.of(masks)
    assert torch.equal(target.repeat(2).mask, masks.repeat_interleave(2, dim=0))
    assert torch.equal(target.select(torch.tensor([2])).topology.skeleton, target.topology.skeleton[2:])


def test_empty_prediction_still_has_a_finite_loss():
    target = SilhouetteTarget.of((disc(20, 24, 9) > 0.5).float(), iterations=64)
    for name in LOSS_NAMES:
        assert torch.isfinite(silhouette_loss(torch.zeros(1, 1, 48, 48), target, LossSettings(name))).all()
