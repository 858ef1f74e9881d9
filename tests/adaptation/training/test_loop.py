"""The loop, with a program small enough to know what it should do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from networks import saved
from stopping import Stop, stop_after
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from adaptation.support.errors import UserError
from adaptation.training.loop import PlainProgram, Schedule, train, warm_cosine
from adaptation.training.runs import Run

STEPS = 10
SCHEDULE = Schedule(STEPS, rate=0.1, rise=3, check_every=4)


class Toy(PlainProgram):
    """Two layers that two optimisers move for two losses of one graph."""

    def __init__(self, seed: int = 0, enough: int | None = None) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.network = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
        for parameter in self.network.parameters():
            nn.init.normal_(parameter, generator=generator)
        self.optimizers = {
            "first": torch.optim.Adam(self.network[0].parameters()),
            "second": torch.optim.SGD(self.network[1].parameters(), 1.0, momentum=0.9),
        }
        self.enough = enough
        self.checked: list[int] = []
        self.rates: list[list[float]] = []
        self.gradients: list[float] = []
        self.after_steps: list[int] = []

    def step(self, step: int) -> dict[str, Tensor]:
        self.rates.append([group["lr"] for each in self.optimizers.values() for group in each.param_groups])
        images = torch.randn(5, 3, generator=torch.Generator().manual_seed(step))
        out = self.network(images)
        return {"first": out.square().mean(), "second": (out - 1).abs().mean()}

    def after(self, step: int) -> None:
        self.after_steps.append(step)
        self.gradients.append(math.sqrt(sum(float(p.grad.square().sum()) for p in self.network[1].parameters())))

    def check(self, step: int, run: Run | None) -> bool:
        self.checked.append(step)
        return self.enough is None or step < self.enough


def weights(program: Toy) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in program.network.parameters()])


def run_of(folder: Path) -> Run:
    return Run(folder, {"adapt": {"steps": STEPS}})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tensor, dict[str, Any]]:
    """What an uninterrupted run ends with: weights, and the saved state."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    program = Toy()
    train(program, SCHEDULE, run_of(folder))
    assert saved(folder)["step"] == STEPS
    return weights(program), saved(folder)


def assert_equal(one: Any, other: Any) -> None:
    if isinstance(other, Tensor):
        assert torch.equal(one, other)
    elif isinstance(other, Mapping):
        assert one.keys() == other.keys()
        for name in other:
            assert_equal(one[name], other[name])
    else:
        assert one == other


