from __future__ import annotations

from pathlib import Path

import pytest
import torch
from foreign_networks import make_dictionary

from adaptation.adapting.settings import AdaptSettings
from adaptation.data.samples import Samples
from adaptation.regressors.low_rank import is_update


def test_an_adaptation_changes_the_updates_alone(target: Samples, adapt, tmp_path: Path) -> None:
    settings = AdaptSettings(steps=4, batch=4, check_every=2, every=0, layers="lora", rank=2, rate=1e-2, replay=0)
    network = make_dictionary()
    before = {name: value.clone() for name, value in network.named_parameters()}
    full = adapt(network, target, settings)
    after = dict(full.named_parameters())
    same = [name for name in before if name in after]
    assert all(torch.equal(after[name], before[name]) and after[name].requires_grad for name in same) and len(same) > 8
    state = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    assert {is_update(name) or "mean" in name for name in state["network"]} == {True}
    assert any(value.any() for name, value in state["network"].items() if name.endswith("lora_up"))


def test_stopped_runs_resume_with_the_same_updates(target: Samples, adapt, tmp_path: Path) -> None:
    settings = AdaptSettings(steps=4, batch=4, check_every=2, every=0, layers="lora", rank=2, rate=1e-2, replay=0)
    adapt(make_dictionary(), target, settings, "whole")

    class StopError(Exception):
        pass

    def stop(steps: int) -> None:
        if done.append(steps) or len(done) == 3:
            raise StopError

    done: list[int] = []
    with pytest.raises(StopError):
        adapt(make_dictionary(), target, settings, "stopped", progress=stop)
    adapt(make_dictionary(), target, settings, "stopped")
    states = [torch.load(tmp_path / name / "state.pt", weights_only=True)["network"] for name in ("whole", "stopped")]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
