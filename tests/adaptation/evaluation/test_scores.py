from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from adaptation.bodies.body import Body
from adaptation.bodies.views import View
from adaptation.data.samples import Samples
from adaptation.evaluation.scores import evaluate
from adaptation.regressors.base import Prediction
from adaptation.support.errors import UserError


class Oracle(nn.Module):
    """Knows the labels of a set, which it is shown in order."""

    def __init__(self, samples: Samples, body: Body) -> None:
        super().__init__()
        self.truth, self.next = samples.bodies(body), 0

    def forward(self, images: Tensor, view: View | None = None) -> Prediction:
        part = self.truth.select(torch.arange(self.next, self.next + len(images)))
        self.next += len(images)
        return Prediction(part)


def test_scores_of_a_perfect_network(target: Samples, body: Body, tmp_path: Path) -> None:
    scores = evaluate(Oracle(target, body), target, body, batch=10)
    assert scores.mpjpe.max() < 1e-2 and scores.pa_mpjpe.max() < 1e-2 and scores.iou.mean() > 0.85
    scores.write(tmp_path)
    assert (tmp_path / "joints.csv").read_text().count("\n") == 25
    assert (tmp_path / "images.csv").read_text().count("\n") == 25
    written = json.loads((tmp_path / "scores.json").read_text())
    assert written["images"] == 24 and {name: written[name] for name in scores.summary()} == scores.summary()


def test_labels_of_another_body_are_not_measured(target: Samples, body: Body) -> None:
    foreign = replace(target, body="smpl-abc")
    with pytest.raises(UserError, match="belong to the body model 'smpl-abc', not to 'free'"):
        evaluate(Oracle(target, body), foreign, body)
    with pytest.raises(UserError, match="no labels"):
        evaluate(Oracle(target, body), replace(target, camera=None), body)
