from __future__ import annotations

import math
from dataclasses import replace

import pytest
import roma
import torch

from adaptation.bodies.body import Body
from adaptation.bodies.camera import WeakPerspective
from adaptation.bodies.poses import facing, standing, walking
from adaptation.bodies.renderer import make_renderer
from adaptation.fitting.settings import FitSettings, TrackFitSettings
from adaptation.fitting.silhouette_fitter import SilhouetteFitter
from adaptation.fitting.tracks.sequence import Sequence
from adaptation.fitting.tracks.terms import USUAL, BalanceTerm, JointTerm, MotionTerm, image_terms, imbalance
from adaptation.fitting.variables import BodyVariables
from adaptation.priors.gaussian import GaussianPosePrior

SIZE = 48
UP = torch.tensor([0.0, -1.0, 0.0])


@pytest.fixture(scope="module")
def fitter(free_body: Body, prior: GaussianPosePrior) -> SilhouetteFitter:
    return SilhouetteFitter(free_body, prior, make_renderer(), FitSettings())


def known(time: torch.Tensor, x: torch.Tensor | float = 30.0, person: torch.Tensor | None = None) -> Sequence:
    """Bodies in crops of 200 pixels whose left edge is at x."""
    count = len(time)
    box = torch.tensor([[0.0, 40.0, 200.0, 200.0]]).repeat(count, 1)
    box[:, 0] = x
    person = torch.zeros(count, dtype=torch.int64) if person is None else person
    return Sequence(person, time, box, UP.repeat(count, 1), torch.full((count,), 0.2), torch.zeros(count, 2))


def still(count: int, tx: torch.Tensor | float = 0.0, scale: torch.Tensor | float = 0.9) -> BodyVariables:
    pose = standing()[None].repeat(count, 1, 1)
    pose[:, 0] = facing(torch.tensor(0.4))
    camera = torch.zeros(count, 3)
    camera[:, 0], camera[:, 1] = scale, tx
    return BodyVariables(pose, torch.zeros(count, 10), WeakPerspective(camera))


def motion(fitter: SilhouetteFitter, bodies: BodyVariables, sequence: Sequence, weight: float = 1.0) -> torch.Tensor:
    return MotionTerm(sequence)(fitter.posed(bodies, SIZE), weight)


UNEVEN = torch.tensor([0.0, 0.1, 0.35, 0.4, 0.9])


def test_steady_motion_costs_nothing(fitter: SilhouetteFitter) -> None:
    walking_through = still(5, tx=0.8 * UNEVEN)
    assert motion(fitter, walking_through, known(UNEVEN)).abs().max() < 1e-3
    # The crop may follow the person in any way: the place in the frame counts. 90 pixels are a metre here.
    jitter = torch.tensor([0.0, 9.0, -9.0, 18.0, 4.0])
    followed = still(5, tx=0.8 * UNEVEN - jitter / 90)
    assert motion(fitter, followed, known(UNEVEN, 30 + jitter)).abs().max() < 1e-3
    assert motion(fitter, walking_through, known(UNEVEN, 30 + jitter)).max() > 0.1


def test_accelerations_cost_in_units_of_usual_motion(fitter: SilhouetteFitter) -> None:
    acceleration = 3 * USUAL
    moving = still(5, tx=acceleration / 2 * UNEVEN.square())
    found = motion(fitter, moving, known(UNEVEN), weight=2.0)
    # Charbonnier: all but the length, and 0 at both ends.
    expected = 2 * (math.hypot(3, 0.1) - 0.1)
    torch.testing.assert_close(found, torch.tensor([0.0, expected, expected, expected, 0.0]), atol=1e-3, rtol=1e-3)


def test_limbs_and_size_count(fitter: SilhouetteFitter) -> None:
    time = torch.arange(5) / 15
    steady = motion(fitter, still(5), known(time))
    grown = still(5, scale=torch.tensor([0.9, 0.9, 1.0, 0.9, 0.9]))
    swung = still(5)
    swung.pose[2, 16, 2] += 0.5
    for bodies in (grown, swung):
        cost = motion(fitter, bodies, known(time))
        assert (cost[1:4] > steady[1:4] + 0.05).all() and cost[0] == cost[4] == 0


