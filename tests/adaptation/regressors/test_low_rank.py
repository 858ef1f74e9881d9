from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from foreign_networks import make_dictionary, make_program
from networks import tiny_network
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from adaptation.adapting.settings import layers_of
from adaptation.regressors.base import own_network
from adaptation.regressors.files import load_network
from adaptation.regressors.low_rank import (
    add_low_rank,
    has_low_rank,
    is_update,
    load_difference,
    merge,
    save_difference,
)
from adaptation.support.errors import UserError


def numbers(network: nn.Module) -> Tensor:
    network.eval()
    bodies = network(torch.rand(3, 3, 48, 48, generator=torch.Generator().manual_seed(0))).bodies
    return torch.cat([bodies.rotations.flatten(1), bodies.betas], dim=1)


def changed(network: nn.Module) -> nn.Module:
    """The network with updates that are not zero."""
    add_low_rank(own_network(network), 2)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if is_update(name):
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(len(name))))
    return network


@pytest.mark.parametrize("make", [make_dictionary, tiny_network])
def test_updates_change_nothing_at_first_and_are_merged(make, tmp_path: Path) -> None:
    network = make()
    before = numbers(network)
    names = network.state_dict().keys()
    add_low_rank(own_network(network), 2)
    torch.testing.assert_close(numbers(network), before, atol=1e-6, rtol=0)
    merge(own_network(network))
    assert network.state_dict().keys() == names and not has_low_rank(network)
    trained = changed(make())
    after = numbers(trained)
    assert (after - before).abs().max() > 1e-2
    torch.testing.assert_close(numbers(copy.deepcopy(trained)), after)  # copies of a network have their own updates
    save_difference(own_network(trained), tmp_path / "difference.safetensors")
    merge(own_network(trained))
    torch.testing.assert_close(numbers(trained), after, atol=1e-5, rtol=0)
    again = make()
    load_difference(own_network(again), tmp_path / "difference.safetensors")
    torch.testing.assert_close(numbers(again), after, atol=1e-5, rtol=0)
    assert not has_low_rank(again) and again.state_dict().keys() == names


def test_attention_and_layers_are_updated() -> None:
    network = changed(make_dictionary())
    loss = numbers(network).square().sum()
    updates = {name: value for name, value in network.named_parameters() if is_update(name)}
    assert len(updates) == 2 * 6  # embedding, head, two layers, and two projections of the attention
    assert all(grad.abs().sum() > 0 for grad in torch.autograd.grad(loss, list(updates.values())))


def test_files_of_other_networks_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "difference.safetensors"
    save_difference(changed(tiny_network()), path)
    with pytest.raises(UserError, match="belongs to another network: "):
        load_difference(own_network(make_dictionary()), path)
    save_file(load_file(path), path)
    with pytest.raises(UserError, match="holds no low-rank updates"):
        load_difference(tiny_network(), path)
    path.write_bytes(b"nothing")
    with pytest.raises(UserError, match="is damaged or truncated"):
        load_difference(tiny_network(), path)
    with pytest.raises(UserError, match="no linear layers, which --layers lora updates"):
        add_low_rank(own_network(make_program()), 4)


def test_a_network_of_a_file_gets_its_format_back(tmp_path: Path) -> None:
    loaded = load_network("small")
    add_low_rank(loaded.network, 1)
    loaded.save(tmp_path / "adapted.safetensors")
    again = load_network(str(tmp_path / "adapted.safetensors"))
    assert again.network.state_dict().keys() == load_network("small").network.state_dict().keys()


@pytest.mark.parametrize(("text", "expected"), [("all", ("all", 8)), ("lora", ("lora", 8)), ("lora:16", ("lora", 16))])
def test_names_of_layers(text: str, expected: tuple[str, int]) -> None:
    assert tuple(layers_of(text).values()) == expected


@pytest.mark.parametrize("text", ["lora:", "lora:0", "lora:x", "norm:3", "body", "lora:-1"])
def test_other_names_of_layers_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="--layers must be one of all, head, norm, lora, or lora:RANK, got"):
        layers_of(text)
