from __future__ import annotations

import socket
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from networks import tiny_network

from adaptation.adapting.algorithm1 import adapt
from adaptation.adapting.settings import AdaptSettings
from adaptation.bodies.body import Body
from adaptation.data.samples import Domain
from adaptation.support.errors import UserError
from adaptation.training.pretrain import pretrain
from adaptation.training.settings import PretrainSettings

PRETRAIN = PretrainSettings(steps=3, batch=8, save_every=3)
ADAPT = AdaptSettings(steps=5, batch=4, fit_steps=2, check_every=5, masks="truth", norm="adapt")


def train(rank: int, world: int, port: int, folder: Path) -> None:
    torch.set_num_threads(1)
    if world > 1:
        dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=world)
    source, target = Domain.load(folder / "source"), Domain.load(folder / "target")
    network = tiny_network()
    pretrain(network, source, Body.free(), PRETRAIN, folder / f"pretrain-{world}")
    adapt(network, target, Body.free(), ADAPT, folder / f"adapt-{world}", source=source)
    if world > 1:
        dist.destroy_process_group()


def test_two_processes_give_what_one_gives(source: Domain, target: Domain, tmp_path: Path) -> None:
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


def test_batches_that_cannot_be_shared(monkeypatch: pytest.MonkeyPatch, source: Domain, tmp_path: Path) -> None:
    monkeypatch.setattr("adaptation.training.pretrain.world", lambda: (0, 3))
    with pytest.raises(UserError, match="a batch of 8 cannot be shared by 3 processes"):
        pretrain(tiny_network(), source, Body.free(), PRETRAIN, tmp_path / "run")
