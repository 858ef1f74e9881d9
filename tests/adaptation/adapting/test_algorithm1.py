from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import saved, saved_weights, tiny_network, weights
from stopping import Stop, stop_after
from torch import Tensor, nn

from adaptation.adapting.algorithm1 import choose_parameters
from adaptation.adapting.settings import KEYPOINT_USES, AdaptSettings
from adaptation.adapting.teacher import Lesson, teach
from adaptation.bodies.body import Body
from adaptation.bodies.views import View
from adaptation.data.samples import Samples
from adaptation.evaluation.scores import evaluate
from adaptation.losses.keypoints import keypoint_loss
from adaptation.losses.settings import LOSS_NAMES, LossSettings
from adaptation.regressors.modes import Precision
from adaptation.support.errors import UserError
from adaptation.synthetic.keypoints import simulated_keypoints

ADAPT = AdaptSettings(steps=8, batch=4, fit_steps=2, check_every=2, rate=1e-3, masks="truth", teacher_weight=1.0)
ALONE = replace(ADAPT, teacher_weight=0.0)


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_adaptation_runs_with_every_loss(name: str, source: Samples, target: Samples, adapt, tmp_path: Path) -> None:
    network = tiny_network()
    before = weights(network)
    settings = replace(ADAPT, loss=LossSettings(name=name), steps=4, patience=99)  # type: ignore[arg-type]
    adapt(network, target, settings, source=source)
    trained = saved_weights(tmp_path / "run")
    assert torch.isfinite(trained).all() and not torch.equal(trained, before)


def test_the_averaged_network_teaches_where_no_labels_do(
    source: Samples, target: Samples, adapt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def ask(network: nn.Module, images: Tensor, view: View, precision: Precision) -> Lesson:
        asked.append(len(images))
        lesson = teach(network, images, view, precision)
        return replace(lesson, agrees=torch.ones_like(lesson.agrees))  # one that has learnt nothing never agrees

    monkeypatch.setattr("adaptation.adapting.algorithm1.teach", ask)
    states = {}
    labels = {"supervised": True, "every": 0, "teacher_weight": 0.0}
    for name, changes in {"taught": {}, "alone": {"teacher_weight": 0.0}, "labels": labels}.items():
        asked.clear()
        adapt(tiny_network(), target, replace(ADAPT, steps=4, **changes), name, source=source)
        assert asked == ([4] * 4 if name == "taught" else [])
        states[name] = saved_weights(tmp_path / name)
    assert torch.isfinite(states["taught"]).all() and not torch.equal(states["taught"], states["alone"])


def test_adaptation_runs_with_the_papers_sums(target: Samples, adapt, tmp_path: Path) -> None:
    settings = replace(ADAPT, loss=LossSettings(normalise=False), fit_distance="plain", steps=4, check_every=4)
    states = []
    for name, chosen in (("plain", settings), ("weighted", replace(settings, fit_distance="weighted"))):
        adapt(tiny_network(), target, chosen, name)
        states.append(saved_weights(tmp_path / name))
    assert torch.isfinite(states[0]).all() and not torch.equal(*states)


def with_keypoints(samples: Samples, body: Body) -> Samples:
    found = simulated_keypoints(samples, body, 0.5, 0.1, torch.Generator().manual_seed(0))
    return replace(samples, keypoints=found)


@pytest.mark.parametrize("use", KEYPOINT_USES)
def test_adaptation_runs_with_keypoints(use: str, target: Samples, body: Body, adapt, tmp_path: Path) -> None:
    every = 0 if use == "a1" else ALONE.every
    settings = replace(ALONE, keypoints=use, every=every, steps=4, patience=99, check_every=4)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="the target has no 2D keypoints"):
        adapt(tiny_network(), target, settings)
    assert not (tmp_path / "run").exists()
    trained = {}
    for name, chosen in (("run", settings), ("without", replace(settings, keypoints=None, every=ALONE.every))):
        adapt(tiny_network(), with_keypoints(target, body), chosen, name)
        trained[name] = saved_weights(tmp_path / name)
        # a1 learns from keypoints alone: nothing is fitted.
        found = saved(tmp_path / name)["fits"]["loss"]
        assert torch.isfinite(found).any().item() == (chosen.keypoints != "a1")
    assert torch.isfinite(trained["run"]).all() and not torch.equal(trained["run"], trained["without"])


