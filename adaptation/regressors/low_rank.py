"""Low-rank updates of linear layers: LoRA (Hu et al., ICLR 2022).

A linear layer of weight W (out, in) becomes ``W + U D``, with D (rank, in) random and U (out, rank) zero at first. Only
the updates train: Adam's states and the files of a run are theirs alone, so that a network of hundreds of millions of
weights fits where its own gradients would not.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.utils import parametrize

from adaptation.support.errors import UserError, reason
from adaptation.support.files import whole_file

_DOWN, _UP = "lora_down", "lora_up"
_PROJECTION = "in_proj_weight"  # of torch's attention, which uses weights without calling a layer
_ABOUT = "low_rank"  # key of the rank in the metadata of files


def add_low_rank(network: nn.Module, rank: int, seed: int = 0) -> None:
    """Add updates of a rank to all linear layers and attention projections of a network, in place.

    Args:
        network: the network; its predictions stay the same.
        rank: rank of the updates.
        seed: seed of their first values.

    Raises:
        UserError: the network has no linear layers, as programs of TorchScript have none that can be reached.
    """
    generator = torch.Generator().manual_seed(seed)
    # Attention uses the weights of its last layer without calling it, as it does with its projection.
    inner = {each.out_proj for each in network.modules() if isinstance(each, nn.MultiheadAttention)}
    found = 0
    for module in list(network.modules()):
        if isinstance(module, nn.MultiheadAttention) and module.in_proj_weight is not None:
            parametrize.register_parametrization(module, _PROJECTION, _Update(module.in_proj_weight, rank, generator))
        elif module in inner and isinstance(module, nn.Linear):
            parametrize.register_parametrization(module, "weight", _Update(module.weight, rank, generator))
        elif isinstance(module, nn.Linear):
            down, up = _first(module.weight, rank, generator)
            module.register_parameter(_DOWN, down)
            module.register_parameter(_UP, up)
            # A function of the module, not of this copy of it: copies of the network keep it.
            module.register_forward_hook(_added)
        else:
            continue
        found += 1
    if not found:
        raise UserError("this network has no linear layers, which --layers lora updates; use all, head or norm")


def is_update(name: str) -> bool:
    """Return whether a weight, by its name, belongs to an update."""
    return name.rpartition(".")[2] in (_DOWN, _UP)


def has_low_rank(network: nn.Module) -> bool:
    """Return whether a network has updates."""
    return any(is_update(name) for name, _ in network.named_parameters())


def merge(network: nn.Module) -> None:
    """Add the updates of a network to its weights and remove them, in place. Its predictions stay the same."""
    for module in list(network.modules()):
        if parametrize.is_parametrized(module):
            for name in (_PROJECTION, "weight"):
                if parametrize.is_parametrized(module, name):
                    parametrize.remove_parametrizations(module, name, leave_parametrized=True)
        elif isinstance(module, nn.Linear) and hasattr(module, _DOWN):
            with torch.no_grad():
                module.weight += _product(module)
            delattr(module, _DOWN)
            delattr(module, _UP)
            for key, hook in list(module._forward_hooks.items()):
                if hook is _added:
                    del module._forward_hooks[key]


def save_difference(network: nn.Module, path: Path) -> None:
    """Write what an adaptation of updates changed: the updates, and the statistics of batch norms (safetensors)."""
    kept = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items() if _kept(name)}
    rank = next(value.shape[0] for name, value in kept.items() if name.endswith(_DOWN))
    with whole_file(path) as file:
        file.write(save(kept, {_ABOUT: json.dumps({"rank": rank})}))


def load_difference(network: nn.Module, path: Path) -> None:
    """Load such a file into the network that it was made of, and merge it, in place.

    Raises:
        UserError: the file is damaged, or belongs to another network.
    """
    try:
        with safe_open(path, "pt") as file:
            about = (file.metadata() or {}).get(_ABOUT)
            kept = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError, RuntimeError, ValueError) as error:
        raise UserError(f"{path} is damaged or truncated: {reason(error)}") from None
    if about is None:
        raise UserError(f"{path} holds no low-rank updates, as topo-adapt adapt --layers lora writes them")
    add_low_rank(network, int(json.loads(about)["rank"]))
    own = {name: value for name, value in network.state_dict().items() if _kept(name)}
    shapes, given = ({name: value.shape for name, value in part.items()} for part in (own, kept))
    if wrong := [name for name in {**own, **kept} if shapes.get(name) != given.get(name)]:
        raise UserError(f"{path} belongs to another network: {wrong[0]} does not fit")
    network.load_state_dict(kept, strict=False)
    merge(network)


def _kept(name: str) -> bool:
    return is_update(name) or name.rpartition(".")[2] in ("running_mean", "running_var", "num_batches_tracked")


class _Update(nn.Module):
    """The update of a weight that is used without calling its layer."""

    def __init__(self, weight: Tensor, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        self.lora_down, self.lora_up = _first(weight, rank, generator)

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.lora_up @ self.lora_down


def _first(weight: Tensor, rank: int, generator: torch.Generator) -> tuple[nn.Parameter, nn.Parameter]:
    rows, columns = weight.shape
    down = torch.randn(rank, columns, generator=generator) / columns**0.5
    return nn.Parameter(down.to(weight)), nn.Parameter(weight.new_zeros(rows, rank))


def _product(module: Any) -> Tensor:
    product: Tensor = module.lora_up @ module.lora_down
    return product


def _added(module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    return output + F.linear(F.linear(inputs[0], module.lora_down), module.lora_up)
