import torch

from adaptation.regressors.heatmaps import expected_places, heatmap_loss, spreads

PLACES = torch.tensor([[[5.0, 8.2], [10.3, 12.7], [17.6, 3.5]]])  # x and y, cells


def gaussians(spread: float) -> torch.Tensor:
    """Logits (1, 3, 20, 24) of Gaussians around the places."""
    y, x = torch.meshgrid(torch.arange(20) + 0.5, torch.arange(24) + 0.5, indexing="ij")
    away = (x - PLACES[..., 0, None, None]) ** 2 + (y - PLACES[..., 1, None, None]) ** 2
    return -away / (2 * spread**2)


def test_zero_at_the_gaussian_around_the_joint_and_more_elsewhere() -> None:
    logits = gaussians(0.75)
    torch.testing.assert_close(heatmap_loss(logits, PLACES, 0.75), torch.zeros(1, 3), atol=1e-4, rtol=0)
    assert (heatmap_loss(logits, PLACES + 2, 0.75) > 1).all()
    assert (heatmap_loss(torch.zeros_like(logits), PLACES, 0.75) > 1).all()


def test_joints_outside_of_the_crop_do_not_count() -> None:
    places = PLACES.clone()
    places[0, 0] = torch.tensor([-1.0, 5.0])
    places[0, 1] = torch.tensor([5.0, 20.5])
    loss = heatmap_loss(torch.zeros(1, 3, 20, 24), places, 0.75)
    assert (loss[0, :2] == 0).all() and loss[0, 2] > 1


def test_gradient_moves_the_heatmap_to_the_joint() -> None:
    logits = torch.zeros(1, 3, 20, 24, requires_grad=True)
    for _ in range(300):
        (grad,) = torch.autograd.grad(heatmap_loss(logits, PLACES, 0.75).sum(), logits)
        logits = (logits - 20 * grad).detach().requires_grad_()
    places = expected_places(logits.flatten(2).softmax(2).view_as(logits))
    expected = PLACES / torch.tensor([12.0, 10.0]) - 1
    assert (places - expected).abs().max() < 0.02


def test_places_of_one_cell_are_its_centre() -> None:
    shares = torch.zeros(1, 1, 4, 8)
    shares[0, 0, 1, 6] = 1
    torch.testing.assert_close(expected_places(shares), torch.tensor([[[0.625, -0.25]]]))


def test_spreads_are_standard_deviations_in_crop_coordinates() -> None:
    shares = torch.zeros(1, 2, 20, 24)
    shares[0, 0, 3, 5] = 1
    shares[0, 1, [4, 14], 7] = 0.5  # 5 cells of 2 / 20 from their mean
    torch.testing.assert_close(spreads(shares), torch.tensor([[0.0, 0.5]]), atol=1e-3, rtol=0)