def test_keypoints_alone_put_joints_in_their_place(target: Samples, body: Body, adapt) -> None:
    few = with_keypoints(target, body).take(slice(0, 4))
    settings = replace(
        ALONE, keypoints="a1", every=0, steps=60, check_every=60, average=0.0, shape_weight=0.001
    )  # fmt: skip
    network = tiny_network()

    def loss(network: nn.Module) -> float:
        with torch.no_grad():
            bodies = network.eval()(few.image_batch(slice(None))).bodies
        return keypoint_loss(bodies, torch.from_numpy(few.keypoints), body, few.size).mean().item()

    before = loss(network)
    adapt(network, few, settings)
    assert loss(network) < 0.3 * before


def test_adaptation_goes_on_as_if_it_had_not_stopped(target: Samples, adapt, tmp_path: Path) -> None:
    whole = adapt(tiny_network(), target, ADAPT, "whole")
    with pytest.raises(Stop):
        adapt(tiny_network(), target, ADAPT, "cut", progress=stop_after(5))
    resumed = adapt(tiny_network(1), target, ADAPT, "cut")
    assert torch.equal(weights(resumed), weights(whole))
    states = [saved(tmp_path / run)["network"] for run in ("whole", "cut")]
    for name in states[0]:
        assert torch.equal(states[0][name], states[1][name])


def test_adaptation_raises_agreement_on_what_it_sees(target: Samples, body: Body, adapt) -> None:
    few = replace(target.take(slice(0, 4)), pose=None, betas=None, camera=None)
    network = tiny_network()
    settings = replace(ADAPT, steps=60, batch=4, every=0, average=0.0, check_every=10, prior_weight=0.001, patience=99)
    labelled = target.take(slice(0, 4))
    before = evaluate(copy.deepcopy(network), labelled, body).iou.mean()
    adapt(network, few, settings)
    assert evaluate(network, labelled, body).iou.mean() > before + 0.1


def test_a_run_with_other_settings_is_not_continued(target: Samples, adapt, tmp_path: Path) -> None:
    adapt(tiny_network(), target, replace(ADAPT, steps=2))
    with pytest.raises(UserError, match="other settings"):
        adapt(tiny_network(), target, replace(ADAPT, steps=3))
    adapt(tiny_network(), target, replace(ADAPT, steps=3), overwrite=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("dear")
    with pytest.raises(UserError, match="does not hold a run"):
        adapt(tiny_network(), target, ADAPT, "other", overwrite=True)
    assert (tmp_path / "other" / "letter.txt").exists()


def test_a_damaged_state_is_named(target: Samples, adapt, tmp_path: Path) -> None:
    adapt(tiny_network(), target, replace(ADAPT, steps=2))
    (tmp_path / "run" / "state.pt").write_bytes(b"gone")
    with pytest.raises(
        UserError, match=r"state\.pt: found a text file, expected a file of torch.save; --overwrite starts anew"
    ):
        adapt(tiny_network(), target, replace(ADAPT, steps=2))


def test_predictions_that_are_not_finite_end_the_run(target: Samples, adapt) -> None:
    broken = tiny_network()
    nn.init.constant_(broken.deccam.bias, float("nan"))
    with pytest.raises(UserError, match="predictions are not finite"):
        adapt(broken, target, ADAPT)


def test_a_diverging_run_keeps_the_last_good_state(target: Samples, adapt, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"finite|loss is"):
        adapt(tiny_network(), target, replace(ADAPT, rate=1e30, steps=50, patience=99))
    state = saved(tmp_path / "run")
    assert all(torch.isfinite(value).all() for value in state["best"].values())


def test_targets_without_a_mask_are_refused(target: Samples, adapt, tmp_path: Path) -> None:
    empty = replace(target, masks=np.zeros_like(target.masks))
    with pytest.raises(UserError, match="no crop of the target has a mask"):
        adapt(tiny_network(), empty, ADAPT)
    with pytest.raises(UserError, match=r"the target has no masks \(masks\.npy\)"):
        adapt(tiny_network(), replace(target, masks=None), ADAPT)
    assert not (tmp_path / "run").exists()


def test_layers() -> None:
    network = tiny_network()
    assert len(choose_parameters(network, "norm")) == 2 * 17
    assert len(choose_parameters(network, "head")) == 10
    assert len(choose_parameters(network, "all")) == len(list(network.parameters()))