@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_a_run_that_is_killed_at_any_step_ends_as_if_it_had_not_been(
    step: int, whole: tuple[Tensor, dict[str, Any]], tmp_path: Path
) -> None:
    with pytest.raises(Stop):
        train(Toy(), SCHEDULE, run_of(tmp_path / "run"), stop_after(step))
    kept = saved(tmp_path / "run")["step"]
    assert kept == 4 * ((step - 1) // 4)
    resumed, done = Toy(seed=1), []
    train(resumed, SCHEDULE, run_of(tmp_path / "run"), done.append)
    assert sum(done) == STEPS and (not kept or done[0] == kept)
    assert resumed.after_steps == list(range(kept, STEPS))
    assert resumed.checked == [each for each in (0, 4, 8, STEPS) if each > kept]
    assert torch.equal(weights(resumed), whole[0])
    assert_equal(saved(tmp_path / "run"), whole[1])


def test_a_run_that_has_ended_does_nothing_more(whole: tuple[Tensor, dict[str, Any]], tmp_path: Path) -> None:
    train(Toy(), SCHEDULE, run_of(tmp_path / "run"))
    again = Toy(seed=1)
    train(again, SCHEDULE, run_of(tmp_path / "run"))
    assert not again.after_steps and torch.equal(weights(again), whole[0])


def test_without_a_run_the_result_is_the_same(whole: tuple[Tensor, dict[str, Any]]) -> None:
    program, done = Toy(), []
    train(program, SCHEDULE, progress=done.append)
    assert torch.equal(weights(program), whole[0]) and done == [1] * STEPS
    assert program.checked == [0, 4, 8, STEPS]


def test_a_program_that_has_enough_stops_and_stays_stopped(tmp_path: Path) -> None:
    program = Toy(enough=4)
    train(program, SCHEDULE, run_of(tmp_path / "run"))
    assert program.after_steps == [0, 1, 2, 3] and program.checked == [0, 4]
    assert saved(tmp_path / "run")["step"] == 4
    again = Toy(seed=1, enough=4)
    train(again, SCHEDULE, run_of(tmp_path / "run"))
    assert not again.after_steps and not again.checked
    assert torch.equal(weights(again), weights(program))


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_loss_that_is_not_finite_keeps_the_last_saved_state(value: float, tmp_path: Path) -> None:
    class Diverging(Toy):
        def step(self, step: int) -> dict[str, Tensor]:
            losses = super().step(step)
            return {**losses, "second": losses["second"] * value} if step == 6 else losses

    program = Diverging()
    with pytest.raises(UserError, match=f"the second loss is {value} at step 6; the last saved state is unchanged"):
        train(program, SCHEDULE, run_of(tmp_path / "run"))
    state = saved(tmp_path / "run")
    assert state["step"] == 4
    assert all(torch.isfinite(value).all() for value in state["network"].values())
    # The loss before it in the same step has not moved the weights either.
    expected = Toy()
    with pytest.raises(Stop):
        train(expected, SCHEDULE, progress=stop_after(6))
    assert torch.equal(weights(program), weights(expected))


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    class Broken(Toy):
        def after(self, step: int) -> None:
            if step == 6:
                nn.init.constant_(self.network[0].bias, torch.nan)

        def step(self, step: int) -> dict[str, Tensor]:
            if step < 7:
                return super().step(step)
            return {"second": self.network[1].weight.square().sum()}  # finite in spite of the broken weights

    with pytest.raises(UserError, match="the weights are not finite any more"):
        train(Broken(), SCHEDULE, run_of(tmp_path / "run"))
    assert saved(tmp_path / "run")["step"] == 4


def test_rates_follow_the_schedule() -> None:
    program = Toy()
    train(program, SCHEDULE)
    assert program.rates == [[SCHEDULE.rate_at(step)] * 2 for step in range(STEPS)]
    rates = [rate for rate, _ in program.rates]
    assert rates[0] == pytest.approx(0.1 / 3) and rates[3] == pytest.approx(0.1 * (1 + math.cos(0.3 * math.pi)) / 2)
    assert rates[:3] == sorted(rates[:3]) and rates[2:] == sorted(rates[2:], reverse=True) and rates[-1] > 0
    assert warm_cosine(STEPS, STEPS, 3) == pytest.approx(0)
    constant = Toy()
    train(constant, Schedule(3, 0.25, rise=2, decay=False))
    assert constant.rates == [[0.25, 0.25]] * 3


def test_gradients_are_cut_for_each_optimiser() -> None:
    program, cut = Toy(), Toy()
    train(program, Schedule(1, 0.1))
    train(cut, Schedule(1, 0.1, largest_gradient=0.125))
    assert program.gradients[0] > 0.5
    assert cut.gradients[0] == pytest.approx(0.125, rel=1e-4)
    loose = Toy()
    train(loose, Schedule(1, 0.1, largest_gradient=1e6))
    assert loose.gradients == program.gradients


def test_an_optimiser_without_a_loss_is_left_alone() -> None:
    class First(Toy):
        def step(self, step: int) -> dict[str, Tensor]:
            return {"first": super().step(step)["first"]}

        def after(self, step: int) -> None:
            pass

    program, before = First(), Toy()
    train(program, SCHEDULE)
    assert torch.equal(program.network[1].weight, before.network[1].weight)
    assert not torch.equal(program.network[0].weight, before.network[0].weight)


def test_each_loss_moves_its_own_weights_from_gradients_of_one_moment() -> None:
    program, expected = Toy(), Toy()
    train(program, Schedule(1, 0.1, decay=False))
    losses = expected.step(0)
    for name, layer in (("first", 0), ("second", 1)):
        parameters = list(expected.network[layer].parameters())
        grads = torch.autograd.grad(losses[name], parameters, retain_graph=True)
        for parameter, grad in zip(parameters, grads, strict=True):
            parameter.grad = grad
    for optimizer in expected.optimizers.values():
        optimizer.param_groups[0]["lr"] = 0.1
        optimizer.step()
    assert torch.equal(weights(program), weights(expected))


def test_a_state_without_one_of_the_optimisers_is_named(tmp_path: Path) -> None:
    train(Toy(), SCHEDULE, run_of(tmp_path / "run"))
    state = saved(tmp_path / "run")
    del state["second"]
    torch.save(state, tmp_path / "run" / "state.pt")
    with pytest.raises(UserError, match="has no optimiser 'second'; start anew with --overwrite"):
        train(Toy(), SCHEDULE, run_of(tmp_path / "run"))


def test_losses_are_logged(tmp_path: Path) -> None:
    train(Toy(), Schedule(STEPS, 0.1, log_every=4), run_of(tmp_path / "run"))
    curves = EventAccumulator(str(tmp_path / "run"))
    curves.Reload()
    assert sorted(curves.Tags()["scalars"]) == ["loss_first", "loss_second"]
    assert [point.step for point in curves.Scalars("loss_second")] == [0, 4, 8]