def test_people_do_not_constrain_each_other(fitter: SilhouetteFitter) -> None:
    time = torch.tensor([0.0, 0.1, 0.2, 0.0, 0.1, 0.2])
    bodies = still(6, tx=torch.tensor([0.0, 0.0, 0.0, 5.0, 5.0, 5.0]))
    apart = known(time, person=torch.tensor([0, 0, 0, 4, 4, 4]))
    assert motion(fitter, bodies, apart).abs().max() < 1e-3
    assert motion(fitter, still(2), known(time[:2])).tolist() == [0.0, 0.0]
    assert motion(fitter, still(1), known(time[:1])).tolist() == [0.0]


def test_gradients_reach_pose_and_camera(fitter: SilhouetteFitter) -> None:
    bodies = still(3)
    leaves = [bodies.pose.clone().requires_grad_(), bodies.camera.parameters.clone().requires_grad_()]
    moved = BodyVariables(leaves[0], bodies.betas, WeakPerspective(leaves[1]))
    motion(fitter, moved, known(torch.tensor([0.0, 0.1, 0.2]), torch.tensor([0.0, 40.0, 0.0]))).sum().backward()
    for leaf in leaves:
        assert leaf.grad is not None and leaf.grad.isfinite().all()
    assert leaves[1].grad[1, 1] > 0  # the body in the middle is too far to the right


def tilted(pose: torch.Tensor, angle: float) -> torch.Tensor:
    """Turn bodies about the optical axis."""
    result = pose.clone()
    axis = torch.tensor([[0.0, 0.0, angle]]).repeat(len(pose), 1)
    result[:, 0] = roma.rotvec_composition((axis, pose[:, 0]))
    return result


def test_people_who_stand_and_walk_are_balanced(free_body: Body) -> None:
    pose = torch.cat([standing()[None], walking(torch.arange(8) / 8)])
    pose[:, 0] = facing(torch.linspace(0, 6, 9))
    spread = torch.tensor(0.2)

    def leaning(poses: torch.Tensor, up: torch.Tensor = UP) -> torch.Tensor:
        return imbalance(free_body.joints(poses, torch.zeros(9, 10)), up, spread)

    assert leaning(pose).max() < 0.3
    assert leaning(tilted(pose, 0.5)).min() > 0.7 and leaning(tilted(pose, 0.8)).min() > 1
    # A camera that is rolled sees balanced people lean.
    rolled = torch.tensor([math.sin(0.5), -math.cos(0.5), 0.0])
    torch.testing.assert_close(leaning(tilted(pose, 0.5), rolled), leaning(pose), atol=1e-4, rtol=1e-3)
    # Somebody who lies pays a bounded price, and may turn on the ground for little.
    lying, upside_down = leaning(tilted(pose, math.pi / 2)), leaning(tilted(pose, math.pi))
    assert 1.7 < lying.mean() < 2.2 and (upside_down - lying).max() < 0.6


def test_the_term_of_balance_weighs_it(fitter: SilhouetteFitter) -> None:
    bodies, time = still(3), torch.arange(3) / 5
    bodies = BodyVariables(tilted(bodies.pose, 0.4), bodies.betas, bodies.camera)
    posed = fitter.posed(bodies, SIZE)
    expected = imbalance(posed.output.joints, UP, torch.tensor(0.2))
    torch.testing.assert_close(BalanceTerm(known(time))(posed, 3.0), 3 * expected)


def test_joints_that_were_seen_pull_by_their_trust(fitter: SilhouetteFitter) -> None:
    posed = fitter.posed(still(3), SIZE)
    places = posed.bones.joints.detach() * (2 / SIZE) - 1
    seen = torch.cat([places, torch.ones(3, 24, 1)], dim=2)
    assert JointTerm(seen)(posed, 5.0).max() < 1e-9
    seen[0, 4, :2] += torch.tensor([0.3, -0.4])
    seen[1, 4, :2] += torch.tensor([0.3, -0.4])
    seen[:, 4, 2] = torch.tensor([1.0, 0.5, 0.0])
    torch.testing.assert_close(JointTerm(seen)(posed, 5.0), 5 * 0.25 / 24 * torch.tensor([1.0, 0.5, 0.0]))


def test_joints_have_a_term_where_they_were_seen() -> None:
    settings, sequence = TrackFitSettings(joints=7.0), known(torch.arange(3) / 5)
    assert list(image_terms(sequence, settings)) == ["balance"]
    terms = image_terms(replace(sequence, joints=torch.zeros(3, 24, 3)), settings)
    assert list(terms) == ["balance", "joints"] and terms["joints"][1] == 7.0
