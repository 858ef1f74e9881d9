from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import tiny_network
from torch import Tensor, nn

from adaptation.adapting.algorithm1 import adapt, choose_parameters
from adaptation.adapting.judge import split_by_clip
from adaptation.adapting.settings import KEYPOINT_USES, AdaptSettings
from adaptation.adapting.teacher import Lesson, teach
from adaptation.bodies.body import JOINT_NAMES, Body, mirror_pose
from adaptation.bodies.camera import project
from adaptation.data.samples import Domain
from adaptation.evaluation.scores import evaluate
from adaptation.losses.keypoints import keypoint_loss
from adaptation.losses.settings import LOSS_NAMES, LossSettings, SupervisionWeights
from adaptation.losses.supervision import Truth, mirror, parameter_distance, supervision_loss, truth_of
from adaptation.regressors.base import Prediction
from adaptation.regressors.modes import Precision
from adaptation.support.errors import UserError
from adaptation.synthetic.keypoints import simulated_keypoints
from adaptation.training.pretrain import augment, pretrain
from adaptation.training.processes import batch_of
from adaptation.training.settings import PretrainSettings, UapSettings
from adaptation.training.uap import craft, load_perturbation, save_perturbation

PRETRAIN = PretrainSettings(steps=6, batch=8, save_every=2)
ADAPT = AdaptSettings(steps=8, batch=4, fit_steps=2, check_every=2, rate=1e-3, masks="truth", teacher_weight=1.0)


def weights(network: nn.Module) -> Tensor:
    return torch.cat([value.flatten().double() for value in network.state_dict().values()])


class Stop(Exception):
    """Stands for the machine going down between two steps."""


def stop_after(steps: int):
    done = 0

    def progress(count: int) -> None:
        nonlocal done
        done += count
        if done >= steps:
            raise Stop

    return progress


def test_perfect_predictions_have_no_loss(source: Domain, body: Body) -> None:
    truth = truth_of(source)
    perfect = Prediction(truth.rotations, truth.betas, truth.camera)
    loss = supervision_loss(perfect, truth, body, SupervisionWeights())
    assert loss.shape == (24,) and loss.max() < 1e-4
    worse = Prediction(truth.rotations.roll(1, 0), truth.betas, truth.camera)
    assert supervision_loss(worse, truth, body, SupervisionWeights()).mean() > 0.05


def test_plain_distance_of_parameters(source: Domain) -> None:
    truth = truth_of(source)
    camera, betas = truth.camera.clone(), truth.betas.clone()
    camera[:, 1] += 3
    betas[:, 7] -= 4
    turned = truth.rotations.clone()
    turned[:, 5] = -turned[:, 5]  # moves it by 2 sqrt(3) in the Frobenius norm
    prediction = Prediction(turned.requires_grad_(), betas, camera)
    distance = parameter_distance(prediction, truth)
    torch.testing.assert_close(distance, torch.full((24,), (9 + 16 + 12.0) ** 0.5))
    exact = Prediction(truth.rotations.clone().requires_grad_(), truth.betas, truth.camera)
    (grad,) = torch.autograd.grad(parameter_distance(exact, truth).sum(), exact.rotations)
    assert not grad.any()


def test_mirrored_truth_is_the_mirrored_body(source: Domain, body: Body) -> None:
    truth = truth_of(source)
    mirrored = mirror(truth)
    joints = body.joints(mirrored.rotations, torch.zeros(24, 10))
    assert source.pose is not None
    expected = body.joints(mirror_pose(torch.from_numpy(source.pose)), torch.zeros(24, 10))
    torch.testing.assert_close(joints, expected, atol=1e-5, rtol=0)


def test_labels_move_with_the_image(source: Domain, body: Body) -> None:
    truth, size = truth_of(source), source.size

    def places(labels: Truth) -> Tensor:
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


def test_batches_cover_every_sample_once_an_epoch() -> None:
    seen = torch.cat([batch_of(step, 4, 10, seed=3) for step in range(5)])
    assert sorted(seen[:10].tolist()) == sorted(seen[10:].tolist()) == list(range(10))
    assert torch.equal(batch_of(2, 4, 10, seed=3), seen[8:12])
    assert not torch.equal(batch_of(0, 10, 10, 0), batch_of(0, 10, 10, 1))


def test_pretraining_learns_one_batch_by_heart(source: Domain, body: Body, tmp_path: Path) -> None:
    few = source.take(slice(0, 4))
    settings = PretrainSettings(steps=150, batch=4, rate=3e-3, rise=10, flip=0, zoom=0, move=0, channel_noise=0)
    network = tiny_network()
    start = evaluate(copy.deepcopy(network), few, body).summary()
    pretrain(network, few, body, settings, tmp_path / "run")
    end = evaluate(network, few, body).summary()
    assert end["pa_mpjpe"] < 0.6 * start["pa_mpjpe"]


