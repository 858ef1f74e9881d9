from __future__ import annotations

import pytest
import roma
import torch
from torch import Tensor

from adaptation.bodies.joint_sets import LSP_JOINTS
from adaptation.evaluation.metrics import mpjpe, pa_mpjpe, silhouette_iou, similarity_align


def random_joints(batch: int = 4, seed: int = 0) -> Tensor:
    return torch.randn(batch, 24, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def moved(joints: Tensor, scale: float = 1.7) -> Tensor:
    rotation = roma.rotvec_to_rotmat(torch.tensor([2.0, -1.0, 0.5], dtype=torch.float64))
    return scale * joints @ rotation.T + torch.tensor([0.3, -2.0, 50.0], dtype=torch.float64)


def test_mpjpe_by_hand() -> None:
    target = random_joints(2)
    pred = target + torch.tensor([5.0, 6.0, 7.0], dtype=torch.float64)  # Shifts do not count.
    assert mpjpe(pred, target).abs().max() < 1e-9
    pred = target.clone()
    pred[0, 20] += torch.tensor([0.0, 0.03, 0.04], dtype=torch.float64)  # A wrist, off by 50 mm.
    pred[0, 3] += 9.0  # The spine is not among the 14.
    pred[1, 0, 2] += 0.010  # The pelvis: everything else is off by 10 mm.
    torch.testing.assert_close(mpjpe(pred, target), torch.tensor([50 / 14, 10.0], dtype=torch.float64))


def test_pa_mpjpe_is_invariant_to_similarities_of_the_prediction() -> None:
    target = random_joints()
    assert pa_mpjpe(moved(target), target).max() < 1e-6
    pred = target + 0.1 * random_joints(seed=1)
    torch.testing.assert_close(pa_mpjpe(moved(pred), target), pa_mpjpe(pred, target))
    assert (pa_mpjpe(pred, target) > 50).all()
    assert (pa_mpjpe(pred, target) < mpjpe(pred, target)).all()


def test_pa_mpjpe_does_not_reflect() -> None:
    target = random_joints()
    mirrored = target * torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
    assert (pa_mpjpe(mirrored, target) > 100).all()


def test_pa_mpjpe_by_hand() -> None:
    # Two crossed rods in a plane, one of them 20 % too long: rotation and shift stay, only the
    # scale s adjusts.
    target = torch.zeros(1, 24, 3, dtype=torch.float64)
    ends = torch.tensor([[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]], dtype=torch.float64)
    target[0, list(LSP_JOINTS[:4])] = ends
    pred = target.clone()
    pred[0, list(LSP_JOINTS[:2])] *= 1.2
    scale = (1.2 + 1) / (1.2**2 + 1)
    expected = 1000 * 2 * (abs(1.2 * scale - 1) + abs(scale - 1)) / 14
    assert pa_mpjpe(pred, target).item() == pytest.approx(expected)


def test_alignment_is_the_best_one() -> None:
    target, source = random_joints(3), random_joints(3, seed=1)
    best = (similarity_align(source, target) - target).square().sum(dim=(1, 2))
    generator = torch.Generator().manual_seed(2)
    for _ in range(50):
        nudge = roma.rotvec_to_rotmat(0.1 * torch.randn(3, 3, generator=generator, dtype=torch.float64))
        scale = 1 + 0.1 * torch.randn(3, 1, 1, generator=generator, dtype=torch.float64)
        shift = 0.05 * torch.randn(3, 1, 3, generator=generator, dtype=torch.float64)
        other = scale * similarity_align(source, target) @ nudge.mT + shift
        assert ((other - target).square().sum(dim=(1, 2)) > best).all()


def test_degenerate_prediction_is_finite() -> None:
    target = random_joints(1).float()
    collapsed = torch.zeros(1, 24, 3)
    errors = pa_mpjpe(collapsed, target)
    joints = target[:, list(LSP_JOINTS)]
    centred = (joints - joints.mean(dim=1, keepdim=True)).norm(dim=2).mean(dim=1)
    torch.testing.assert_close(errors, 1000 * centred)


def test_silhouette_iou() -> None:
    a, b = torch.zeros(4, 1, 8, 8), torch.zeros(4, 1, 8, 8)
    a[0, 0, :4], b[0, 0, 2:6] = 1, 1  # 16 of 48 pixels in common
    a[1], b[1] = 1, 1
    a[2, 0, 0, 0] = 1
    expected = torch.tensor([1 / 3, 1.0, 0.0, 1.0])
    torch.testing.assert_close(silhouette_iou(a, b), expected)
    torch.testing.assert_close(silhouette_iou(a.bool(), b[:, 0].bool()), expected)
    soft = torch.where(a > 0, 0.6, 0.4)
    torch.testing.assert_close(silhouette_iou(soft, b), expected)
