"""Networks of others go through all commands: dictionaries, meshes, conditioned ones, cut crops, no batch norms."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import Command, one_line, tree

WITH_BODY = ("make_dictionary", "make_dictionary_with_mesh", "make_conditioned")
WITHOUT = ("make_mesh", "make_program", "make_promptable")


def adapt(work: Path, out: Path, name: str, *options: object) -> list[object]:
    model = f"foreign_networks:{name}"
    return ["adapt", work / "target", "--model", model, "--out", out, "--preset", "tiny", *options]


@pytest.mark.parametrize("name", WITH_BODY + WITHOUT)
def test_crops(name: str, command: Command, work: Path, tmp_path: Path) -> None:
    options = ("--fits-every", 0) if name in WITHOUT else ("--source", work / "source", "--layers", "norm")
    code, _, errors = command(*adapt(work, tmp_path / "run", name, *options))
    assert code == 0, errors
    report = (tmp_path / "run" / "report" / "index.html").read_text("utf-8")
    assert "Adaptation to target" in report and ("Joint by joint" in report) == (name in WITH_BODY)
    scores = json.loads((tmp_path / "run" / "comparison.json").read_text())
    assert set(scores["after"]) == ({"mpjpe", "pa_mpjpe", "iou"} if name in WITH_BODY else {"iou"})
    adapted = f"foreign_networks:{name}@{tmp_path / 'run' / 'adapted.pt'}"
    code, _, errors = command("evaluate", work / "target", "--model", adapted, "--out", tmp_path / "scores")
    assert code == 0, errors
    written = json.loads((tmp_path / "scores" / "scores.json").read_text())
    assert written["iou"] == pytest.approx(scores["after"]["iou"], abs=1e-6)
    assert (tmp_path / "scores" / "joints.csv").exists() == (name in WITH_BODY)


def test_low_rank_updates(command: Command, work: Path, tmp_path: Path) -> None:
    options = ("--layers", "lora:2", "--fits-every", 0, "--rate", 0.01)
    code, _, errors = command(*adapt(work, tmp_path / "run", "make_dictionary", *options))
    assert code == 0, errors
    scores = json.loads((tmp_path / "run" / "comparison.json").read_text())
    adapted = f"foreign_networks:make_dictionary@{tmp_path / 'run' / 'adapted.safetensors'}"
    code, _, errors = command("evaluate", work / "target", "--model", adapted, "--out", tmp_path / "scores")
    assert code == 0, errors
    written = json.loads((tmp_path / "scores" / "scores.json").read_text())
    assert written["iou"] == pytest.approx(scores["after"]["iou"], abs=1e-3)


@pytest.mark.parametrize("name", ["make_dictionary", "make_conditioned", "make_mesh"])
def test_recordings(name: str, command: Command, recording_folder: Path, tmp_path: Path) -> None:
    model = ("--model", f"foreign_networks:{name}")
    size = () if name != "make_mesh" else ("--size", 48)
    code, _, errors = command("predict", recording_folder, *model, "--out", tmp_path / "seen", "--every", 8, *size)
    assert code == 0, errors
    with np.load(tmp_path / "seen" / "person_01.npz", allow_pickle=False) as arrays:
        count = len(arrays["frame"])
        matrix, turned, moved = (arrays[key] for key in ("intrinsics", "rotation", "translation"))
        assert matrix.shape == (count, 3, 3) and (moved[:, 2] > 0).all()
        if name == "make_mesh":
            assert arrays["vertices"].shape == (count, 10_475, 3) and arrays["faces"].shape[1] == 3
        if "joints3d" in arrays and name != "make_mesh":
            seen = (arrays["joints3d"] @ turned.transpose(0, 2, 1) + moved[:, None]) @ matrix.transpose(0, 2, 1)
            apart = np.abs(seen[..., :2] / seen[..., 2:] - arrays["joints2d"]).max()
            assert apart < 1e-2
    assert len(list((tmp_path / "seen" / "overlays").glob("*.jpg"))) >= count
    assert "Predicted bodies" in (tmp_path / "seen" / "report.html").read_text("utf-8")
    code, _, errors = command(
        "adapt", recording_folder, *model, "--out", tmp_path / "run", "--every", 4, "--preset", "tiny", *size,
        "--fits-every", 0,
    )  # fmt: skip
    assert code == 0, errors
    assert (tmp_path / "run" / "bodies" / "report.html").exists()
    bodies, kind = tmp_path / "run" / "bodies", ("--format", "glb")
    code, _, errors = command("export", bodies, *kind)
    if name == "make_mesh":
        assert code == 2 and "holds meshes without a body model" in one_line(errors)
    else:
        assert code == 0 and (bodies / "people.glb").exists(), errors


def test_a_camera_that_is_given_is_used(command: Command, recording_folder: Path, tmp_path: Path) -> None:
    arguments = ["predict", recording_folder, "--model", "foreign_networks:make_conditioned", "--every", 12, "--out"]
    places, guess = {}, "nothing says the focal length, which this network uses; assumed: 300 pixels"
    for name, options in (("guessed", ()), ("given", ("--focal", 600))):
        code, _, errors = command(*arguments, tmp_path / name, *options)
        assert code == 0, errors
        found = json.loads((tmp_path / name / "settings.json").read_text())["found"]
        assert any(guess in line for line in found) == (name == "guessed")
        with np.load(tmp_path / name / "person_01.npz") as arrays:
            places[name] = arrays["intrinsics"][:, 0, 0], arrays["translation"][:, 2]
            assert (arrays["perspective"] == 1).all()
    assert (places["guessed"][0] == 300).all() and (places["given"][0] == 600).all()
    np.testing.assert_allclose(places["given"][1] / places["guessed"][1], 2, rtol=0.2)  # twice as far away
    view = json.loads((tmp_path / "given" / "settings.json").read_text())["recording"]
    assert view["focal"] == 600 and view["centre"] == [120, 90]
    code, _, errors = command(*arguments, tmp_path / "no", "--focal", 600, "--fov", 50)
    assert code == 2 and "--focal and --fov all state the focal length" in one_line(errors)


def test_the_crops_are_the_networks_own(command: Command, recording_folder: Path, tmp_path: Path) -> None:
    model = ("--model", "foreign_networks:make_dictionary")
    arguments = ("predict", recording_folder, *model, "--out", tmp_path / "seen", "--every", 8)
    assert command(*arguments)[0] == 0
    options = json.loads((tmp_path / "seen" / "settings.json").read_text())["options"]
    assert (options["size"], options["margin"], options["aspect"]) == (48, 0.0, 0.75)
    code, _, errors = command(*arguments, "--overwrite", "--size", 64)
    assert code == 2 and "--size 64: this network's crops have 48 pixels; leave --size out" in one_line(errors)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "fits in the loop needs; give --fits-every 0"),
        (("--fits-every", 0, "--loss", "labels"), "--loss labels needs; use ours"),
        (("--source", "SOURCE", "--fits-every", 0), "--source needs; leave it out"),
        (("--teacher", "yes", "--fits-every", 0), "--teacher yes needs; leave it out"),
    ],
)
def test_what_needs_a_body_model_is_refused(
    options: tuple[object, ...], message: str, command: Command, work: Path, tmp_path: Path
) -> None:
    given = [work / "source" if option == "SOURCE" else option for option in options]
    before = tree(tmp_path)
    if "labels" in options:
        given = [*given[2:]]  # labels have no fits anyway
    code, _, errors = command(*adapt(work, tmp_path / "run", "make_mesh", *given))
    line = one_line(errors)
    assert code == 2 and "predicts vertices without rotations and shape of SMPL's body model" in line
    assert message in line and tree(tmp_path) == before


def test_mirror_images_need_a_body_model(command: Command, work: Path) -> None:
    model = ("--model", "foreign_networks:make_mesh")
    code, _, errors = command("evaluate", work / "target", *model, "--mirror")
    assert code == 2 and "predicts vertices without rotations and shape" in one_line(errors)


def test_crops_of_another_size_are_refused(command: Command, work: Path, tmp_path: Path, monkeypatch) -> None:
    import foreign_networks

    def large() -> torch.nn.Module:
        return foreign_networks.HMR2(foreign_networks.Dictionary())

    monkeypatch.setattr(foreign_networks, "large", large, raising=False)
    code, _, errors = command(*adapt(work, tmp_path / "run", "large"))
    assert code == 2 and "the crops have 48 pixels, and this network's have 256" in one_line(errors)
