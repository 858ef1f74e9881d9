"""Files of regressors. Nothing in a file is executed; weights are written in the format that they were read from."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from adaptation.priors.latent import LATENT, LatentPosePrior
from adaptation.regressors.hmr import ROTATION_NUMBERS, Regressor
from adaptation.support.errors import UserError, reason
from adaptation.support.files import whole_file

SHIPPED = {"small": Path(__file__).parents[1] / "assets" / "source_small.safetensors"}
"""Files of the regressors that come with the package, by name."""
_PRIOR = "prior."  # prefix of the pose prior's weights in a regressor's file
_PARALLEL = "module."  # prefix of the weights of a network that torch.nn.DataParallel wraps
_INNER = ("model", "state_dict")  # keys under which checkpoints of SPIN and others keep the weights


@dataclass(frozen=True, eq=False)
class LoadedNetwork:
    """A `MeshNetwork` and the format of its file.

    Attributes:
        network: the network.
        suffix: suffix of the file that it was read from.
        around: the other contents of that file.
        inner: key of the weights in the file; None if they are at the top level.
        prefix: prefix of the names of the weights: "module." if they come from DataParallel.
    """

    network: nn.Module
    suffix: str
    around: Mapping[str, Any]
    inner: str | None
    prefix: str = ""

    def save(self, path: Path) -> None:
        """Write the network's present weights in the format of the file that it was read from."""
        weights = {f"{self.prefix}{name}": value for name, value in weights_of(self.network).items()}
        with whole_file(path) as file:
            if self.suffix == ".safetensors":
                file.write(save(weights))
            else:
                torch.save({**self.around, **(weights if self.inner is None else {self.inner: weights})}, file)


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    """Return a network's state dict on the CPU, with the weights of its pose prior if it has a latent."""
    inner = getattr(network, "network", network)  # the user's own network, if `wrap` or `Mirrored` holds it
    # Contiguous, because training leaves weights channels-last, which safetensors cannot store.
    weights = {name: value.detach().cpu().contiguous() for name, value in inner.state_dict().items()}
    # The decoder is not part of the network's state dict, but without it the latent has no meaning.
    prior = network.decoder if isinstance(network, Regressor) else None
    if isinstance(prior, LatentPosePrior):
        weights |= {f"{_PRIOR}{name}": value.cpu().contiguous() for name, value in prior.state_dict().items()}
    return weights


def load_network(spec: str) -> LoadedNetwork:
    """Load a regressor from a file, or build it with ``package.module:function``.

    Args:
        spec: "small", the source model that comes with the package; a .safetensors, .pt, .pth or .tar file with
            SPIN's keys, of any width and depth; or a function without arguments that returns a `MeshNetwork` (see
            `adaptation.regressors.base.wrap`), imported from the Python path or the current folder.

    Raises:
        UserError: the file is missing, damaged, or not a regressor; the message says why.
    """
    if re.fullmatch(r"[\w.]+:\w+", spec):
        return LoadedNetwork(_call(spec), ".pt", {}, None)
    path = SHIPPED.get(spec, Path(spec))
    whole = _read(path)
    inner = next((key for key in _INNER if isinstance(whole.get(key), Mapping)), None)
    found = whole if inner is None else whole[inner]
    # Checkpoints also hold optimisers, counters and names; only tensors are weights.
    weights = {name: value for name, value in found.items() if isinstance(name, str) and isinstance(value, Tensor)}
    prefix = _PARALLEL if weights and all(name.startswith(_PARALLEL) for name in weights) else ""
    weights = {name.removeprefix(prefix): value for name, value in weights.items()}
    # What is not a weight goes back into the file on `save`.
    around = whole if inner else {name: value for name, value in whole.items() if not isinstance(value, Tensor)}
    return LoadedNetwork(_build(weights, path), path.suffix, around, inner, prefix)


