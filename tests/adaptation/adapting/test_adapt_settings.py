"""What an adaptation can be asked for: rules, losses and objectives by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from networks import saved, saved_weights, tiny_network, weights

from adaptation.adapting.settings import (
    KEYPOINT_USES,
    OBJECTIVES,
    AdaptSettings,
    check_useful,
    plain_sums,
    with_loss,
)
from adaptation.bodies.body import Body
from adaptation.data.samples import Samples
from adaptation.losses.settings import LOSSES, LossSettings
from adaptation.support.errors import UserError
from adaptation.synthetic.keypoints import simulated_keypoints

ONE_STEP = AdaptSettings(steps=1, batch=4, fit_steps=1, check_every=1, rate=1e-3, rise=1, masks="truth")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"supervised": True, "keypoints": "weak", "every": 0}, "labels and keypoints exclude each other"),
        ({"supervised": True, "every": 4}, "fits change nothing with labels; every must be 0"),
        ({"keypoints": "a1", "every": 1}, "fits change nothing with a1; every must be 0"),
        ({"keypoints": "a1", "every": 0, "teacher_weight": 1.0}, "a teacher needs a loss on silhouettes"),
        ({"keypoints": "a2", "teacher_weight": 1.0}, "a teacher needs a loss on silhouettes"),
        ({"supervised": True, "every": 0, "teacher_weight": 1.0}, "a teacher needs a loss on silhouettes"),
        ({"steps": 0}, "steps, batch and check_every must be positive"),
        ({"batch": 0}, "steps, batch and check_every must be positive"),
        ({"check_every": 0}, "steps, batch and check_every must be positive"),
        ({"rate": -1e-4}, "rate, every and replay must not be negative"),
        ({"every": -1}, "rate, every and replay must not be negative"),
        ({"replay": -1}, "rate, every and replay must not be negative"),
    ],
    ids=str,
)
def test_python_refuses_what_the_command_refuses(changes: dict[str, object], text: str) -> None:
    with pytest.raises(UserError, match="settings of the adaptation: ") as refused:
        AdaptSettings(**changes)  # type: ignore[arg-type]
    assert str(refused.value).endswith(text) and "\n" not in str(refused.value)
    with pytest.raises(UserError, match=text):
        replace(AdaptSettings(), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"keypoints": "weak", "teacher_weight": 1.0},
        {"keypoints": "a2", "every": 4},
        {"supervised": True, "every": 0},
        {"rate": 0.0, "replay": 0, "every": 0},
    ],
    ids=str,
)
def test_what_makes_sense_is_allowed(changes: dict[str, object]) -> None:
    AdaptSettings(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("objective", "options", "text"),
    [
        *[(name, {"teacher": True}, f"--teacher yes changes nothing with --loss {name}") for name in ("a1", "a2")],
        ("labels", {"teacher": True}, "--teacher yes changes nothing with --loss labels"),
        *[(name, {"fits": True}, f"--fits-every changes nothing with --loss {name}") for name in ("a1", "labels")],
        *[
            (name, {"plain_sums": True}, f"--plain-sums changes nothing with --loss {name}")
            for name in ("a1", "labels")
        ],
    ],
)
def test_options_without_effect_are_refused_for_an_objective(
    objective: str, options: dict[str, bool], text: str
) -> None:
    nothing = {"teacher": False, "fits": False, "plain_sums": False}
    with pytest.raises(UserError, match=text):
        check_useful(objective, **{**nothing, **options})
    check_useful(objective, **nothing)
    check_useful("ours", **{**nothing, **options})


def test_objectives_are_complete() -> None:
    assert list(OBJECTIVES) == [*LOSSES, *KEYPOINT_USES, "labels"]
    for name, objective in OBJECTIVES.items():
        settings = objective.apply(AdaptSettings())
        assert objective.text
        assert settings.loss.name == (name if name in LOSSES else "ours")
        assert settings.keypoints == (name if name in KEYPOINT_USES else None)
        assert settings.supervised == (name == "labels")
        assert settings.every == (0 if name in ("a1", "labels") else 4)
    assert OBJECTIVES["a2"].apply(AdaptSettings(every=0)).every == AdaptSettings.every  # fits are what a2 adds


def test_the_loss_of_pixels_weighs_more() -> None:
    settings = AdaptSettings()
    assert with_loss(settings, "b1").silhouette_weight == 4 * settings.silhouette_weight
    for name in ("b2", "b3", "ours"):
        assert with_loss(settings, name) == replace(settings, loss=replace(settings.loss, name=name))


def test_plain_sums_are_the_papers() -> None:
    settings = plain_sums(AdaptSettings())
    assert settings.fit_distance == "plain"
    assert settings.loss == replace(AdaptSettings().loss, normalise=False, topology_weight=1.0, pull_weight=1.0)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_takes_a_step(name: str, target: Samples, body: Body, adapt, tmp_path: Path) -> None:
    found = simulated_keypoints(target, body, 0.5, 0.1, torch.Generator().manual_seed(0))
    settings = OBJECTIVES[name].apply(ONE_STEP)
    network = tiny_network()
    before = weights(network)
    adapt(network, replace(target, keypoints=found), settings)
    trained = saved_weights(tmp_path / "run")
    assert torch.isfinite(trained).all() and not torch.equal(trained, before)
    assert saved(tmp_path / "run")["step"] == 1


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_takes_a_step_of_fits_with_two_optimisers(name: str, target: Samples, adapt, tmp_path: Path) -> None:
    """K = 1: the step learns from fits, which descend the loss."""
    settings = replace(ONE_STEP, loss=LossSettings(name), every=1, optimizers="separate")  # type: ignore[arg-type]
    adapt(tiny_network(), target, settings)
    state = saved(tmp_path / "run")
    assert torch.isfinite(state["fits"]["loss"]).sum() == 4
    assert {"silhouette", "topology"} <= set(state) and torch.isfinite(saved_weights(tmp_path / "run")).all()
