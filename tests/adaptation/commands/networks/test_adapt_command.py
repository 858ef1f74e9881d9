from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from command_line import Command, adapting


@pytest.mark.parametrize("loss", ["ours", "a1", "a2", "weak", "labels"])
def test_adapting(loss: str, command: Command, work: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    shutil.copytree(work / "target", target)
    arguments = adapting(work, tmp_path / "out")
    arguments[1] = target
    if loss in ("a1", "a2", "weak"):
        code, _, errors = command(*arguments, "--loss", loss)
        assert code == 2 and "the target has no 2D keypoints" in errors and not (tmp_path / "out").exists()
        assert command("keypoints", target, "--simulate")[0] == 0
    code, output, errors = command(*arguments, "--loss", loss, "--source", work / "source")
    assert code == 0, errors
    assert "adapted weights" in output and (tmp_path / "out" / "adapted.safetensors").exists()
    html = (tmp_path / "out" / "report" / "index.html").read_text("utf-8")
    assert "Adaptation to target" in html and f"--loss {loss} " in html and "Joint by joint" in html
    scores = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert scores["before"].keys() == scores["after"].keys() == {"mpjpe", "pa_mpjpe", "iou"}
    settings = json.loads((tmp_path / "out" / "settings.json").read_text())["adapt"]
    assert settings["supervised"] == (loss == "labels")
    assert settings["keypoints"] == (loss if loss in ("a1", "a2", "weak") else None)


def test_adapting_with_a_latent_prior(command: Command, work: Path, tmp_path: Path) -> None:
    prior, out = tmp_path / "prior.safetensors", tmp_path / "out"
    assert command("prior", "--out", prior, "--steps", 1)[0] == 0
    code, _, errors = command(*adapting(work, out), "--prior", prior)
    assert code == 0, errors
    assert json.loads((out / "settings.json").read_text())["adapt"]["fit"]["prior"] == str(prior)
    code, _, errors = command(*adapting(work, out), "--prior", "latent")
    assert code == 2 and "holds a run with other settings" in errors
    code, _, errors = command(*adapting(work, tmp_path / "no"), "--prior", "laten")
    assert code == 2 and "no pose prior 'laten'" in errors and not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("options", "apart", "asked", "weight"),
    [
        ((), 40.0, True, 2.0),
        ((), 50.0, True, 0.0),
        (("--teacher", "yes"), 50.0, False, 2.0),
        (("--teacher", "no"), 40.0, False, 0.0),
        (("--loss", "labels"), 40.0, False, 0.0),
        (("--norm", "frozen"), 40.0, False, 0.0),
    ],
)
def test_a_network_teaches_if_it_is_near_or_if_told_to(
    command: Command,
    work: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    apart: float,
    asked: bool,
    weight: float,
) -> None:
    monkeypatch.setattr("adaptation.adapting.teacher.looks_apart", lambda *_: apart)
    beside = ("--source", work / "source", "--steps", 1)
    code, output, errors = command(*adapting(work, tmp_path / "out"), *beside, *options)
    assert code == 0, errors
    settings = json.loads((tmp_path / "out" / "settings.json").read_text())["adapt"]
    assert settings["teacher_weight"] == weight and settings["loss"]["pull_weight"] == (1.5 if weight else 5)
    said = f"teacher: {'yes' if weight else 'no'}, since bodies predicted for crops and for their mirror images are "
    assert (f"{said}{apart:.0f} mm apart (limit 45)" in output) == asked


def test_the_recipe_follows_the_size_of_the_crops(command: Command, work: Path, tmp_path: Path) -> None:
    arguments = [*adapting(work, tmp_path / "out"), "--steps", 1]
    arguments[arguments.index("tiny")] = "small"  # whose recipe is for 96 pixels; these crops have 48
    code, _, errors = command(*arguments)
    assert code == 0, errors
    loss = json.loads((tmp_path / "out" / "settings.json").read_text())["adapt"]["loss"]
    assert (loss["distance_weight"], loss["iterations"]) == (2, 6)


def test_nobody_teaches_without_a_source(command: Command, work: Path, tmp_path: Path) -> None:
    code, output, _ = command(*adapting(work, tmp_path / "out"), "--steps", 1)
    assert code == 0 and "apart" not in output
    code, _, errors = command(*adapting(work, tmp_path / "out"), "--teacher", "perhaps", "--overwrite")
    assert code == 2 and "--teacher must be one of auto, yes, no, got 'perhaps'" in errors


def test_plain_sums_are_an_option(command: Command, work: Path, tmp_path: Path) -> None:
    assert command(*adapting(work, tmp_path / "out"), "--loss", "b2", "--plain-sums", "--steps", 1)[0] == 0
    settings = json.loads((tmp_path / "out" / "settings.json").read_text())["adapt"]
    assert settings["loss"]["name"] == "b2" and not settings["loss"]["normalise"]
    assert settings["fit_distance"] == "plain" and settings["loss"]["pull_weight"] == 1