def load_imagenet(network: Regressor, path: Path) -> None:
    """Load ImageNet weights with torchvision's keys into a regressor's ResNet.

    Raises:
        UserError: the weights do not fit the network.
    """
    weights = {name: value for name, value in _read(path).items() if not name.startswith("fc.")}
    own = {name: value for name, value in network.state_dict().items() if name.startswith(("conv1", "bn1", "layer"))}
    # Checked by hand, because load_state_dict without `strict` ignores missing weights silently.
    wrong = [n for n, v in own.items() if n not in weights or weights[n].shape != v.shape]
    if wrong:
        raise UserError(f"{path} does not fit the network: {wrong[0]} and {len(wrong) - 1} more are missing or differ")
    network.load_state_dict(weights, strict=False)


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        # A pickle may name code to run: with weights_only, torch refuses all but tensors and plain values.
        whole = torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"no such file: {path}") from None
    except SafetensorError as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    except Exception as error:  # torch.load raises many kinds of error
        raise UserError(f"{path} cannot be read as plain weights: {reason(error)}") from None
    if not isinstance(whole, dict):
        raise UserError(f"{path} holds a {type(whole).__name__}, not weights")
    return whole


def _build(weights: Mapping[str, Any], path: Path) -> nn.Module:
    """Build the network that weights belong to, and load them."""
    network = _empty_network(weights, path)
    # A nan would only show as bodies that cannot be drawn.
    for name, value in weights.items():
        if not torch.isfinite(value).all():
            raise UserError(f"{path}: {name} holds numbers that are not finite")
    # Files may hold float16, to be small; the network computes in float32, as it was trained.
    weights = {name: value.float() if value.is_floating_point() else value for name, value in weights.items()}
    own = {name: value for name, value in weights.items() if not name.startswith(_PRIOR)}
    try:
        network.load_state_dict(own)
    except RuntimeError as error:
        raise UserError(f"{path} does not fit: {' '.join(str(error).split())[:200]}") from None
    return network.eval()


def _empty_network(weights: Mapping[str, Any], path: Path) -> Regressor:
    """Build a network of the right kind and size. The shapes of SPIN's weights give width and depth."""
    try:
        width, hidden = weights["conv1.weight"].shape[0], weights["fc1.weight"].shape[0]
        numbers = weights["decpose.weight"].shape[0]
    except (KeyError, IndexError):
        raise UserError(f"{path} is not a regressor with SPIN's keys (conv1, layer1, ..., fc1, decpose)") from None
    # Weights are named layer<stage>.<block>.…: the highest block of each stage gives its depth.
    blocks = [
        1 + max((int(m[1]) for name in weights if (m := re.match(rf"layer{stage}\.(\d+)\.", name))), default=-1)
        for stage in (1, 2, 3, 4)
    ]
    prior = None
    if numbers == LATENT + 6:
        prior = _prior(weights, path)
    elif numbers != ROTATION_NUMBERS:
        raise UserError(
            f"{path}: decpose must give {ROTATION_NUMBERS} numbers (rotations) or {LATENT + 6} (latent), got {numbers}"
        )
    return Regressor(blocks, width, hidden, prior, heatmaps="joints.maps.weight" in weights)


def _prior(weights: Mapping[str, Any], path: Path) -> LatentPosePrior:
    own = {name.removeprefix(_PRIOR): value for name, value in weights.items() if name.startswith(_PRIOR)}
    try:
        prior = LatentPosePrior(own["encoder.0.weight"].shape[0])
        prior.load_state_dict(own)
    except (KeyError, RuntimeError):
        raise UserError(f"{path} has a latent but not the pose prior that decodes it") from None
    return prior.frozen()


def _call(spec: str) -> nn.Module:
    module, _, function = spec.partition(":")
    sys.path.insert(0, "")  # the current folder, which installed commands do not search
    try:
        network = getattr(importlib.import_module(module), function)()
    except (ImportError, AttributeError, TypeError) as error:
        raise UserError(f"{spec}: {error}") from None
    finally:
        sys.path.remove("")
    if not isinstance(network, nn.Module):
        raise UserError(f"{spec} must return a torch.nn.Module, got {type(network).__name__}")
    return network.eval()
