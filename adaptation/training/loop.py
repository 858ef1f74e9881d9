"""The training loop that all programs share: rates, several optimisers, processes, saves and exact resume.

A program defines the losses of a step. The loop does the rest: it sets the learning rate, checks that losses are
finite, averages gradients over processes, updates the weights, logs, and saves a state from which a killed run resumes
exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from adaptation.support.errors import UserError
from adaptation.training.processes import average_gradients, world
from adaptation.training.runs import Run

Report = Callable[[int], None]
"""A progress callback: it is given the number of steps done since the last call."""


class Program(Protocol):
    """What is trained, and on which losses."""

    @property
    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """The optimisers, by the name of the loss that each minimises."""

    def step(self, step: int) -> dict[str, Tensor]:
        """Compute the losses of a step, scalars by the name of their optimiser; one without a loss makes no step."""

    def after(self, step: int) -> None:
        """Do what follows an update of the weights, such as averaging them."""

    def check(self, step: int, run: Run | None) -> bool:
        """Measure progress before a step, and return whether to continue training."""

    def state(self) -> dict[str, Any]:
        """Return everything that later steps depend on, with the network's weights under "network"."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Load such a state."""


class PlainProgram:
    """A program whose state is a network and its optimisers; it has no checks, and nothing follows a step."""

    network: nn.Module
    optimizers: Mapping[str, torch.optim.Optimizer]

    def after(self, step: int) -> None:
        """Do nothing."""

    def check(self, step: int, run: Run | None) -> bool:
        """Measure nothing, and continue."""
        return True

    def state(self) -> dict[str, Any]:
        """Return the states of the network and its optimisers."""
        optimizers = {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()}
        return {"network": self.network.state_dict(), **optimizers}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Load such a state."""
        self.network.load_state_dict(state["network"])
        load_optimizers(self.optimizers, state)


@dataclass(frozen=True)
class Schedule:
    """The length of a training and its learning rates.

    Attributes:
        steps: number of steps.
        rate: highest learning rate.
        rise: steps of the linear rise to this rate.
        decay: whether the rate rises and falls to zero along a cosine; otherwise it is constant.
        largest_gradient: norm that gradients are clipped to; None clips nothing.
        check_every: steps between two checks of progress; each check is followed by a save.
        log_every: steps between two points on the curves of the losses.
    """

    steps: int
    rate: float
    rise: int = 0
    decay: bool = True
    largest_gradient: float | None = None
    check_every: int = 200
    log_every: int = 1

    def rate_at(self, step: int) -> float:
        """Return the learning rate at a step."""
        return self.rate * (warm_cosine(step, self.steps, self.rise) if self.decay else 1.0)


def warm_cosine(step: int, steps: int, rise: int) -> float:
    """Return the share of the highest rate at a step: a cosine that ends at zero, times a rise over ``rise`` steps."""
    # Counted from 1, so that the first step moves.
    return min(1.0, (step + 1) / max(rise, 1)) * 0.5 * (1 + math.cos(math.pi * step / steps))


def train(program: Program, schedule: Schedule, run: Run | None = None, progress: Report | None = None) -> None:
    """Run a program to its end, or resume it.

    Args:
        program: the program; its network is trained in place.
        schedule: steps and rates.
        run: the run that keeps state and curves, and from whose state a stopped run resumes; None keeps nothing.
        progress: callback that is given the number of steps done since the last call, at first those before a resume.

    Raises:
        UserError: a loss or a weight is not finite; the last saved state is unchanged.
    """
    resumed, proceed = _resume(program, run)
    if progress and resumed:
        progress(resumed)
    # One more round than steps: the last one only checks and saves.
    for step in range(resumed or 0, schedule.steps + 1):
        # A run that was over when it was saved stays over.
        if not proceed:
            break
        # A resumed run was checked and saved at the very step that it resumes with.
        if step != resumed and _due(step, schedule):
            proceed = program.check(step, run)
            if run is not None:
                run.save({**program.state(), "step": step, "proceed": proceed})
        if step == schedule.steps or not proceed:
            break
        # The rate is a function of the step, so a resumed run needs no state of a scheduler.
        for optimizer in program.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = schedule.rate_at(step)
        losses = program.step(step)
        descend(losses, program.optimizers, step, schedule.largest_gradient)
        program.after(step)
        # Reading a loss waits for the device, so curves have a point in `log_every` steps only.
        if run is not None and step % schedule.log_every == 0:
            run.log(step, **{f"loss_{name}": loss.item() for name, loss in losses.items()})
        if progress:
            progress(1)
    if run is not None:
        run.close()


def descend(
    losses: Mapping[str, Tensor],
    optimizers: Mapping[str, torch.optim.Optimizer],
    step: int,
    largest_gradient: float | None = None,
) -> None:
    """Take a step with the optimiser of each loss.

    All gradients are computed before any optimiser changes the weights.

    Args:
        losses: scalar losses, by the name of their optimiser.
        optimizers: the optimisers by name.
        step: number of the step, for the error message.
        largest_gradient: norm that gradients are clipped to; None clips nothing.

    Raises:
        UserError: a loss is not finite.
    """
    gradients = {}
    for number, (name, loss) in enumerate(losses.items()):
        if not torch.isfinite(loss):
            raise UserError(f"the {name} loss is {loss.item()} at step {step}; the last saved state is unchanged")
        # The losses of a step share their graph, which the last one frees.
        last = number + 1 == len(losses)
        # Not `backward`: losses that share parameters would add up in `grad`.
        gradients[name] = torch.autograd.grad(
            # A loss need not reach every parameter.
            loss,
            parameters_of(optimizers[name]),
            retain_graph=not last,
            allow_unused=True,
        )
    for name, grads in gradients.items():
        parameters = parameters_of(optimizers[name])
        for parameter, grad in zip(parameters, grads, strict=True):
            parameter.grad = grad
        # Averaged before clipping, so that the norm is that of the whole batch.
        average_gradients(parameters)
        if largest_gradient is not None:
            nn.utils.clip_grad_norm_(parameters, largest_gradient)
        optimizers[name].step()


def parameters_of(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    """Return all parameters of an optimiser."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def check_share(**batches: int) -> None:
    """Check that the sizes of batches, by name, are multiples of the number of processes.

    Raises:
        UserError: a batch cannot be shared equally.
    """
    _, count = world()
    for name, size in batches.items():
        if size % count:
            raise UserError(f"a {name} of {size} cannot be shared by {count} processes")


def load_optimizers(optimizers: Mapping[str, torch.optim.Optimizer], state: Mapping[str, Any]) -> None:
    """Load the states of optimisers by their names.

    Raises:
        UserError: a state is missing, for example because another version of this package saved it.
    """
    for name, optimizer in optimizers.items():
        if name not in state:
            raise UserError(f"the saved state has no optimiser {name!r}; start anew with --overwrite")
        optimizer.load_state_dict(state[name])


def _resume(program: Program, run: Run | None) -> tuple[int | None, bool]:
    """Open a run and load the state of a stopped one.

    Returns:
        The step to resume with, None for a fresh run, and whether there is more to do.
    """
    if run is None:
        return None, True
    run.open()
    state = run.load(program.state()["network"])
    if state is None:
        return None, True
    program.restore(state)
    # States of earlier versions do not say whether to proceed.
    return int(state["step"]), bool(state.get("proceed", True))


def _due(step: int, schedule: Schedule) -> bool:
    return step % schedule.check_every == 0 or step == schedule.steps
