from __future__ import annotations

import json
from pathlib import Path

from command_line import Command


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
