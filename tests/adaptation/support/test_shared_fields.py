from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from adaptation.support.batches import SHARED, Batch


@dataclass(frozen=True)
class Inner(Batch):
    faces: Tensor = field(metadata=SHARED)
    points: Tensor | None = None


@dataclass(frozen=True)
class Outer(Batch):
    inner: Inner | None = None
    more: Tensor | None = None


def test_shared_fields_are_kept_whole() -> None:
    faces = torch.tensor([[0, 1, 2]] * 7)
    batch = Outer(Inner(faces, torch.arange(6.0).view(3, 2)))
    assert len(batch) == 3 and len(batch.inner) == 3 and len(Outer(more=torch.zeros(4))) == 4
    assert batch.select(slice(2)).inner.faces is faces and len(batch.select(slice(2))) == 2
    both = Outer.cat([batch, batch.select(torch.tensor([1]))])
    assert len(both) == 4 and both.inner.faces is faces
    assert both.mean_with(both).inner.faces is faces and both.finite()
    moved = batch.to("meta")
    assert moved.inner.faces.is_meta and moved.inner.points.is_meta