def test_pretraining_goes_on_as_if_it_had_not_stopped(source: Domain, body: Body, tmp_path: Path) -> None:
    whole = pretrain(tiny_network(), source, body, PRETRAIN, tmp_path / "whole")
    with pytest.raises(Stop):
        pretrain(tiny_network(), source, body, PRETRAIN, tmp_path / "cut", progress=stop_after(5))
    resumed = pretrain(tiny_network(1), source, body, PRETRAIN, tmp_path / "cut")
    assert torch.equal(weights(resumed), weights(whole))


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_adaptation_runs_with_every_loss(name: str, source: Domain, target: Domain, body: Body, tmp_path: Path) -> None:
    network = tiny_network()
    before = weights(network)
    settings = replace(ADAPT, loss=LossSettings(name=name), steps=4, patience=99)  # type: ignore[arg-type]
    adapt(network, target, body, settings, tmp_path / "run", source=source)
    state = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    trained = torch.cat([value.flatten().double() for value in state["network"].values()])
    assert torch.isfinite(trained).all() and not torch.equal(trained, before)


def test_replayed_people_are_shown_in_either_look(source: Domain, target: Domain, body: Body, tmp_path: Path) -> None:
    states = []
    for look in ("source", "target", "target again"):
        settings = replace(ADAPT, steps=2, replay_look=look.split()[0])  # type: ignore[arg-type]
        adapt(tiny_network(), target, body, settings, tmp_path / look, source=source)
        state = torch.load(tmp_path / look / "state.pt", weights_only=True)["network"]
        states.append(torch.cat([value.flatten().double() for value in state.values()]))
    assert torch.equal(states[1], states[2])
    assert not torch.equal(states[0], states[1])


def test_source_crops_of_another_size_leave_nothing(source: Domain, target: Domain, body: Body, tmp_path: Path) -> None:
    small = replace(source, images=source.images[:, ::2, ::2], masks=source.masks[:, :, ::2, ::2])
    with pytest.raises(UserError, match="the source's crops are of 24 pixels, the target's of 48"):
        adapt(tiny_network(), target, body, ADAPT, tmp_path / "run", source=small)
    assert not (tmp_path / "run").exists()


