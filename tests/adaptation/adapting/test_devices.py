"""A device is named and checked; what is trained and measured there is what the CPU gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from evidence.detector import DetectorSettings, detect, follow_norms, train_detector
from networks import tiny_network

from adaptation import cli
from adaptation.adapting.algorithm1 import adapt
from adaptation.adapting.settings import AdaptSettings
from adaptation.bodies.body import Body
from adaptation.data.samples import Domain
from adaptation.evaluation.scores import evaluate
from adaptation.synthetic.keypoints import simulated_keypoints
from adaptation.training.pretrain import pretrain
from adaptation.training.settings import PretrainSettings

COMMANDS = {
    "pretrain": ["pretrain", "crops"],
    "adapt": ["adapt", "crops", "--model", "small"],
    "evaluate": ["evaluate", "crops", "--model", "small"],
    "uap": ["uap", "crops", "--model", "small"],
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(
    ("device", "text"), [("toaster", "device must be cpu, cuda or cuda:N"), ("cuda:99", "'cuda:99' cannot be used")]
)
def test_a_device_that_cannot_be_used_is_named(
    name: str,
    device: str,
    text: str,
    target: Domain,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    target.save(Path("crops"), {})
    monkeypatch.setattr("sys.argv", ["topo-adapt", *COMMANDS[name], "--device", device, "--out", "out"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2 and text in capsys.readouterr().err
    assert not Path("out").exists()


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("keypoints", [None, "a1", "a2"])
def test_adapting_on_a_gpu(keypoints: str | None, source: Domain, target: Domain, body: Body, tmp_path: Path) -> None:
    found = simulated_keypoints(target, 1.0, 0.1, torch.Generator())
    settings = AdaptSettings(steps=4, batch=4, replay=4, every=2, fit_steps=2, check_every=2, keypoints=keypoints)
    network = pretrain(
        tiny_network(), source, body, PretrainSettings(steps=4, batch=8), tmp_path / "source", device="cuda"
    )
    network = adapt(
        network, replace(target, keypoints=found), body, settings, tmp_path / "run", source=source, device="cuda"
    )
    scores, expected = (evaluate(network, target, body, device=device).summary() for device in ("cuda", "cpu"))
    assert scores == pytest.approx(expected, rel=1e-2)  # convolutions of TF32


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_detecting_on_a_gpu(source: Domain, target: Domain) -> None:
    detector = follow_norms(train_detector(source, DetectorSettings(steps=2, batch=8), "cuda"), target, "cuda")
    places, expected = (detect(detector, target, least=0.0, device=device) for device in ("cuda", "cpu"))
    assert np.abs(places - expected).mean() < 0.5
