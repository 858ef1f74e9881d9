"""Shape coefficients mean nothing to another body model: labels of one are refused wherever they would be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command_line import Command, adapting, one_line, tree

from adaptation.data.samples import Samples

OTHER = "the labels belong to the body model 'smpl-abc', not to 'free'"


@pytest.fixture
def foreign(target: Samples, tmp_path: Path) -> Path:
    """Crops whose labels are of another body model."""
    folder = tmp_path / "foreign"
    target.save(folder, {})
    with np.load(folder / "labels.npz") as data:
        labels = {**data, "body": np.array("smpl-abc")}
    np.savez(folder / "labels.npz", **labels)
    return folder


@pytest.mark.parametrize(
    "arguments",
    [
        ["evaluate", "{crops}", "--model", "{model}", "--out", "{out}"],
        ["pretrain", "{crops}", "--preset", "tiny", "--out", "{out}"],
        ["keypoints", "{crops}", "--simulate"],
        ["adapt", "{target}", "--model", "{model}", "--preset", "tiny", "--source", "{crops}", "--out", "{out}"],
        ["adapt", "{target}", "--model", "{model}", "--preset", "tiny", "--test", "{crops}", "--out", "{out}"],
        ["adapt", "{crops}", "--model", "{model}", "--preset", "tiny", "--loss", "labels", "--out", "{out}"],
        ["adapt", "{crops}", "--model", "{model}", "--preset", "tiny", "--out", "{out}"],
    ],
    ids=["evaluate", "pretrain", "keypoints", "adapt --source", "adapt --test", "adapt --loss labels", "adapt"],
)
def test_they_are_refused_before_anything_is_written(
    arguments: list[str], foreign: Path, command: Command, work: Path, tmp_path: Path
) -> None:
    places = {
        "crops": foreign,
        "target": work / "target",
        "model": work / "run" / "model.safetensors",
        "out": tmp_path / "out",
    }
    before = tree(tmp_path)
    code, output, errors = command(*(argument.format(**places) for argument in arguments))
    assert code == 2 and output == ""
    assert OTHER in one_line(errors)
    assert tree(tmp_path) == before


def test_the_option_is_named(foreign: Path, command: Command, work: Path, tmp_path: Path) -> None:
    for option in ("--source", "--test"):
        _, _, errors = command(*adapting(work, tmp_path / "out"), option, foreign)
        assert one_line(errors).startswith(f"{option} {foreign}: ")


def test_crops_without_labels_are_of_no_body(foreign: Path, command: Command, work: Path, tmp_path: Path) -> None:
    """A set that names another body model but has no shape coefficients can be adapted to."""
    with np.load(foreign / "labels.npz") as data:
        labels = {name: data[name] for name in data if name not in ("pose", "betas", "camera")}
    np.savez(foreign / "labels.npz", **labels)
    arguments = adapting(work, tmp_path / "out")
    arguments[1] = foreign
    code, _, errors = command(*arguments, "--steps", 1)
    assert code == 0, errors
