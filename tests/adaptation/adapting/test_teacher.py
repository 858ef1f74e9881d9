from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import roma
import torch
from leaves import tensors_of
from networks import tiny_network
from torch import Tensor, nn

from adaptation.adapting.teacher import looks_apart, teach
from adaptation.bodies.body import Body
from adaptation.bodies.camera import WeakPerspective
from adaptation.bodies.parameters import Bodies
from adaptation.bodies.views import View
from adaptation.data.samples import Samples
from adaptation.evaluation.metrics import pa_mpjpe
from adaptation.regressors.base import Prediction
from adaptation.regressors.mirrored import Mirrored


class Sees(nn.Module):
    """Gives one set of bodies for crops as they are, and another for their mirror images."""

    def __init__(self, crops: Bodies, reflected: Bodies) -> None:
        super().__init__()
        self.bodies = crops, reflected

    def forward(self, images: Tensor, view: View | None = None) -> Prediction:
        return Prediction(Bodies.cat(self.bodies))


def turned(truth: Bodies, degrees: float) -> Bodies:
    """Bodies turned about the image's vertical axis."""
    turn = roma.rotvec_to_rotmat(torch.tensor([0.0, degrees * torch.pi / 180, 0.0]))
    rotations = truth.rotations.clone()
    rotations[:, 0] = turn @ rotations[:, 0]
    return replace(truth, rotations=rotations)


def about_face(truth: Bodies) -> tuple[Bodies, Bodies]:
    """Bodies, and the same of which the last twelve face the other way."""
    back = turned(truth, 180)
    rotations = torch.cat([truth.rotations[:12], back.rotations[12:]])
    return truth, Bodies(rotations, truth.betas + 1, truth.camera)


def test_what_is_taught_is_the_mean_over_both_images(source: Samples, body: Body) -> None:
    truth, images = source.bodies(body), source.image_batch(slice(None))
    moved = WeakPerspective(truth.camera.parameters + torch.tensor([0.1, 0.2, 0.3]))
    other = Bodies(truth.rotations, truth.betas + 1, moved)
    lesson = teach(
        Sees(turned(truth, 20), turned(other, -20).mirrored()), images, source.view_batch(slice(None)), "float32"
    )
    torch.testing.assert_close(lesson.bodies.rotations, truth.rotations, atol=1e-5, rtol=0)
    torch.testing.assert_close(lesson.bodies.betas, truth.betas + 0.5)
    expected = truth.camera.parameters + torch.tensor([0.05, 0.1, 0.15])
    torch.testing.assert_close(lesson.bodies.camera.parameters, expected)
    assert lesson.agrees.all()
    assert lesson.loss(Prediction(lesson.bodies), body).max() < 1e-4 < lesson.loss(Prediction(other), body).min()


def test_nothing_is_taught_where_the_two_face_different_ways(source: Samples, body: Body) -> None:
    truth, other = about_face(source.bodies(body))
    crops = source.image_batch(slice(None)), source.view_batch(slice(None))
    lesson = teach(Sees(truth, other.mirrored()), *crops, "float32")
    assert lesson.agrees[:12].all() and not lesson.agrees[12:].any()
    loss = lesson.loss(Prediction(turned(truth, 180)), body)
    assert (loss[:12] > 0.1).all() and not loss[12:].any()


def test_a_second_look_counts_where_it_faces_the_same_way(source: Samples, body: Body) -> None:
    truth, other = about_face(source.bodies(body))
    seen = Mirrored(Sees(truth, other.mirrored()))(source.image_batch(slice(None))).bodies
    torch.testing.assert_close(seen.rotations, truth.rotations, atol=1e-5, rtol=0)
    torch.testing.assert_close(seen.betas[:12], truth.betas[:12] + 0.5)
    assert torch.equal(seen.betas[12:], truth.betas[12:])


def test_looks_are_as_far_apart_as_their_joints(source: Samples, body: Body) -> None:
    truth = source.bodies(body)
    assert looks_apart(Sees(truth, truth.mirrored()), source, body) < 0.1
    bent = truth.rotations.clone()
    bent[:, 16] = roma.rotvec_to_rotmat(torch.tensor([0.0, 0.0, 1.0])) @ bent[:, 16]  # the left arm
    other = replace(truth, rotations=bent)
    # One batch, so that the network's two answers are of all crops, in the order they are asked for.
    assert len(source) <= 64
    joints = (body.joints(look.rotations, look.betas) for look in (truth, other))
    wanted = pa_mpjpe(*joints).median()
    assert 10 < wanted == pytest.approx(looks_apart(Sees(truth, other.mirrored()), source, body), abs=1e-3)
    broken = replace(truth, rotations=bent * torch.nan)
    assert looks_apart(Sees(truth, broken), source, body) == torch.inf


def test_a_network_is_as_it_was_after_it_was_looked_at(target: Samples, body: Body) -> None:
    network = tiny_network().eval()
    before = copy.deepcopy(network.state_dict())
    alone = looks_apart(network, target, body)
    assert alone > 0 and not any(module.training for module in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.add_(3)  # what it kept of the source does not matter
    assert looks_apart(network, target, body) == pytest.approx(alone, rel=1e-3)


def test_mirrored_crops_have_the_mirrored_bodies(target: Samples) -> None:
    network, images = tiny_network().eval(), target.image_batch(slice(None))
    view = target.view_batch(slice(None))
    both = ((images, view), (images.flip(3), view.mirrored()))
    lessons = [teach(network, *crops, "float32") for crops in both]
    found = tensors_of(lessons[1].bodies)
    for name, wanted in tensors_of(lessons[0].bodies.mirrored()).items():
        torch.testing.assert_close(found[name], wanted, atol=1e-4, rtol=0)
    assert not lessons[0].bodies.rotations.requires_grad
