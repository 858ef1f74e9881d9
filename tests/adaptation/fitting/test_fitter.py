"""The core that all fits share, with terms and variables that can be worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from adaptation.fitting.fitter import Fitter, Stage
from adaptation.fitting.schedule import Geometric, constant


class Places:
    """Two leaves of B numbers; what is posed are the numbers themselves."""

    def __init__(self, count: int = 3) -> None:
        numbers = torch.arange(1.0, count + 1)
        self.leaves = {"near": numbers.clone().requires_grad_(), "far": (10 * numbers).requires_grad_()}
        self.made = 0

    def posed(self) -> Any:
        self.made += 1
        return self.leaves


class Counted:
    """A term that keeps what it was called with."""

    def __init__(self, leaf: str, goal: float = 0.0) -> None:
        self.leaf, self.goal = leaf, goal
        self.weights: list[float] = []

    def __call__(self, posed: Any, weight: float) -> Tensor:
        self.weights.append(weight)
        return weight * (posed[self.leaf] - self.goal).square()


def test_stages_have_their_own_terms_and_rates() -> None:
    places = Places()
    near, far = Counted("near"), Counted("far")
    first = Stage(4, {"near": constant(1.0), "far": constant(1.0)}, {"near": 0.1})
    second = Stage(3, {"far": constant(2.0)}, {"far": 0.1})
    before = {name: leaf.detach().clone() for name, leaf in places.leaves.items()}

    Fitter(places, {"near": near, "far": far}, [first]).run()
    moved = places.leaves["near"].detach().clone()
    assert (moved < before["near"]).all()
    assert torch.equal(places.leaves["far"], before["far"])  # has a term, but no rate: it is held

    Fitter(places, {"near": near, "far": far}, [second]).run()
    assert torch.equal(places.leaves["near"], moved)
    assert (places.leaves["far"] < before["far"]).all()
    assert near.weights == [1.0] * 4 and far.weights == [1.0] * 4 + [2.0] * 3


def test_stages_run_after_each_other_in_one_fit() -> None:
    stages = [
        Stage(4, {"near": constant(1.0)}, {"near": 0.1}),
        Stage(3, {"far": constant(2.0)}, {"far": 0.2}),
    ]
    together, apart, ticks = Places(), Places(), []
    terms = {"near": Counted("near"), "far": Counted("far")}
    Fitter(together, terms, stages).run(ticks.append)
    for stage in stages:
        Fitter(apart, terms, [stage]).run()
    assert ticks == [1] * 7
    for name in ("near", "far"):
        assert torch.equal(together.leaves[name], apart.leaves[name])


def test_terms_without_a_weight_are_not_computed() -> None:
    def never(_posed: Any, _weight: float) -> Tensor:
        raise AssertionError("a term without a weight was computed")

    places = Places()
    Fitter(places, {"near": Counted("near"), "never": never}, [Stage(3, {"near": constant(1.0)}, {"near": 0.1})]).run()
    assert places.made == 3  # posed once a step


def test_weights_change_over_the_steps_of_their_stage() -> None:
    weight, near = Geometric(0.5, 0.125), Counted("near")
    Fitter(Places(), {"near": near}, [Stage(5, {"near": weight}, {"near": 0.1})] * 2).run()
    assert near.weights == 2 * [weight.at(step, 5) for step in range(5)]
    assert near.weights[0] == 0.5 and near.weights[4] == 0.125


def test_the_objective_is_the_weighted_sum_per_body() -> None:
    places = Places()
    stage = Stage(1, {"near": constant(2.0), "far": constant(0.5)}, {})
    fitter = Fitter(places, {"near": Counted("near", 1.0), "far": Counted("far")}, [stage])
    assert fitter.objective(stage, 0).tolist() == [50.0, 202.0, 458.0]


def test_rates_are_those_of_each_leaf_and_decay_to_zero() -> None:
    places = Places(1)
    stage = Stage(2, {"near": constant(1.0), "far": constant(1.0)}, {"near": 0.25, "far": 0.5})
    fitter = Fitter(places, {"near": Counted("near"), "far": Counted("far")}, [stage])
    assert [group["lr"] for group in fitter.optimizer(stage).param_groups] == [0.25, 0.5]
    fitter.run()
    # Adam's first step is as long as its rate; at half of the cosine so is, nearly, the second.
    assert places.leaves["near"].item() == pytest.approx(1 - 0.25 * 1.5, abs=5e-3)
    assert places.leaves["far"].item() == pytest.approx(10 - 0.5 * 1.5, abs=5e-3)


def test_bodies_do_not_change_each_others_fits() -> None:
    together, alone = Places(3), Places(1)
    for places in (together, alone):
        Fitter(places, {"near": Counted("near")}, [Stage(5, {"near": constant(1.0)}, {"near": 0.1})]).run()
    assert together.leaves["near"][0] == alone.leaves["near"][0]


def test_an_objective_that_is_not_finite_is_an_error() -> None:
    def breaks(posed: Any, weight: float) -> Tensor:
        return weight * posed["near"] / (posed["near"] - posed["near"])

    places, before = Places(), Places()
    with pytest.raises(FloatingPointError, match="at step 0"):
        Fitter(places, {"breaks": breaks}, [Stage(2, {"breaks": constant(1.0)}, {"near": 0.1})]).run()
    assert torch.equal(places.leaves["near"], before.leaves["near"])


@pytest.mark.parametrize("stage", [Stage(1, {"naer": constant(1.0)}, {}), Stage(1, {}, {"faar": 0.1})])
def test_misspelt_names_are_errors(stage: Stage) -> None:
    with pytest.raises(ValueError, match=r"a stage names what the fit does not have: (naer|faar)"):
        Fitter(Places(), {"near": Counted("near")}, [stage])
