"""Masks from elsewhere are used as they are meant, and reports say how they were read."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from command_line import Command, one_line
from PIL import Image

from adaptation.synthetic.hall import ClipSettings, render_clip, write_clip

DAVIS = [0, 0, 0, 128, 0, 0, 0, 128, 0]
CODING = "masks: palette PNG with indices 0, 1, 2; each but 0 is a person"
NUMBERS = "masks: numbers 1 to 40 are taken in order as frames 0 to 39"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rendered clip with masks as DAVIS stores them, counted from 1, and the same masks of a file per person."""
    folder = tmp_path_factory.mktemp("clip")
    made = render_clip(ClipSettings(width=240, height=180, frames=40, rate=5.0))
    write_clip(made, folder)
    for name in ("davis", "apart"):
        (folder / name).mkdir()
    for number in range(40):
        ids = np.zeros(made.images.shape[1:3], np.uint8)
        for person in (0, 1):
            ids[made.visible[person, number]] = person + 1
            mask = np.where(made.visible[person, number], 255, 0).astype(np.uint8)
            Image.fromarray(mask).save(folder / "apart" / f"{number:04d}_{person + 1}.png")
        image = Image.frombytes("P", (240, 180), ids.tobytes())
        image.putpalette(DAVIS)
        image.save(folder / "davis" / f"mask_{number + 1:04d}.png")
    return folder


def listed(page: Path) -> list[str]:
    """Return what a page says on how inputs were read."""
    part = re.search("How the inputs were read(.*?)</section>", page.read_text("utf-8"), re.DOTALL)
    return re.findall("<li>(.*?)</li>", part[1]) if part else []


def test_fits_to_a_palette_are_those_to_a_file_per_person(command: Command, clip: Path, tmp_path: Path) -> None:
    fit = ["fit", clip / "frames", "--frames", "20,25", "--size", 48, "--steps", 5, "--per-frame"]
    for name in ("davis", "apart"):
        code, output, errors = command(*fit, "--masks", clip / name, "--out", tmp_path / name)
        assert code == 0 and "2 people" in output, errors
        found = listed(tmp_path / name / "report.html")
        assert found == json.loads((tmp_path / name / "settings.json").read_text())["found"]
        assert [line.removeprefix("found: ") for line in errors.splitlines() if line.startswith("found: ")] == found
        assert (NUMBERS in found and CODING in found) if name == "davis" else "each is one person" in found[0]
    one, two = (np.load(tmp_path / name / "person_01.npz") for name in ("davis", "apart"))
    assert all(np.array_equal(one[key], two[key]) for key in one)
    code, _, errors = command(*fit, "--masks", clip / "frames", "--out", tmp_path / "wrong")
    assert code == 2 and "looks like a picture, not a mask" in one_line(errors) and not (tmp_path / "wrong").exists()


def test_predictions_and_adaptations_say_how_masks_were_read(command: Command, clip: Path, tmp_path: Path) -> None:
    options = ["--masks", clip / "davis", "--size", 48, "--every", 6]
    predict = ["predict", clip / "frames", "--model", "small", "--out", tmp_path / "predicted", *options]
    assert command(*predict)[0] == 0
    assert CODING in listed(tmp_path / "predicted" / "report.html")
    adapt = [
        "adapt",
        clip / "frames",
        "--model",
        "small",
        "--out",
        tmp_path / "run",
        "--preset",
        "tiny",
        *options,
        "--steps",
        2,
    ]
    for _ in range(2):  # the second time, a finished run is resumed
        code, _, errors = command(*adapt)
        assert code == 0, errors
        for page in ("report/index.html", "bodies/report.html"):
            assert listed(tmp_path / "run" / page) == [NUMBERS, CODING]
        assert "from given masks" in (tmp_path / "run" / "report" / "index.html").read_text("utf-8")
        assert json.loads((tmp_path / "run" / "report" / "settings.json").read_text())["found"] == [NUMBERS, CODING]
