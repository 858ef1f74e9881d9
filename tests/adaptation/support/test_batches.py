from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
from leaves import tensors_of
from torch import Tensor

from adaptation.support.batches import Batch


class Pair(NamedTuple):
    first: Tensor
    second: Tensor


@dataclass(frozen=True)
class Inner(Batch):
    values: Tensor


@dataclass(frozen=True)
class Outer(Batch):
    numbers: Tensor
    inner: Inner
    pair: Pair
    missing: Tensor | None = None


@dataclass(frozen=True)
class Late(Batch):
    """Whose length comes from a nested batch."""

    inner: Inner
    numbers: Tensor


@dataclass(frozen=True)
class Odd(Batch):
    numbers: Tensor
    name: str


def some(count: int = 4, offset: float = 0.0) -> Outer:
    numbers = torch.arange(float(count)) + offset
    return Outer(numbers, Inner(numbers[:, None] * torch.ones(3)), Pair(10 * numbers, numbers[:, None, None] > 1))


def rows(batch: Outer) -> list[float]:
    """The numbers of a batch, after a check that its parts belong together."""
    numbers = batch.numbers
    assert isinstance(batch, Outer) and isinstance(batch.inner, Inner) and isinstance(batch.pair, Pair)
    assert torch.equal(batch.inner.values, numbers[:, None] * torch.ones(3))
    assert torch.equal(batch.pair.first, 10 * numbers)
    assert torch.equal(batch.pair.second, numbers[:, None, None] > 1)
    assert batch.missing is None
    return numbers.tolist()


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (torch.tensor([3, 0, 0]), [3, 0, 0]),
        (torch.tensor([True, False, True, False]), [0, 2]),
        (torch.tensor([], dtype=torch.int64), []),
        (slice(1, 3), [1, 2]),
        (slice(None, None, 2), [0, 2]),
    ],
    ids=["index", "mask", "nothing", "slice", "steps"],
)
def test_select(index: Any, expected: list[float]) -> None:
    chosen = some().select(index)
    assert rows(chosen) == expected and len(chosen) == len(expected)


def test_length_is_that_of_the_first_part_however_deep() -> None:
    assert len(some(5)) == 5
    assert len(Late(Inner(torch.zeros(3, 2)), torch.zeros(3))) == 3


def test_cat_is_the_inverse_of_select() -> None:
    whole = some()
    assert rows(Outer.cat([whole.select(slice(0, 1)), whole.select(slice(1, 4))])) == rows(whole)
    assert rows(Outer.cat([some(2), some(3, offset=5.0)])) == [0, 1, 5, 6, 7]
    assert rows(Outer.cat([whole])) == rows(whole)


def test_repetition_keeps_equals_together() -> None:
    assert rows(some(2).repeat_interleave(3)) == [0, 0, 0, 1, 1, 1]


def test_parts_that_are_there_are_selected_too() -> None:
    batch = Outer(*[getattr(some(), name) for name in ("numbers", "inner", "pair")], missing=torch.arange(4))
    assert batch.select(slice(2, 4)).missing.tolist() == [2, 3]
    assert Outer.cat([batch, batch]).missing.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]


def test_to_moves_every_part() -> None:
    moved = some().to("meta")
    assert isinstance(moved, Outer) and moved.missing is None and all(part.is_meta for part in moved.pair)
    assert moved.numbers.is_meta and moved.inner.values.is_meta


def test_detach_leaves_the_graph() -> None:
    numbers = torch.ones(2, requires_grad=True)
    batch = Late(Inner(2 * numbers), 3 * numbers)
    assert all(value.requires_grad for value in tensors_of(batch).values())
    assert not any(value.requires_grad for value in tensors_of(batch.detach()).values())


def test_means() -> None:
    first, second = Inner(torch.tensor([0.0, 2.0])), Inner(torch.tensor([4.0, 2.0]))
    assert first.mean_with(second).values.tolist() == [2.0, 2.0]


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("part", ["numbers", "inner", "pair"])
def test_finite_sees_every_part(value: float, part: str) -> None:
    batch = some()
    assert batch.finite()
    tensor = {"numbers": batch.numbers, "inner": batch.inner.values, "pair": batch.pair.first}[part]
    tensor[2] = value
    assert not batch.finite()


def test_other_parts_are_refused() -> None:
    with pytest.raises(TypeError, match="a batch holds tensors and batches, got str"):
        Odd(torch.zeros(2), "name").select(slice(1))
