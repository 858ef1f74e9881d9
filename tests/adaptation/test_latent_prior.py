from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from adaptation.body import Body
from adaptation.camera import fit_camera_to_bbox, mask_bounds
from adaptation.errors import UserError
from adaptation.fitting import BodyParameters, FitSettings, Fitter
from adaptation.latent_prior import LATENT, UNIT, LatentPosePrior
from adaptation.poses import facing, perturb, sample_poses, walking
from adaptation.prior import GaussianPosePrior, PosePrior, pose_prior
from adaptation.renderer import make_renderer
from adaptation.rotations import angle_between, rotvec_to_matrix

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


def test_variables_stand_for_the_pose(latent: LatentPosePrior, poses: Tensor) -> None:
    for each in (poses, perturb(poses, (20, 40), torch.Generator().manual_seed(0))):
        variables = latent.to_variables(each)
        assert variables.shape == (300, 3 + LATENT + 69)
        again = latent.to_pose(variables)
        assert torch.equal(again[:, 0], each[:, 0])
        apart = angle_between(rotvec_to_matrix(again), rotvec_to_matrix(each))
        assert apart.max() < 2e-3


def test_energy_of_what_the_prior_makes_is_that_of_a_normal_distribution(latent: LatentPosePrior) -> None:
    phi = 2 * torch.rand(500, LATENT, generator=torch.Generator().manual_seed(0)) - 1
    u = 2**0.5 * torch.erfinv(phi)
    variables = torch.cat([torch.zeros(500, 3), u / UNIT, torch.zeros(500, 69)], dim=1)
    torch.testing.assert_close(latent.energy_of(variables), u.square().sum(1))
    assert latent.energy_of(variables).mean().item() == pytest.approx(LATENT, rel=0.05)
    made = rotvec_to_matrix(latent.to_pose(variables)[:, 1:])
    assert angle_between(made, latent.decode(phi)).max() < 2e-3


def test_energy_tells_usual_from_unusual_poses(latent: LatentPosePrior, poses: Tensor) -> None:
    usual = latent.energy(poses).mean()
    assert 30 < usual < 90
    generator = torch.Generator().manual_seed(1)
    energies = [latent.energy(perturb(poses, span, generator)).mean() for span in ((10, 20), (20, 40), (40, 70))]
    assert usual < energies[0] < energies[1] < energies[2]
    turned = poses.clone()
    turned[:, 0] += 1.0  # the global orientation does not count
    torch.testing.assert_close(latent.energy(turned), latent.energy(poses))


def test_a_rest_of_eight_degrees_counts_as_one(latent: LatentPosePrior) -> None:
    variables = torch.zeros(1, 3 + LATENT + 69)
    variables[0, 3 + LATENT + 6] = torch.tensor(8.0).deg2rad()
    assert latent.energy_of(variables).item() == pytest.approx(1.0, rel=1e-5)
    straight, bent = (rotvec_to_matrix(latent.to_pose(each)) for each in (0 * variables, variables))
    apart = angle_between(straight, bent)[0].rad2deg()
    assert apart[3].item() == pytest.approx(8, abs=0.05) and apart.sum().item() == pytest.approx(8, abs=0.5)


def test_gradients_are_finite(latent: LatentPosePrior, poses: Tensor) -> None:
    variables = latent.to_variables(poses)
    variables[0] = 0
    variables[1, 3:] = 40.0
    variables.requires_grad_()
    (latent.to_pose(variables).square().sum() + latent.energy_of(variables).sum()).backward()
    assert variables.grad is not None and torch.isfinite(variables.grad).all()
    pose = torch.cat([poses[:2], torch.zeros(1, 24, 3), 3 * torch.ones(1, 24, 3)]).requires_grad_()
    latent.energy(pose).sum().backward()
    assert pose.grad is not None and torch.isfinite(pose.grad).all() and pose.grad[0].any()
    assert all(parameter.grad is None for parameter in latent.parameters())


def test_a_fit_in_the_latent(free_body: Body, latent: LatentPosePrior) -> None:
    fitter = Fitter(free_body, latent, make_renderer(), FitSettings(steps=30))
    pose = walking(torch.tensor([0.1, 0.6]))
    pose[:, 0] = facing(torch.tensor([1.0, -0.5]), pitch=0.17)
    bounds = torch.tensor([[0.2, 0.12, 0.8, 0.88]]).repeat(2, 1) * SIZE
    betas = torch.zeros(2, 10)
    camera = fit_camera_to_bbox(free_body(pose, betas).vertices, bounds, SIZE)
    masks = fitter.silhouette(BodyParameters(pose, betas, camera), SIZE)
    wrong = perturb(pose, (20, 40), torch.Generator().manual_seed(0))
    camera = fit_camera_to_bbox(free_body(wrong, betas).vertices, mask_bounds(masks), SIZE)
    start, target = BodyParameters(wrong, betas, camera), fitter.target(masks)
    before, after = (fitter.evaluate(each, target) for each in (start, fitter.fit(target, start)))
    assert (after.loss < 0.7 * before.loss).all() and (after.iou > before.iou + 0.15).all()
    assert (after.prior < 0.5 * before.prior).all()
    torch.testing.assert_close(before.prior, latent.energy(wrong))
    stayed = fitter.fit(target, start, steps=0)
    torch.testing.assert_close(free_body(stayed.pose, betas).joints, free_body(wrong, betas).joints, atol=2e-3, rtol=0)


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


def test_an_energy_of_the_users_own_can_be_fitted_with(free_body: Body) -> None:
    class Still:
        """Any pose is as good as any other."""

        def energy(self, pose: Tensor) -> Tensor:
            return 0 * pose.sum((1, 2))

        def to_variables(self, pose: Tensor) -> Tensor:
            return 2 * pose

        def to_pose(self, variables: Tensor) -> Tensor:
            return variables / 2

        def energy_of(self, variables: Tensor) -> Tensor:
            return self.energy(variables)

    prior: PosePrior = Still()
    fitter = Fitter(free_body, prior, make_renderer(), replace(FitSettings(), steps=3))
    pose = walking(torch.tensor([0.3]))
    pose[:, 0] = facing(torch.tensor([0.4]))
    start = BodyParameters(pose, torch.zeros(1, 10), torch.tensor([[0.9, 0.0, 0.3]]))
    fitted = fitter.fit(fitter.target(fitter.silhouette(start, SIZE).roll(3, dims=3)), start)
    assert fitted.pose.shape == (1, 24, 3) and not torch.equal(fitted.pose, pose)
