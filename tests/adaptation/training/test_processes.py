from __future__ import annotations

import socket
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from networks import tiny_network

from adaptation.adapting.algorithm1 import adapt
from adaptation.adapting.settings import AdaptSettings
from adaptation.bodies.body import Body
from adaptation.data.samples import Samples
from adaptation.support.errors import UserError
from adaptation.training.pretrain import pretrain
from adaptation.training.processes import batch_of
from adaptation.training.runs import Run
from adaptation.training.settings import PretrainSettings

PRETRAIN = PretrainSettings(steps=3, batch=8, save_every=3)
ADAPT = AdaptSettings(steps=5, batch=4, fit_steps=2, check_every=5, masks="truth", norm="target")


def run_of(folder: Path, **settings: AdaptSettings | PretrainSettings) -> Run:
    return Run(folder, {kind: asdict(each) for kind, each in settings.items()})


def train(rank: int, world: int, port: int, folder: Path) -> None:
    torch.set_num_threads(1)
    if world > 1:
        dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=world)
    source, target = Samples.load(folder / "source"), Samples.load(folder / "target")
    network = tiny_network()
    pretrain(network, source, Body.free(), PRETRAIN, run_of(folder / f"pretrain-{world}", pretrain=PRETRAIN))
    adapt(network, target, Body.free(), ADAPT, run_of(folder / f"adapt-{world}", adapt=ADAPT), source=source)
    if world > 1:
        dist.destroy_process_group()


def test_two_processes_give_what_one_gives(source: Samples, target: Samples, tmp_path: Path) -> None:
    source.save(tmp_path / "source", {})
    target.save(tmp_path / "target", {})
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    train(0, 1, port, tmp_path)
    mp.spawn(train, (2, port, tmp_path), nprocs=2)
    for stage in ("pretrain", "adapt"):
        one, two = (torch.load(tmp_path / f"{stage}-{n}" / "state.pt", weights_only=True) for n in (1, 2))
        for name, value in one["network"].items():
            torch.testing.assert_close(two["network"][name], value, rtol=2e-3, atol=2e-4, msg=f"{stage} {name}")


def test_batches_that_cannot_be_shared(monkeypatch: pytest.MonkeyPatch, source: Samples, tmp_path: Path) -> None:
    monkeypatch.setattr("adaptation.training.loop.world", lambda: (0, 3))
    with pytest.raises(UserError, match="a batch of 8 cannot be shared by 3 processes"):
        pretrain(tiny_network(), source, Body.free(), PRETRAIN, run_of(tmp_path / "run", pretrain=PRETRAIN))
    with pytest.raises(UserError, match="a replay of 16 cannot be shared by 3 processes"):
        adapt(tiny_network(), source, Body.free(), replace(ADAPT, batch=6), run_of(tmp_path / "run", adapt=ADAPT))
    assert not (tmp_path / "run").exists()


def test_batches_cover_every_sample_once_an_epoch() -> None:
    seen = torch.cat([batch_of(step, 4, 10, seed=3) for step in range(5)])
    assert sorted(seen[:10].tolist()) == sorted(seen[10:].tolist()) == list(range(10))
    assert torch.equal(batch_of(2, 4, 10, seed=3), seen[8:12])
    assert not torch.equal(batch_of(0, 10, 10, 0), batch_of(0, 10, 10, 1))
