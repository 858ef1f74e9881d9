from dataclasses import replace

import pytest
import torch

from adaptation.losses.settings import LOSS_NAMES, LossSettings, at_size
from adaptation.losses.silhouettes import SilhouetteTarget, silhouette_loss, silhouette_terms, topology_agreement
from topokernels import reference
from topokernels.reference import straight_through


def disc(x: float, y: float, radius: float, size: int = 48, sigma: float = 1.0) -> torch.Tensor:
    """Disc (1, 1, size, size) of 0 and 1 with the gradient of one that is soft just outside, as bodies are drawn."""
    axis = torch.arange(size) + 0.5
    distance = ((axis[None, :] - x) ** 2 + (axis[:, None] - y) ** 2).sqrt()
    soft = torch.sigmoid((radius + 0.5 - distance) / (0.3 * sigma))[None, None]
    return straight_through((distance < radius).float()[None, None], soft)


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_zero_at_the_target(name):
    coverage = disc(20, 24, 9)
    target = SilhouetteTarget.of(coverage)
    assert silhouette_loss(coverage, target, LossSettings(name)).item() == 0
    assert topology_agreement(coverage, target).item() == 0


def test_agreement_knows_no_cap():
    """Figures of different recipes compare."""
    silhouette, mask = disc(10, 24, 5), disc(38, 24, 5)
    near, far = (topology_agreement(silhouette, SilhouetteTarget.of(mask, iterations=n)).item() for n in (3, None))
    assert near == far > 30


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_a_recipe_follows_the_size_of_the_crops(name):
    silhouette, mask = disc(20, 24, 9), disc(26, 22, 8)
    large = [image.repeat_interleave(3, -1).repeat_interleave(3, -2) for image in (silhouette, mask)]
    settings = LossSettings(name, pull_weight=3.0, pixel_weight=3.0)
    usual = silhouette_loss(silhouette, SilhouetteTarget.of(mask), settings).item()
    same = silhouette_loss(large[0], SilhouetteTarget.of(large[1]), at_size(settings, 3)).item()
    assert same == pytest.approx(usual, rel=0.15)


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_gradient_points_to_the_target(name):
    target = SilhouetteTarget.of(disc(29, 24, 9))
    x = torch.tensor(22.0, requires_grad=True)
    loss = silhouette_loss(disc(x, torch.tensor(24.0), 9), target, LossSettings(name))
    loss.sum().backward()
    assert loss.item() > 0
    assert x.grad < 0  # moving right lowers the loss


def test_equal_to_the_formulas():
    pred, true = disc(20, 24, 9), disc(26, 22, 8)
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
    b2 = LossSettings("b2")
    small = silhouette_loss(disc(40, 48, 14, 96), SilhouetteTarget.of(disc(47, 48, 14, 96)), b2)
    large = silhouette_loss(disc(40, 48, 28, 96), SilhouetteTarget.of(disc(54, 48, 28, 96)), b2)
    assert large.item() == pytest.approx(2 * small.item(), rel=0.15)  # pixels: twice the size, twice the shift


def test_selection_and_repetition():
    masks = torch.cat([disc(x, 24, 9) for x in (18, 24, 30)])
    target = SilhouetteTarget.of(masks)
    assert torch.equal(target.repeat_interleave(2).mask, masks.repeat_interleave(2, dim=0))
    assert torch.equal(target.select(torch.tensor([2])).topology.skeleton, target.topology.skeleton[2:])


def test_empty_prediction_still_has_a_finite_loss():
    target = SilhouetteTarget.of(disc(20, 24, 9), iterations=64)
    for name in LOSS_NAMES:
        assert torch.isfinite(silhouette_loss(torch.zeros(1, 1, 48, 48), target, LossSettings(name))).all()


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_plain_sums_are_the_printed_formulas(name):
    masks, moved = torch.cat([disc(20, 24, 9), disc(26, 22, 8)]), torch.cat([disc(23, 24, 9), disc(26, 26, 7)])
    target = SilhouetteTarget.of(masks)
    plain = LossSettings(name, topology_weight=1, pixel_weight=0, normalise=False)
    terms = silhouette_terms(moved, target, plain)
    for number in range(2):
        pred, true = moved[number : number + 1], masks[number : number + 1]
        l_s = sum(reference.chamfer(pred, true, reference.s2d(1 - pred), reference.s2d(1 - true))).item()
        skeletons = [reference.d2t(reference.s2d(each), each) for each in (pred, true)]
        expected = {
            "b1": ((pred - true).square().sum().item(), 0),
            "b2": (l_s, 0),
            "b3": (l_s, (skeletons[0] - skeletons[1]).square().sum().item()),
            "ours": (l_s, reference.topology_loss(pred, true).item()),
        }[name]
        found = terms.silhouette[number].item(), terms.topology[number].item()
        assert found == pytest.approx(expected, rel=1e-6)
    usual = silhouette_terms(moved, target, replace(plain, normalise=True))
    torch.testing.assert_close(usual.silhouette * target.area, terms.silhouette)
    torch.testing.assert_close(usual.topology * target.length, terms.topology)