def test_the_averaged_network_teaches_where_no_labels_do(
    source: Domain, target: Domain, body: Body, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def ask(network: nn.Module, images: Tensor, precision: Precision) -> Lesson:
        asked.append(len(images))
        lesson = teach(network, images, precision)
        return replace(lesson, agrees=torch.ones_like(lesson.agrees))  # one that has learnt nothing never agrees

    monkeypatch.setattr("adaptation.adapting.algorithm1.teach", ask)
    states = {}
    for name, changes in {"taught": {}, "alone": {"teacher_weight": 0.0}, "labels": {"supervised": True}}.items():
        asked.clear()
        adapt(tiny_network(), target, body, replace(ADAPT, steps=4, **changes), tmp_path / name, source=source)
        assert asked == ([4] * 4 if name == "taught" else [])
        state = torch.load(tmp_path / name / "state.pt", weights_only=True)["network"]
        states[name] = torch.cat([value.flatten().double() for value in state.values()])
    assert torch.isfinite(states["taught"]).all() and not torch.equal(states["taught"], states["alone"])


def test_adaptation_runs_with_the_papers_sums(target: Domain, body: Body, tmp_path: Path) -> None:
    settings = replace(ADAPT, loss=LossSettings(normalise=False), fit_distance="plain", steps=4, check_every=4)
    states = []
    for name, chosen in (("plain", settings), ("weighted", replace(settings, fit_distance="weighted"))):
        adapt(tiny_network(), target, body, chosen, tmp_path / name)
        state = torch.load(tmp_path / name / "state.pt", weights_only=True)
        states.append(torch.cat([value.flatten().double() for value in state["network"].values()]))
    assert torch.isfinite(states[0]).all() and not torch.equal(*states)


def with_keypoints(domain: Domain) -> Domain:
    return replace(domain, keypoints=simulated_keypoints(domain, 0.5, 0.1, torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("use", KEYPOINT_USES)
def test_adaptation_runs_with_keypoints(use: str, target: Domain, body: Body, tmp_path: Path) -> None:
    settings = replace(ADAPT, keypoints=use, steps=4, patience=99, check_every=4)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="the target has no 2D keypoints"):
        adapt(tiny_network(), target, body, settings, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    trained = {}
    for name, chosen in (("run", settings), ("without", replace(settings, keypoints=None))):
        adapt(tiny_network(), with_keypoints(target), body, chosen, tmp_path / name)
        state = torch.load(tmp_path / name / "state.pt", weights_only=True)
        trained[name] = torch.cat([value.flatten().double() for value in state["network"].values()])
        # a1 learns from keypoints alone: nothing is fitted.
        assert torch.isfinite(state["fits"]["loss"]).any().item() == (chosen.keypoints != "a1")
    assert torch.isfinite(trained["run"]).all() and not torch.equal(trained["run"], trained["without"])


def test_keypoints_alone_put_joints_in_their_place(target: Domain, body: Body, tmp_path: Path) -> None:
    few = with_keypoints(target).take(slice(0, 4))
    settings = replace(ADAPT, keypoints="a1", steps=60, check_every=60, average=0.0, shape_weight=0.001)
    network = tiny_network()

    def loss(network: nn.Module) -> float:
        with torch.no_grad():
            prediction = network.eval()(few.image_batch(slice(None)))
        return keypoint_loss(prediction, torch.from_numpy(few.keypoints), body, few.size).mean().item()

    before = loss(network)
    adapt(network, few, body, settings, tmp_path / "run")
    assert loss(network) < 0.3 * before


def test_adaptation_goes_on_as_if_it_had_not_stopped(target: Domain, body: Body, tmp_path: Path) -> None:
    whole = adapt(tiny_network(), target, body, ADAPT, tmp_path / "whole")
    with pytest.raises(Stop):
        adapt(tiny_network(), target, body, ADAPT, tmp_path / "cut", progress=stop_after(5))
    resumed = adapt(tiny_network(1), target, body, ADAPT, tmp_path / "cut")
    assert torch.equal(weights(resumed), weights(whole))
    states = [torch.load(tmp_path / run / "state.pt", weights_only=True) for run in ("whole", "cut")]
    for name in states[0]["network"]:
        assert torch.equal(states[0]["network"][name], states[1]["network"][name])


def test_patience_is_not_shortened_by_a_stop(target: Domain, body: Body, tmp_path: Path) -> None:
    settings = replace(ADAPT, rate=0.0, norm="frozen", patience=2, steps=20)
    with pytest.raises(Stop):
        adapt(tiny_network(), target, body, settings, tmp_path / "run", progress=stop_after(5))
    adapt(tiny_network(), target, body, settings, tmp_path / "run")
    state = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    assert state["step"] == 6  # looks at 2, 4 and 6 found nothing better than the one at 0
    assert state["curve"]["step"] == [0, 2, 4, 6]
    assert len(set(state["curve"]["iou"])) == len(set(state["curve"]["topology"])) == 1
    adapt(tiny_network(), target, body, settings, tmp_path / "run")
    assert torch.load(tmp_path / "run" / "state.pt", weights_only=True)["step"] == 6


def test_adaptation_raises_agreement_on_what_it_sees(target: Domain, body: Body, tmp_path: Path) -> None:
    few = replace(target.take(slice(0, 4)), pose=None, betas=None, camera=None)
    network = tiny_network()
    settings = replace(ADAPT, steps=60, batch=4, every=0, average=0.0, check_every=10, prior_weight=0.001, patience=99)
    labelled = target.take(slice(0, 4))
    before = evaluate(copy.deepcopy(network), labelled, body).iou.mean()
    adapt(network, few, body, settings, tmp_path / "run")
    assert evaluate(network, labelled, body).iou.mean() > before + 0.1


def test_a_run_with_other_settings_is_not_continued(target: Domain, body: Body, tmp_path: Path) -> None:
    adapt(tiny_network(), target, body, replace(ADAPT, steps=2), tmp_path / "run")
    with pytest.raises(UserError, match="other settings"):
        adapt(tiny_network(), target, body, replace(ADAPT, steps=3), tmp_path / "run")
    adapt(tiny_network(), target, body, replace(ADAPT, steps=3), tmp_path / "run", overwrite=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("dear")
    with pytest.raises(UserError, match="does not hold a run"):
        adapt(tiny_network(), target, body, ADAPT, tmp_path / "other", overwrite=True)
    assert (tmp_path / "other" / "letter.txt").exists()


def test_a_damaged_state_is_named(target: Domain, body: Body, tmp_path: Path) -> None:
    adapt(tiny_network(), target, body, replace(ADAPT, steps=2), tmp_path / "run")
    (tmp_path / "run" / "state.pt").write_bytes(b"gone")
    with pytest.raises(UserError, match=r"state\.pt cannot be read"):
        adapt(tiny_network(), target, body, replace(ADAPT, steps=2), tmp_path / "run")


def test_predictions_that_are_not_finite_end_the_run(target: Domain, body: Body, tmp_path: Path) -> None:
    broken = tiny_network()
    nn.init.constant_(broken.deccam.bias, float("nan"))
    with pytest.raises(UserError, match="predictions are not finite"):
        adapt(broken, target, body, ADAPT, tmp_path / "run")


def test_a_diverging_source_training_keeps_the_last_good_state(source: Domain, body: Body, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the loss is|not finite"):
        pretrain(tiny_network(), source, body, replace(PRETRAIN, rate=1e30, rise=1, save_every=1), tmp_path / "run")
    path = tmp_path / "run" / "state.pt"
    if path.exists():
        state = torch.load(path, weights_only=True)
        assert all(torch.isfinite(value).all() for value in state["network"].values())


def test_fits_that_diverge_end_the_run(
    target: Domain, body: Body, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverge(*_: object, **__: object) -> None:
        raise FloatingPointError("loss is nan at step 3")

    monkeypatch.setattr("adaptation.fitting.fitter.Fitter.fit", diverge)
    with pytest.raises(UserError, match=r"a fit diverged \(loss is nan at step 3\)"):
        adapt(tiny_network(), target, body, ADAPT, tmp_path / "run")
    assert torch.load(tmp_path / "run" / "state.pt", weights_only=True)["step"] == 2


def test_fits_of_another_target_are_not_used(target: Domain, body: Body, tmp_path: Path) -> None:
    adapt(tiny_network(), target, body, ADAPT, tmp_path / "run")
    with pytest.raises(UserError, match="saved fits are of 24 images, not of 12"):
        adapt(tiny_network(), target.take(slice(0, 12)), body, ADAPT, tmp_path / "run")


def test_a_diverging_run_keeps_the_last_good_state(target: Domain, body: Body, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"finite|loss is"):
        adapt(tiny_network(), target, body, replace(ADAPT, rate=1e30, steps=50, patience=99), tmp_path / "run")
    state = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    assert all(torch.isfinite(value).all() for value in state["best"].values())


def test_domains_without_masks_or_labels_are_refused(target: Domain, body: Body, tmp_path: Path) -> None:
    empty = replace(target, masks=np.zeros_like(target.masks))
    with pytest.raises(UserError, match="no crop of the target has a mask"):
        adapt(tiny_network(), empty, body, ADAPT, tmp_path / "run")
    unlabelled = replace(target, pose=None)
    with pytest.raises(UserError, match="no labels"):
        pretrain(tiny_network(), unlabelled, body, PRETRAIN, tmp_path / "run")


def test_clips_are_set_aside_as_a_whole(target: Domain) -> None:
    training, judging = split_by_clip(target, 0.5, seed=0)
    assert set(target.clip[training.numpy()]).isdisjoint(target.clip[judging.numpy()])
    assert len(training) == len(judging) == 12


def test_layers() -> None:
    network = tiny_network()
    assert len(choose_parameters(network, "norm")) == 2 * 17
    assert len(choose_parameters(network, "head")) == 10
    assert len(choose_parameters(network, "all")) == len(list(network.parameters()))


def test_perturbations_stay_within_their_strength(source: Domain, tmp_path: Path) -> None:
    network = tiny_network()
    delta = craft(network, source, UapSettings(strength=8, steps=6, batch=4))
    assert delta.shape == (3, 48, 48) and delta.abs().max() <= 8 / 255 + 1e-7

    def size(change: Tensor) -> float:
        total = []
        hooks = [
            m.register_forward_hook(lambda _m, _i, out: total.append(out.square().mean().log()))
            for m in network.modules()
            if isinstance(m, nn.Conv2d)
        ]
        network((source.image_batch(slice(None)) + change).clamp(0, 1))
        for hook in hooks:
            hook.remove()
        return float(torch.stack(total).sum())

    start = craft(network, source, UapSettings(strength=8, steps=0, batch=4))
    stronger = craft(network, source, UapSettings(strength=8, steps=40, batch=8, rate=1.0))
    assert size(stronger) > size(start)
    save_perturbation(tmp_path / "d.npy", delta)
    assert load_perturbation(tmp_path / "d.npy", 48, 16).abs().max() == pytest.approx(16 / 255)
    with pytest.raises(UserError, match="wanted a perturbation"):
        load_perturbation(tmp_path / "d.npy", 64, 16)


def test_scores_of_a_perfect_network(target: Domain, body: Body, tmp_path: Path) -> None:
    truth = truth_of(target)

    class Oracle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.next = 0

        def forward(self, images: Tensor) -> Prediction:
            part = truth.select(torch.arange(self.next, self.next + len(images)))
            self.next += len(images)
            return Prediction(part.rotations, part.betas, part.camera)

    scores = evaluate(Oracle(), target, body, batch=10)
    assert scores.mpjpe.max() < 1e-2 and scores.pa_mpjpe.max() < 1e-2 and scores.iou.mean() > 0.85
    scores.write(tmp_path)
    assert (tmp_path / "joints.csv").read_text().count("\n") == 25
    assert (tmp_path / "images.csv").read_text().count("\n") == 25


def test_truth_moves_between_devices(target: Domain) -> None:
    assert isinstance(truth_of(target).to("cpu"), Truth)
