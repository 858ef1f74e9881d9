from __future__ import annotations

import torch

from adaptation.bodies.body import Body
from adaptation.bodies.camera import WeakPerspective
from adaptation.bodies.meshes import Meshes
from adaptation.bodies.parameters import Bodies
from adaptation.bodies.poses import facing, standing
from adaptation.bodies.renderer import make_renderer
from adaptation.bodies.rotations import rotvec_to_matrix
from adaptation.bodies.views import Margins
from adaptation.fitting.silhouette_fitter import SilhouetteFitter
from adaptation.losses.silhouettes import silhouette_loss
from adaptation.priors.gaussian import GaussianPosePrior
from adaptation.regressors.base import Prediction

SIZE = 64


def bodies(shift: float = 0.0) -> Bodies:
    pose = standing()
    pose[0] = facing(0.0)
    pose[16:18, 2] = torch.tensor([1.3, -1.3])  # arms out
    camera = WeakPerspective(torch.tensor([[0.9, shift, 0.0]]))
    return Bodies(rotvec_to_matrix(pose[None].float()), torch.zeros(1, 10), camera)


def fitter(body: Body, margins: Margins | None = None) -> SilhouetteFitter:
    return SilhouetteFitter(body, GaussianPosePrior.default(), make_renderer(), visible=margins)


def test_what_is_cut_off_has_no_loss(body: Body) -> None:
    sees = fitter(body, Margins(left=0.25, right=0.25))
    mask = fitter(body).posed(bodies(), SIZE).silhouette
    outside = mask.clone()
    outside[..., : SIZE // 4], outside[..., -SIZE // 4 :] = 1, 0  # anything, where the network sees nothing
    assert not torch.equal(mask, outside)
    posed = sees.posed(bodies(), SIZE)
    assert not posed.silhouette[..., : SIZE // 4].any()
    for given in (mask, outside):
        target = sees.target(given)
        assert silhouette_loss(posed.silhouette, target, sees.settings.loss).item() == 0
        assert sees.evaluate(bodies(), target).iou.item() == 1
    assert fitter(body).evaluate(bodies(), fitter(body).target(outside)).iou.item() < 0.9
    assert fitter(body).seeing(Margins(left=0.25, right=0.25)).scene.visible == sees.scene.visible
    assert sees.with_settings(sees.settings).scene.visible == sees.scene.visible


def test_what_is_seen_has_the_gradient_that_it_has_alone(body: Body) -> None:
    sees, moved = fitter(body, Margins(left=0.25, right=0.25)), bodies(0.05)
    moved.camera.parameters.requires_grad_()
    target = sees.target(fitter(body).posed(bodies(), SIZE).silhouette)
    silhouette_loss(sees.posed(moved, SIZE).silhouette, target, sees.settings.loss).sum().backward()
    assert moved.camera.parameters.grad[0, 1] > 0  # back to where the mask is


def test_a_mesh_of_its_own_is_drawn(body: Body) -> None:
    posed = body(bodies().rotations, bodies().betas)
    mesh = Meshes(posed.vertices, bodies().camera, body.faces)
    alone, expected = fitter(body).posed(Prediction(mesh=mesh), SIZE), fitter(body).posed(bodies(), SIZE)
    assert torch.equal(alone.silhouette, expected.silhouette) and torch.equal(alone.vertices2d, expected.vertices2d)
    assert expected.known and not alone.known
    target = fitter(body).target(expected.silhouette)
    judged = fitter(body).evaluate(Prediction(mesh=mesh), target)
    assert judged.iou.item() == 1 and judged.prior.item() == 0 < fitter(body).evaluate(bodies(), target).prior.item()
    wide = Meshes(1.3 * posed.vertices, bodies().camera, body.faces)
    both = fitter(body).posed(Prediction(bodies(), mesh=wide), SIZE)
    assert both.known and both.silhouette.sum() > expected.silhouette.sum()
