from __future__ import annotations

from pathlib import Path

import pytest
import torch
from networks import tiny_network
from torch import Tensor, nn

from adaptation.data.samples import Samples
from adaptation.support.errors import UserError
from adaptation.training.settings import UapSettings
from adaptation.training.uap import craft, load_perturbation, save_perturbation


def test_perturbations_stay_within_their_strength(source: Samples, tmp_path: Path) -> None:
    network = tiny_network()
    delta = craft(network, source, UapSettings(strength=8, steps=6, batch=4))
    assert delta.shape == (3, 48, 48) and delta.abs().max() <= 8 / 255 + 1e-7

    def size(change: Tensor) -> float:
        total = []
        hooks = [
            m.register_forward_hook(lambda _m, _i, out: total.append(out.square().mean().log()))
            for m in network.modules()
            if isinstance(m, nn.Conv2d)
        ]
        network((source.image_batch(slice(None)) + change).clamp(0, 1))
        for hook in hooks:
            hook.remove()
        return float(torch.stack(total).sum())

    start = craft(network, source, UapSettings(strength=8, steps=0, batch=4))
    stronger = craft(network, source, UapSettings(strength=8, steps=40, batch=8, rate=1.0))
    assert size(stronger) > size(start)
    save_perturbation(tmp_path / "d.npy", delta)
    assert load_perturbation(tmp_path / "d.npy", 48, 16).abs().max() == pytest.approx(16 / 255)
    with pytest.raises(UserError, match="expected a perturbation"):
        load_perturbation(tmp_path / "d.npy", 64, 16)
