"""Every training command once, on the tiny preset, and what happens when one is stopped."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from adaptation import cli
from adaptation.data.samples import Domain
from adaptation.synthetic.hall import ClipSettings, render_clip, write_clip
from adaptation.training.runs import load_state

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Runs a command in this process; its exit code, output and errors."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["topo-adapt", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as stop:
            cli.main()
        output, errors = capfd.readouterr()
        return int(stop.value.code or 0), output, errors

    return call


@pytest.fixture(scope="module")
def work(source: Domain, target: Domain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two sets of crops and a source model."""
    folder = tmp_path_factory.mktemp("work")
    source.save(folder / "source", {})
    target.save(folder / "target", {})
    arguments = ["pretrain", folder / "source", "--out", folder / "run", "--preset", "tiny"]
    command = [sys.executable, "-m", "adaptation.cli", *map(str, arguments)]
    done = subprocess.run(command, env=ENVIRONMENT, cwd=folder, check=False)  # the source folder hides the package
    assert done.returncode == 0
    return folder


def adapting(work: Path, out: Path) -> list[object]:
    model = work / "run" / "model.safetensors"
    return ["adapt", work / "target", "--model", model, "--out", out, "--preset", "tiny"]


def test_commands_that_make_sets(command: Command, work: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    assert command("domain", "--out", made, "--count", 12, "--size", 32, "--family", "style")[0] == 0
    assert Domain.load(made).images.shape == (12, 32, 32, 3)
    assert command("degrade", made, "--out", tmp_path / "night", "--shift", "night")[0] == 0
    assert command("keypoints", made, "--simulate", "--noise", 1)[0] == 0
    assert command("degrade", made, "--out", tmp_path / "lr", "--shift", "lr-32")[0] == 0
    assert Domain.load(made).keypoints is not None
    assert Domain.load(tmp_path / "lr").keypoints is None  # found in other images
    code, _, errors = command("keypoints", made)
    assert code == 2 and "wants one of --from FOLDER, --simulate and --pictures FOLDER" in errors
    delta, model = tmp_path / "delta.npy", work / "run" / "model.safetensors"
    assert command("uap", work / "source", "--model", model, "--out", delta, "--steps", 1)[0] == 0
    assert command("degrade", work / "target", "--out", tmp_path / "u", "--shift", "uap-8", "--delta", delta)[0] == 0


def test_a_prior_and_a_network_with_its_latent(command: Command, work: Path, tmp_path: Path) -> None:
    prior, run = tmp_path / "prior.safetensors", tmp_path / "run"
    assert command("prior", "--out", prior, "--steps", 2)[0] == 0
    assert command("pretrain", work / "source", "--out", run, "--preset", "tiny", "--prior", prior)[0] == 0
    model, out = run / "model.safetensors", tmp_path / "scores"
    code, output, _ = command("evaluate", work / "target", "--model", model, "--out", out)
    assert code == 0 and "PA-MPJPE" in output
    assert json.loads((out / "scores.json").read_text())["images"] == 24


def test_mirror_images_are_seen_too(command: Command, work: Path, tmp_path: Path) -> None:
    scores = []
    for options in ((), ("--mirror",)):
        out = tmp_path / f"scores{len(options)}"
        assert command("evaluate", work / "target", "--model", "small", "--out", out, *options)[0] == 0
        scores.append(json.loads((out / "scores.json").read_text())["pa_mpjpe"])
        assert json.loads((out / "settings.json").read_text())["mirror"] == bool(options)
    assert abs(scores[0] - scores[1]) > 0.1


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


def test_a_recording(command: Command, work: Path, tmp_path: Path) -> None:
    write_clip(render_clip(ClipSettings(width=240, height=180, frames=40, rate=5.0)), tmp_path)
    model, options = work / "run" / "model.safetensors", ("--size", 48, "--every", 3)
    predict = ["predict", tmp_path / "frames", "--model", "small", *options]
    code, output, errors = command(*predict, "--out", tmp_path / "p")
    assert code == 0 and "2 people" in output, errors
    assert command(*predict, "--out", tmp_path / "twice", "--mirror")[0] == 0
    once, twice = (np.load(tmp_path / name / "person_01.npz")["camera"] for name in ("p", "twice"))
    assert once.shape == twice.shape and not np.array_equal(once, twice)
    arguments = [
        "adapt",
        tmp_path / "frames",
        "--model",
        model,
        "--out",
        tmp_path / "out",
        "--preset",
        "tiny",
        *options,
    ]
    code, output, errors = command(*arguments)
    assert code == 0 and "2 people" in output, errors
    assert (tmp_path / "out" / "bodies" / "person_02.npz").exists()
    html = (tmp_path / "out" / "report" / "index.html").read_text("utf-8")
    assert "Silhouettes, without labels" in html and "Joint by joint" not in html
    code, _, errors = command(*arguments, "--loss", "a1", "--overwrite")
    assert code == 2 and "the target has no 2D keypoints" in errors


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
    monkeypatch.setattr("adaptation.adapting.algorithm1.looks_apart", lambda *_: apart)
    beside = ("--source", work / "source", "--steps", 1)
    code, output, errors = command(*adapting(work, tmp_path / "out"), *beside, *options)
    assert code == 0, errors
    settings = json.loads((tmp_path / "out" / "settings.json").read_text())["adapt"]
    assert settings["teacher_weight"] == weight and settings["loss"]["pull_weight"] == (1.5 if weight else 5)
    said = (
        f"teacher: {'yes' if weight else 'no'}, since bodies seen in crops and in their mirror images are {apart:.0f}"
    )
    assert (said in output) == asked


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


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--size", 48), "--size is for recordings; "),
        (("--every", 3), "--every is for recordings; "),
        (("--masks", "masks"), "--masks is for recordings; "),
        (("--loss", "labels", "--teacher", "yes"), "--teacher yes changes nothing with --loss labels"),
        (("--loss", "a1", "--fits-every", 4), "--fits-every changes nothing with --loss a1"),
        (("--seed", -1), "--seed"),
    ],
)
def test_options_without_effect_are_refused(
    options: tuple[object, ...], text: str, command: Command, work: Path, tmp_path: Path
) -> None:
    code, _, errors = command(*adapting(work, tmp_path / "out"), *options)
    assert code == 2 and text in errors and not (tmp_path / "out").exists()


