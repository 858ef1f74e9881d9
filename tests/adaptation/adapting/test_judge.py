from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import saved, tiny_network
from stopping import Stop, stop_after
from torch import nn

from adaptation.adapting.judge import Judge, agree, split_by_clip
from adaptation.adapting.settings import AdaptSettings
from adaptation.bodies.body import Body
from adaptation.bodies.renderer import make_renderer
from adaptation.bodies.views import View
from adaptation.data.samples import Samples
from adaptation.fitting.silhouette_fitter import SilhouetteFitter
from adaptation.priors.gaussian import GaussianPosePrior
from adaptation.regressors.base import Prediction
from adaptation.support.errors import UserError

STILL = AdaptSettings(
    steps=20, batch=4, fit_steps=2, check_every=2, rate=0.0, masks="truth", norm="frozen", patience=2
)  # fmt: skip


class Knows(nn.Module):
    """Predicts the labelled bodies of crops, larger by a factor."""

    def __init__(self, samples: Samples, body: Body, factor: float) -> None:
        super().__init__()
        bodies = samples.bodies(body)
        camera = bodies.camera.zoomed(torch.full((len(samples), 1), factor), torch.zeros(len(samples), 2))
        self.bodies = replace(bodies, camera=camera)
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, images: torch.Tensor, view: View | None = None) -> Prediction:
        return Prediction(self.bodies)


@pytest.fixture(scope="module")
def fitter(body: Body) -> SilhouetteFitter:
    return SilhouetteFitter(body, GaussianPosePrior.default(), make_renderer())


def test_patience_is_not_shortened_by_a_stop(target: Samples, adapt, tmp_path: Path) -> None:
    with pytest.raises(Stop):
        adapt(tiny_network(), target, STILL, progress=stop_after(5))
    adapt(tiny_network(), target, STILL)
    state = saved(tmp_path / "run")
    assert state["step"] == 6  # looks at 2, 4 and 6 found nothing better than the one at 0
    assert state["curve"]["step"] == [0, 2, 4, 6]
    assert len(set(state["curve"]["iou"])) == len(set(state["curve"]["topology"])) == 1
    adapt(tiny_network(), target, STILL)
    assert saved(tmp_path / "run")["step"] == 6


def test_the_network_that_explains_the_masks_best_is_kept(
    target: Samples, body: Body, fitter: SilhouetteFitter
) -> None:
    networks = [Knows(target, body, factor) for factor in (1.3, 1.0, 1.2)]
    every = torch.arange(len(target))
    judge = Judge(networks[0], target, every, "truth")
    found = [judge.check(step, network, fitter, "cpu") for step, network in enumerate(networks)]
    assert found[1].iou > 0.85 > found[2].iou > found[0].iou and found[1].topology < found[2].topology
    assert judge.best["factor"] == 1.0 and judge.waited == 1
    assert judge.curve["step"] == [0, 1, 2] and judge.curve["iou"] == [each.iou for each in found]
    assert found[0] == agree(networks[0], target, every, fitter, "truth", "cpu")


def test_a_judge_comes_back(target: Samples, body: Body, fitter: SilhouetteFitter) -> None:
    good, bad = Knows(target, body, 1.0), Knows(target, body, 1.3)
    every = torch.arange(len(target))
    judge, again = (Judge(bad, target, every, "truth") for _ in range(2))
    judge.check(0, good, fitter, "cpu")
    again.restore(judge.state())
    again.check(1, bad, fitter, "cpu")
    assert again.best["factor"] == 1.0 and again.waited == 1 and again.curve["step"] == [0, 1]


def test_clips_are_set_aside_as_a_whole(target: Samples) -> None:
    training, judging = split_by_clip(target, 0.5, seed=0)
    assert set(target.clip[training.numpy()]).isdisjoint(target.clip[judging.numpy()])
    assert len(training) == len(judging) == 12


def test_crops_without_a_mask_and_one_clip(target: Samples) -> None:
    masks = target.masks.copy()
    masks[2, 1] = 0  # one kind of mask is enough to leave a crop out
    training, judging = split_by_clip(replace(target, masks=masks, clip=np.zeros(24, np.int64)), 0.5, seed=0)
    assert torch.equal(training, judging) and len(training) == 23 and 2 not in training
    alone = split_by_clip(replace(target, clip=None), 0.25, seed=0)  # each crop is a sequence of its own
    assert [len(part) for part in alone] == [18, 6]


def test_sets_that_cannot_be_judged(target: Samples) -> None:
    with pytest.raises(UserError, match=r"the target has no masks \(masks\.npy\)"):
        split_by_clip(replace(target, masks=None), 0.5, seed=0)
    with pytest.raises(UserError, match="masks must hold 0 and 1, got 255 in crop 0"):
        split_by_clip(replace(target, masks=255 * target.masks), 0.5, seed=0)
