from __future__ import annotations

from pathlib import Path

import pytest
import roma
import torch
from torch import Tensor

from adaptation.bodies.body import Body
from adaptation.bodies.camera import fit_camera_to_bbox, mask_bounds
from adaptation.bodies.poses import facing, perturb, sample_poses, walking
from adaptation.bodies.renderer import make_renderer
from adaptation.bodies.rotations import angle_between, rotvec_to_matrix
from adaptation.fitting.settings import FitSettings
from adaptation.fitting.silhouette_fitter import SilhouetteFitter
from adaptation.fitting.variables import BodyVariables
from adaptation.priors.gaussian import GaussianPosePrior
from adaptation.priors.latent import LatentPosePrior
from adaptation.priors.named import pose_prior
from adaptation.support.errors import UserError

SIZE = 64


@pytest.fixture(scope="module")
def latent() -> LatentPosePrior:
    return LatentPosePrior.default()


@pytest.fixture(scope="module")
def poses() -> Tensor:
    generator = torch.Generator().manual_seed(5)
    poses = sample_poses(300, generator)
    poses[:, 0] = torch.randn(300, 3, generator=generator)
    return poses


def test_energy_of_what_the_prior_makes(latent: LatentPosePrior, poses: Tensor) -> None:
    """Near |u|^2 / 2: nothing else can be said by the decoder, but the encoder need not find the same phi."""
    phi = latent.encode(rotvec_to_matrix(poses[:, 1:]))
    rotations = latent.decode(phi)
    made = torch.cat([torch.zeros(300, 1, 3), roma.rotmat_to_rotvec(rotations)], dim=1)
    found = latent.encode(rotations)
    u = 2**0.5 * torch.erfinv(found.clamp(-0.9995, 0.9995))
    rests = angle_between(latent.decode(found), rotations).rad2deg() / 8
    torch.testing.assert_close(
        latent.energy(made), (u.square().sum(1) + rests.square().sum(1)) / 2, rtol=1e-3, atol=1e-2
    )
    assert rests.square().sum(1).mean() < 5


def test_energy_tells_usual_from_unusual_poses(latent: LatentPosePrior, poses: Tensor) -> None:
    usual = latent.energy(poses).mean()
    assert 20 < usual < 40
    generator = torch.Generator().manual_seed(1)
    energies = [latent.energy(perturb(poses, span, generator)).mean() for span in ((10, 20), (20, 40), (40, 70))]
    assert usual < energies[0] < energies[1] < energies[2]
    turned = poses.clone()
    turned[:, 0] += 1.0  # the global orientation does not count
    torch.testing.assert_close(latent.energy(turned), latent.energy(poses))


def test_a_joint_that_never_moves_counts_by_its_angle(latent: LatentPosePrior, poses: Tensor) -> None:
    bent = poses[:50].clone()
    bent[:, 22, 0] = torch.tensor(16.0).deg2rad()  # a hand: phi cannot say it
    rise = latent.energy(bent) - latent.energy(poses[:50])
    assert rise.mean().item() == pytest.approx((16 / 8) ** 2 / 2, abs=0.8)


def test_gradients_are_finite(latent: LatentPosePrior, poses: Tensor) -> None:
    pose = torch.cat([poses[:2], torch.zeros(1, 24, 3), 3 * torch.ones(1, 24, 3)]).requires_grad_()
    latent.energy(pose).sum().backward()
    assert pose.grad is not None and torch.isfinite(pose.grad).all()
    assert pose.grad[:, 1:].flatten(1).any(1).all() and not pose.grad[:, 0].any()
    assert all(parameter.grad is None for parameter in latent.parameters())


def test_a_fit_with_the_latent_prior(free_body: Body, latent: LatentPosePrior) -> None:
    fitter = SilhouetteFitter(free_body, latent, make_renderer(), FitSettings(steps=30))
    pose = walking(torch.tensor([0.1, 0.6]))
    pose[:, 0] = facing(torch.tensor([1.0, -0.5]), pitch=0.17)
    bounds = torch.tensor([[0.2, 0.12, 0.8, 0.88]]).repeat(2, 1) * SIZE
    betas = torch.zeros(2, 10)
    camera = fit_camera_to_bbox(free_body(pose, betas).vertices, bounds, SIZE)
    masks = fitter.posed(BodyVariables(pose, betas, camera), SIZE).silhouette
    wrong = perturb(pose, (20, 40), torch.Generator().manual_seed(0))
    camera = fit_camera_to_bbox(free_body(wrong, betas).vertices, mask_bounds(masks), SIZE)
    start, target = BodyVariables(wrong, betas, camera), fitter.target(masks)
    before, after = (fitter.evaluate(each, target) for each in (start, fitter.fit(target, start)))
    assert (after.loss < 0.7 * before.loss).all() and (after.iou > before.iou + 0.15).all()
    assert (after.prior < 0.5 * before.prior).all()
    torch.testing.assert_close(before.prior, latent.energy(wrong))


def test_priors_by_name(latent: LatentPosePrior, tmp_path: Path) -> None:
    assert isinstance(pose_prior("gaussian"), GaussianPosePrior)
    assert isinstance(pose_prior("latent"), LatentPosePrior)
    path = tmp_path / "prior.safetensors"
    latent.save(path, {"made": "by hand"})
    assert path.stat().st_size < 1_000_000
    again = pose_prior(str(path))
    pose = walking(torch.rand(3))
    assert torch.equal(again.energy(pose), latent.energy(pose))  # what is read and written is float16
    for wrong, message in ((b"", "is not a pose prior"), (path.read_bytes()[:-9], "is not a pose prior")):
        path.write_bytes(wrong)
        with pytest.raises(UserError, match=message):
            pose_prior(str(path))
    with pytest.raises(UserError, match="no pose prior 'gausian'"):
        pose_prior("gausian")