def test_a_run_goes_on_with_its_own_settings_alone(command: Command, work: Path, tmp_path: Path) -> None:
    write_clip(render_clip(ClipSettings(frames=24, height=120)), tmp_path / "clip")
    arguments = adapting(work, tmp_path / "out")
    arguments[1] = tmp_path / "clip" / "frames"
    assert command(*arguments, "--size", 48, "--every", 12)[0] == 0
    code, _, errors = command(*arguments, "--size", 48, "--every", 6)
    assert code == 2 and "other settings (recording.crops.every)" in one_line(errors)


@pytest.mark.parametrize("program", ["prior", "uap"])
def test_a_file_that_cannot_be_written_is_noticed_first(
    program: str, command: Command, work: Path, tmp_path: Path
) -> None:
    what = ["prior"] if program == "prior" else ["uap", work / "source", "--model", "small"]
    code, _, errors = command(*what, "--out", tmp_path, "--steps", 10**6)
    assert code == 2 and "is a folder; --out must name a file" in one_line(errors)
    (tmp_path / "file").touch()
    code, _, errors = command(*what, "--out", tmp_path / "file" / "out", "--steps", 10**6)
    assert code == 2 and "cannot write" in one_line(errors)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"text", b"\x93NUMPY\x01\x00"])
def test_files_of_the_wrong_kind(content: bytes, command: Command, work: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    code, _, errors = command("prior", "--poses", tmp_path / "file", "--out", tmp_path / "out")
    assert code == 2 and "file has no poses" in one_line(errors)
    degrading = ("degrade", work / "target", "--out", tmp_path / "out", "--delta", tmp_path / "file", "--shift")
    code, _, errors = command(*degrading, "uap-8")
    assert code == 2 and "file is not a perturbation" in one_line(errors)
    code, _, errors = command(*degrading, "night")
    assert code == 2 and "--delta is for uap-4, uap-8 and uap-16, not for night" in one_line(errors)


FILMING = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from adaptation import cli
from adaptation.domains import dataset
if __name__ == "__main__":
    films = dataset.side_by_side
    def announced(*arguments):
        for film in films(*arguments):
            print("filmed", flush=True)
            yield film
    dataset.side_by_side = announced
    cli.main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to others")
def test_processes_end_without_a_word(tmp_path: Path) -> None:
    """Ctrl-C goes to all processes of a terminal."""
    (tmp_path / "filming.py").write_text(FILMING)
    arguments = ["domain", "--out", "made", "--count", "1200", "--size", "32", "--workers", "2"]
    process = subprocess.Popen(
        [sys.executable, "filming.py", *arguments],
        env=ENVIRONMENT, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None and process.stdout.readline() == "filmed\n"
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130 and one_line(errors)
    assert not (tmp_path / "made").exists()


def one_line(errors: str) -> str:
    line = errors.strip()
    assert line.startswith("topo-adapt: ") and "\n" not in line, errors
    return line


def test_sets_that_cannot_be_adapted_to(command: Command, work: Path, target: Domain, tmp_path: Path) -> None:
    def refused(bad: Path) -> str:
        arguments = adapting(work, tmp_path / "out")
        arguments[1] = bad
        code, output, errors = command(*arguments)
        assert code == 2 and output == "" and not (tmp_path / "out").exists()
        return one_line(errors)

    target.save(tmp_path / "a", {})
    (tmp_path / "a" / "masks.npy").unlink()
    assert "not a set of crops" in refused(tmp_path / "a") and "masks.npy" in refused(tmp_path / "a")
    replace(target, masks=np.zeros_like(target.masks)).save(tmp_path / "b", {})
    assert "no crop of the target has a mask to learn from" in refused(tmp_path / "b")
    replace(target, masks=255 * target.masks).save(tmp_path / "c", {})
    assert "masks must hold 0 and 1, got 255" in refused(tmp_path / "c")
    replace(target, images=target.images[:, :, :40]).save(tmp_path / "d", {})
    assert "images must have shape (24, 48, 48, 3), got (24, 48, 40, 3)" in refused(tmp_path / "d")
    replace(target, images=target.images / np.float32(255)).save(tmp_path / "e", {})
    assert "images must be uint8, got float32" in refused(tmp_path / "e")
    replace(target, betas=np.full_like(target.betas, np.nan)).save(tmp_path / "f", {})
    assert "betas has numbers that are not finite" in refused(tmp_path / "f")
    target.save(tmp_path / "g", {})
    (tmp_path / "g" / "labels.npz").write_bytes((tmp_path / "g" / "labels.npz").read_bytes()[:500])
    assert "not a set of crops" in refused(tmp_path / "g")


def test_labels_are_missed_before_the_work_is_done(
    command: Command, work: Path, target: Domain, tmp_path: Path
) -> None:
    replace(target, pose=None, betas=None, camera=None).save(tmp_path / "bare", {})
    for option in ("--test", "--source"):
        code, _, errors = command(*adapting(work, tmp_path / "out"), option, tmp_path / "bare")
        assert code == 2 and "bare has no labels" in one_line(errors) and not (tmp_path / "out").exists()
    assert command("pretrain", tmp_path / "bare", "--out", tmp_path / "out", "--preset", "tiny")[0] == 2


def test_corrupt_weights_are_named(command: Command, work: Path, tmp_path: Path) -> None:
    model = work / "run" / "model.safetensors"
    for name, data in (("cut.safetensors", model.read_bytes()[:-100]), ("noise.pt", b"\x80\x02..."), ("empty.pt", b"")):
        (tmp_path / name).write_bytes(data)
        arguments = adapting(work, tmp_path / "out")
        arguments[3] = tmp_path / name
        code, _, errors = command(*arguments)
        assert code == 2 and f"{name} cannot be read" in one_line(errors)


# Ctrl-C works even where whoever started the tests ignores it. After its second save the run says so and waits for it,
# or finds the disk full: no file may grow beyond ten kilobytes.
STOPPED = """
import signal, sys, resource, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from adaptation import cli
from adaptation.training import runs
how, saves, save = sys.argv.pop(1), 0, runs.Run.save
def announced(self, state):
    global saves
    save(self, state)
    saves += 1
    if saves == 2 and how == "interrupt":
        print("saved", flush=True)
        time.sleep(60)
    if saves == 2 and how == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
runs.Run.save = announced
cli.main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to others, no limits on files")
@pytest.mark.parametrize("how", ["interrupt", "full"])
@pytest.mark.parametrize("program", ["pretrain", "adapt"])
def test_a_run_that_is_stopped_goes_on(program: str, how: str, command: Command, work: Path, tmp_path: Path) -> None:
    def arguments(out: Path) -> list[object]:
        if program == "adapt":
            return [*adapting(work, out), "--steps", 6]
        return ["pretrain", work / "source", "--out", out, "--preset", "tiny", "--steps", 6]

    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPED, how, *map(str, arguments(out))],
        env=ENVIRONMENT, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        if how == "interrupt":
            assert process.stdout is not None and process.stdout.readline() == "saved\n"
            process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == (130 if how == "interrupt" else 2)
    wanted = (
        "interrupted; .*the same command, without --overwrite, goes on"
        if how == "interrupt"
        else r"cannot write .*state\.pt: File too"
    )
    assert re.search(wanted, one_line(errors))
    assert {path.suffix for path in out.iterdir() if "tfevents" not in path.name} == {".json", ".pt"}
    assert load_state(out / "state.pt")["step"] == (4 if program == "pretrain" else 2)

    assert command(*arguments(out))[0] == 0
    assert command(*arguments(tmp_path / "whole"))[0] == 0
    states = [load_state(folder / "state.pt")["network"] for folder in (out, tmp_path / "whole")]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[1])


def test_a_run_is_not_continued_with_another_model(command: Command, work: Path, tmp_path: Path) -> None:
    assert command(*adapting(work, tmp_path / "out"))[0] == 0
    state = load_state(tmp_path / "out" / "state.pt")
    state["network"]["fc1.weight"] = state["network"]["fc1.weight"][:, :-1]
    torch.save(state, tmp_path / "out" / "state.pt")
    code, _, errors = command(*adapting(work, tmp_path / "out"))
    assert code == 2 and "state.pt is of another network" in one_line(errors)
    (tmp_path / "out" / "state.pt").write_bytes(b"gone")
    code, _, errors = command(*adapting(work, tmp_path / "out"))
    assert code == 2 and "state.pt cannot be read" in one_line(errors)
    assert command(*adapting(work, tmp_path / "out"), "--overwrite")[0] == 0
