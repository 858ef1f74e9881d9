from __future__ import annotations

import pytest
import torch
from torch import Tensor

from adaptation.bodies.body import PARENTS, Body
from adaptation.bodies.camera import Perspective, WeakPerspective, project
from adaptation.bodies.parameters import Bodies
from adaptation.bodies.renderer import TopokernelsRenderer
from adaptation.bodies.rotations import rotvec_to_matrix
from adaptation.fitting.posed import Scene

SIZE = 48


class Counting(TopokernelsRenderer):
    """Counts what is drawn."""

    drawn = 0

    def silhouette(self, *arguments: object) -> Tensor:
        self.drawn += 1
        return super().silhouette(*arguments)


@pytest.fixture
def bodies() -> Bodies:
    pose = torch.zeros(2, 24, 3)
    pose[:, 0, 0] = torch.pi  # upright: y points down in images
    pose[1, 16, 2] = 1.0
    camera = WeakPerspective(torch.tensor([[0.9, 0.0, 0.2], [0.8, 0.1, 0.3]]))
    return Bodies(rotvec_to_matrix(pose), torch.zeros(2, 10), camera)


def test_nothing_is_drawn_before_a_term_asks_and_nothing_twice(bodies: Bodies, free_body: Body) -> None:
    renderer = Counting()
    posed = Scene(free_body, renderer).posed(bodies, SIZE)
    assert posed.bones.joints.shape == (2, 24, 2) and posed.vertices2d.shape == (2, free_body.vertex_count, 2)
    assert renderer.drawn == 0
    assert posed.silhouette is posed.silhouette and posed.output is posed.output
    assert renderer.drawn == 1


def test_parts_are_those_of_the_bodies(bodies: Bodies, free_body: Body) -> None:
    posed = Scene(free_body, Counting()).posed(bodies, SIZE)
    out = free_body(bodies.rotations, bodies.betas)
    assert torch.equal(posed.vertices2d, project(out.vertices, bodies.camera, SIZE))
    assert torch.equal(posed.bones.joints, project(out.joints, bodies.camera, SIZE))
    assert posed.bones.tree == PARENTS
    assert posed.silhouette.shape == (2, 1, SIZE, SIZE) and posed.silhouette.unique().tolist() == [0, 1]
    inside = posed.bones.joints[:, 0].long()  # the pelvis lies in the silhouette
    assert posed.silhouette[torch.arange(2), 0, inside[:, 1], inside[:, 0]].all()


def test_the_pose_is_the_given_one_or_that_of_the_rotations(bodies: Bodies, free_body: Body) -> None:
    scene, given = Scene(free_body, Counting()), torch.ones(2, 24, 3)
    assert scene.posed(bodies, SIZE, given).pose is given
    torch.testing.assert_close(rotvec_to_matrix(scene.posed(bodies, SIZE).pose), bodies.rotations, atol=1e-5, rtol=0)


def test_a_distant_perspective_draws_what_weak_perspective_does(bodies: Bodies, free_body: Body) -> None:
    scene = Scene(free_body, Counting())
    far = Perspective(torch.full((2, 2), 5000.0), torch.zeros(2, 2), torch.ones(2, 3))
    distant = Bodies(bodies.rotations, bodies.betas, far.moved(bodies.camera.scale, bodies.camera.offset))
    silhouettes = [scene.posed(each, SIZE).silhouette for each in (bodies, distant)]
    assert (silhouettes[0] != silhouettes[1]).float().mean() < 1e-3
