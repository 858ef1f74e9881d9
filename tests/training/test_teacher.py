from __future__ import annotations

import roma
import torch
from networks import tiny_network
from torch import Tensor, nn

from adaptation.body import Body
from adaptation.domains.dataset import Domain
from adaptation.regressor import Prediction
from adaptation.supervision import Truth, mirror, truth_of
from adaptation.training.mirrored import Mirrored
from adaptation.training.teacher import teach


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


def test_mirrored_crops_have_the_mirrored_bodies(target: Domain) -> None:
    network, images = tiny_network().eval(), target.image_batch(slice(None))
    lessons = [teach(network, crops, "float32") for crops in (images, images.flip(3))]
    wanted = mirror(lessons[0].bodies)
    for name in ("rotations", "betas", "camera"):
        torch.testing.assert_close(getattr(lessons[1].bodies, name), getattr(wanted, name), atol=1e-4, rtol=0)
    assert not lessons[0].bodies.rotations.requires_grad
