"""Minimise a weighted sum of terms in stages: the core of every fit.

The fits of a batch are independent of each other, because no term here mixes bodies and Adam works per element. A term
that does mix them, such as smooth motion along a track, turns the batch into one joint fit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

from adaptation.fitting.posed import PosedBodies
from adaptation.fitting.schedule import Geometric
from adaptation.fitting.terms import Term


class Variables(Protocol):
    """The variables of a fit, and the bodies that they describe.

    Attributes:
        leaves: leaf tensors of the graph, by name.
    """

    leaves: dict[str, Tensor]

    def posed(self) -> PosedBodies:
        """Return the bodies for the present values of the leaves."""


AnyVariables = TypeVar("AnyVariables", bound=Variables)


@dataclass(frozen=True)
class Stage:
    """A part of a fit.

    Attributes:
        steps: Adam steps, with cosine decay of the rates to zero.
        weights: weight of each term over the steps, by the term's name; terms without a weight are not computed.
        rates: learning rate of each leaf, by the leaf's name; leaves without a rate stay fixed.
    """

    steps: int
    weights: Mapping[str, Geometric]
    rates: Mapping[str, float]


class Fitter(Generic[AnyVariables]):
    """Fits variables to terms, stage after stage.

    Args:
        variables: the variables, changed in place.
        terms: terms of the objective, by name.
        stages: stages in the order in which they run.

    Raises:
        ValueError: a stage weighs a term, or gives a rate to a leaf, that does not exist.
    """

    def __init__(self, variables: AnyVariables, terms: Mapping[str, Term], stages: Sequence[Stage]) -> None:
        for stage in stages:
            # A misspelt name would otherwise fit without its term, and nobody would see it.
            if unknown := {*stage.weights} - {*terms} | {*stage.rates} - {*variables.leaves}:
                raise ValueError(f"a stage names what the fit does not have: {', '.join(sorted(unknown))}")
        self.variables, self.terms, self.stages = variables, terms, stages

    def optimizer(self, stage: Stage) -> torch.optim.Adam:
        """Return Adam on the leaves of a stage, one group each; on CUDA its steps can be captured in a graph."""
        leaves = self.variables.leaves
        groups = [{"params": [leaves[name]], "lr": rate} for name, rate in stage.rates.items()]
        # `capturable` keeps Adam's step count on the device, where a graph can read it.
        return torch.optim.Adam(groups, fused=True, capturable=any(leaf.is_cuda for leaf in leaves.values()))

    def objective(self, stage: Stage, step: int) -> Tensor:
        """Compute the objective of a step per body, (B,): the weighted sum of the stage's terms."""
        posed = self.variables.posed()  # shared by the terms, so that bodies are posed and drawn once
        first, *others = (
            self.terms[name](posed, weight.at(step, stage.steps)) for name, weight in stage.weights.items()
        )
        return sum(others, start=first)

    def run(self, progress: Callable[[int], None] | None = None) -> None:
        """Run all stages.

        Args:
            progress: callback that is given 1 after each step.

        Raises:
            FloatingPointError: the objective became infinite or nan.
        """
        for stage in self.stages:
            # Each stage has its own leaves and rates, and so its own optimiser and decay.
            optimizer = self.optimizer(stage)
            decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(stage.steps, 1))
            for step in range(stage.steps):
                loss = self.objective(stage, step).sum()  # a sum: no fit depends on how many others the batch has
                optimizer.zero_grad()
                loss.backward()
                # Reading the loss waits for the device, so it comes after the backward pass has been queued.
                if not torch.isfinite(loss):
                    raise FloatingPointError(f"loss is {loss.item()} at step {step}")
                optimizer.step()
                decay.step()
                if progress:
                    progress(1)
