from __future__ import annotations

import copy
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from networks import saved, tiny_network, weights
from stopping import Stop, stop_after
from torch import Tensor, nn

from adaptation.bodies.body import JOINT_NAMES, Body
from adaptation.bodies.camera import project
from adaptation.bodies.parameters import Bodies
from adaptation.data.samples import Samples
from adaptation.evaluation.scores import evaluate
from adaptation.support.errors import UserError
from adaptation.training.pretrain import augment, pretrain
from adaptation.training.runs import Run
from adaptation.training.settings import PretrainSettings

PRETRAIN = PretrainSettings(steps=6, batch=8, save_every=2)


def run_of(folder: Path, settings: PretrainSettings) -> Run:
    return Run(folder, {"pretrain": asdict(settings)})


def test_labels_move_with_the_image(source: Samples, body: Body) -> None:
    truth, size = source.bodies(body), source.size

    def places(labels: Bodies) -> Tensor:
        return project(body.joints(labels.rotations, labels.betas), labels.camera, size)

    # A dot where the head is, which is its own mirror image.
    head, centres = JOINT_NAMES.index("head"), torch.arange(size) + 0.5
    inner = ((places(truth)[:, head] - size / 2).abs() < size / 3).all(1)
    truth = truth.select(inner)
    away = places(truth)[:, head, None] - centres[None, :, None]
    dots = torch.exp(-(away[:, None, :, 0].square() + away[:, :, None, 1].square()) / 8)
    images, moved = augment(
        dots[:, None].expand(-1, 3, -1, -1),
        truth,
        PretrainSettings(channel_noise=0, zoom=0.2, move=0.1),
        torch.Generator().manual_seed(0),
    )
    shares = images[:, 0] / images[:, 0].sum((1, 2), keepdim=True)
    seen = torch.stack([shares.sum(1) @ centres, shares.sum(2) @ centres], dim=1)
    assert len(seen) > 4
    assert (seen - places(moved)[:, head]).abs().max() < 0.5
    assert (seen - places(truth)[:, head]).abs().max() > 3


def test_pretraining_learns_one_batch_by_heart(source: Samples, body: Body, tmp_path: Path) -> None:
    few = source.take(slice(0, 4))
    settings = PretrainSettings(steps=150, batch=4, rate=3e-3, rise=10, flip=0, zoom=0, move=0, channel_noise=0)
    network = tiny_network()
    start = evaluate(copy.deepcopy(network), few, body).summary()
    pretrain(network, few, body, settings, run_of(tmp_path / "run", settings))
    end = evaluate(network, few, body).summary()
    assert end["pa_mpjpe"] < 0.6 * start["pa_mpjpe"]


def test_pretraining_goes_on_as_if_it_had_not_stopped(source: Samples, body: Body, tmp_path: Path) -> None:
    def train(name: str, seed: int = 0, stop: int | None = None) -> nn.Module:
        progress = None if stop is None else stop_after(stop)
        run = run_of(tmp_path / name, PRETRAIN)
        return pretrain(tiny_network(seed), source, body, PRETRAIN, run, progress=progress)

    whole = train("whole")
    with pytest.raises(Stop):
        train("cut", stop=5)
    assert torch.equal(weights(train("cut", seed=1)), weights(whole))


def test_a_diverging_source_training_keeps_the_last_good_state(source: Samples, body: Body, tmp_path: Path) -> None:
    settings = replace(PRETRAIN, rate=1e30, rise=1, save_every=1)
    with pytest.raises(UserError, match=r"the supervision loss is|not finite"):
        pretrain(tiny_network(), source, body, settings, run_of(tmp_path / "run", settings))
    if (tmp_path / "run" / "state.pt").exists():
        assert all(torch.isfinite(value).all() for value in saved(tmp_path / "run")["network"].values())


def test_sets_without_labels_of_this_body_are_refused(source: Samples, body: Body, tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", PRETRAIN)
    with pytest.raises(UserError, match="no labels"):
        pretrain(tiny_network(), replace(source, pose=None), body, PRETRAIN, run)
    with pytest.raises(UserError, match="belong to the body model 'smpl-abc', not to 'free'"):
        pretrain(tiny_network(), replace(source, body="smpl-abc"), body, PRETRAIN, run)
    assert not (tmp_path / "run").exists()
