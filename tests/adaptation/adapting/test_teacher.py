from __future__ import annotations

import copy

import pytest
import roma
import torch
from networks import tiny_network
from torch import Tensor, nn

from adaptation.adapting.teacher import looks_apart, teach
from adaptation.bodies.body import Body
from adaptation.data.samples import Domain
from adaptation.evaluation.metrics import pa_mpjpe
from adaptation.losses.supervision import Truth, mirror, truth_of
from adaptation.regressors.base import Prediction
from adaptation.regressors.mirrored import Mirrored


class Sees(nn.Module):
    """Gives one set of bodies for crops as they are, and another for their mirror images."""

    def __init__(self, crops: Truth, reflected: Truth) -> None:
        super().__init__()
        self.bodies = crops, reflected

    def forward(self, images: Tensor) -> Prediction:
        both = (torch.cat(pair) for pair in zip(*(vars(part).values() for part in self.bodies), strict=True))
        return Prediction(*both)


def turned(truth: Truth, degrees: float) -> Truth:
    """Bodies turned about the image's vertical axis."""
    turn = roma.rotvec_to_rotmat(torch.tensor([0.0, degrees * torch.pi / 180, 0.0]))
    rotations = truth.rotations.clone()
    rotations[:, 0] = turn @ rotations[:, 0]
    return Truth(rotations, truth.betas, truth.camera)


def about_face(truth: Truth) -> tuple[Truth, Truth]:
    """Bodies, and the same of which the last twelve face the other way."""
    back = turned(truth, 180)
    return truth, Truth(torch.cat([truth.rotations[:12], back.rotations[12:]]), truth.betas + 1, truth.camera)


def test_what_is_taught_is_the_mean_over_both_images(source: Domain, body: Body) -> None:
    truth, images = truth_of(source), source.image_batch(slice(None))
    other = Truth(truth.rotations, truth.betas + 1, truth.camera + torch.tensor([0.1, 0.2, 0.3]))
    lesson = teach(Sees(turned(truth, 20), mirror(turned(other, -20))), images, "float32")
    torch.testing.assert_close(lesson.bodies.rotations, truth.rotations, atol=1e-5, rtol=0)
    torch.testing.assert_close(lesson.bodies.betas, truth.betas + 0.5)
    torch.testing.assert_close(lesson.bodies.camera, truth.camera + torch.tensor([0.05, 0.1, 0.15]))
    assert lesson.agrees.all()
    perfect = Prediction(lesson.bodies.rotations, lesson.bodies.betas, lesson.bodies.camera)
    assert lesson.loss(perfect, body).max() < 1e-4 < lesson.loss(Prediction(**vars(other)), body).min()


def test_nothing_is_taught_where_the_two_face_different_ways(source: Domain, body: Body) -> None:
    truth, other = about_face(truth_of(source))
    lesson = teach(Sees(truth, mirror(other)), source.image_batch(slice(None)), "float32")
    assert lesson.agrees[:12].all() and not lesson.agrees[12:].any()
    loss = lesson.loss(Prediction(**vars(turned(truth, 180))), body)
    assert (loss[:12] > 0.1).all() and not loss[12:].any()


def test_a_second_look_counts_where_it_faces_the_same_way(source: Domain) -> None:
    truth, other = about_face(truth_of(source))
    seen = Mirrored(Sees(truth, mirror(other)))(source.image_batch(slice(None)))
    torch.testing.assert_close(seen.rotations, truth.rotations, atol=1e-5, rtol=0)
    torch.testing.assert_close(seen.betas[:12], truth.betas[:12] + 0.5)
    assert torch.equal(seen.betas[12:], truth.betas[12:])


def test_looks_are_as_far_apart_as_their_joints(source: Domain, body: Body) -> None:
    truth = truth_of(source)
    assert looks_apart(Sees(truth, mirror(truth)), source, body) < 0.1
    bent = truth.rotations.clone()
    bent[:, 16] = roma.rotvec_to_rotmat(torch.tensor([0.0, 0.0, 1.0])) @ bent[:, 16]  # the left arm
    other = Truth(bent, truth.betas, truth.camera)
    # One batch, so that the network's two answers are of all crops, in the order they are asked for.
    assert len(source) <= 64
    joints = (body.joints(look.rotations, look.betas) for look in (truth, other))
    wanted = pa_mpjpe(*joints).median()
    assert 10 < wanted == pytest.approx(looks_apart(Sees(truth, mirror(other)), source, body), abs=1e-3)
    broken = Truth(bent * torch.nan, truth.betas, truth.camera)
    assert looks_apart(Sees(truth, broken), source, body) == torch.inf


def test_a_network_is_as_it_was_after_it_was_looked_at(target: Domain, body: Body) -> None:
    network = tiny_network().eval()
    before = copy.deepcopy(network.state_dict())
    alone = looks_apart(network, target, body)
    assert alone > 0 and not any(module.training for module in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.add_(3)  # what it kept of the source does not matter
    assert looks_apart(network, target, body) == pytest.approx(alone, rel=1e-3)


def test_mirrored_crops_have_the_mirrored_bodies(target: Domain) -> None:
    network, images = tiny_network().eval(), target.image_batch(slice(None))
    lessons = [teach(network, crops, "float32") for crops in (images, images.flip(3))]
    wanted = mirror(lessons[0].bodies)
    for name in ("rotations", "betas", "camera"):
        torch.testing.assert_close(getattr(lessons[1].bodies, name), getattr(wanted, name), atol=1e-4, rtol=0)
    assert not lessons[0].bodies.rotations.requires_grad
