"""Checkpoints of public projects: their weights are read, and nothing in them is executed."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from adaptation.support.errors import UserError
from adaptation.support.reading.torch_files import read_state_dict


def load_weights(network: nn.Module, checkpoint: Path, optional: Sequence[str] = ()) -> None:
    """Load a checkpoint's weights into a public project's network, in place.

    Args:
        network: the network, built by its project.
        checkpoint: file of torch.save, of Lightning or with the weights alone.
        optional: beginnings of the names of weights that a checkpoint may lack, such as those of a body model.

    Raises:
        UserError: the file cannot be read, or lacks weights of the network, or they have other shapes.
    """
    weights, own = read_state_dict(checkpoint), network.state_dict()
    needed = [name for name in own if not name.startswith(tuple(optional)) and not name.endswith("num_batches_tracked")]
    if missing := [name for name in needed if name not in weights]:
        raise UserError(
            f"{checkpoint} does not fit {type(network).__name__}: it lacks {missing[0]}"
            + (f" and {len(missing) - 1} more" if len(missing) > 1 else "")
        )
    fitting: dict[str, Tensor] = {name: value for name, value in weights.items() if name in own}
    for name, value in fitting.items():
        if value.shape != own[name].shape:
            raise UserError(
                f"{checkpoint} does not fit {type(network).__name__}: {name} has shape {tuple(value.shape)}, expected "
                f"{tuple(own[name].shape)}"
            )
    network.load_state_dict(fitting, strict=False)


def public_module(name: str, project: str) -> Any:
    """Import a module of a public project.

    Args:
        name: name of the module.
        project: where the project is published, for the message.

    Raises:
        UserError: it is not installed, or one of the packages that it needs is missing.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(f"{name} cannot be imported ({error}); install {project} in this environment") from None
