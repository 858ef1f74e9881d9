"""A device is named and checked; what is trained and measured there is what the CPU gives."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import tiny_network

from adaptation import cli
from adaptation.adapting.algorithm1 import adapt
from adaptation.adapting.settings import AdaptSettings
from adaptation.bodies.body import Body
from adaptation.data.samples import Samples
from adaptation.evaluation.scores import evaluate
from adaptation.synthetic.keypoints import simulated_keypoints
from adaptation.training.pretrain import pretrain
from adaptation.training.runs import Run
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
    target: Samples,
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
def test_adapting_on_a_gpu(keypoints: str | None, source: Samples, target: Samples, body: Body, tmp_path: Path) -> None:
    found = simulated_keypoints(target, body, 1.0, 0.1, torch.Generator())
    every = 0 if keypoints == "a1" else 2
    settings = AdaptSettings(steps=4, batch=4, replay=4, every=every, fit_steps=2, check_every=2, keypoints=keypoints)
    training = PretrainSettings(steps=4, batch=8)
    first = Run(tmp_path / "source", {"pretrain": asdict(training)})
    network = pretrain(tiny_network(), source, body, training, first, device="cuda")
    crops, run = replace(target, keypoints=found), Run(tmp_path / "run", {"adapt": asdict(settings)})
    network = adapt(network, crops, body.to("cuda"), settings, run, source=source)
    scores, expected = (evaluate(network, target, body, device=device).summary() for device in ("cuda", "cpu"))
    assert scores == pytest.approx(expected, rel=1e-2)  # convolutions of TF32


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_detecting_on_a_gpu(source: Samples, target: Samples) -> None:
    from evidence.detector import DetectorSettings, detect, follow_norms, train_detector

    detector = follow_norms(train_detector(source, DetectorSettings(steps=2, batch=8), "cuda"), target, "cuda")
    places, expected = (detect(detector, target, least=0.0, device=device) for device in ("cuda", "cpu"))
    assert np.abs(places - expected).mean() < 0.5
