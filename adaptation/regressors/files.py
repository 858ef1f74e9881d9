"""Files of regressors. Nothing in a file is executed; weights are written in the format that they were read from."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from adaptation.priors.latent import LATENT, LatentPosePrior
from adaptation.regressors.base import IgnoresView, own_network
from adaptation.regressors.hmr import ROTATION_NUMBERS, Regressor
from adaptation.regressors.low_rank import has_low_rank, load_difference, merge, save_difference
from adaptation.regressors.weight_files import OTHER_NETWORKS, Part, WeightFile, read_weights
from adaptation.support.errors import UserError, reason
from adaptation.support.files import whole_file
from adaptation.support.reading.array_files import read_arrays
from adaptation.support.reading.findings import found
from adaptation.support.reading.torch_files import read_torch

SHIPPED = {"small": Path(__file__).parents[1] / "assets" / "source_small.safetensors"}
"""Files of the regressors that come with the package, by name."""
_PRIOR = "prior."  # prefix of the pose prior's weights in a regressor's file
_RESNET = Part("layer1.0.conv1.weight", re.compile(r"(conv1|bn1|layer\d+)\."))
_HEAD = Part(
    "decpose.weight", re.compile(r"(fc1|fc2|decpose|decshape|deccam|init_pose|init_shape|init_cam|joints|prior)(\.|$)")
)
_SPIN = "SPIN's network (conv1, layer1, ..., fc1, decpose)"
_MEANS = {"init_pose": "pose", "init_shape": "shape", "init_cam": "cam"}
"""SPIN's mean estimate, and its keys in ``smpl_mean_params.npz``, which comes with SPIN."""


@dataclass(frozen=True, eq=False)
class LoadedNetwork:
    """A `MeshNetwork` and the format of its file.

    Attributes:
        network: the network.
        suffix: suffix of the file that it was read from.
        file: that file; None if the network does not come from one.
    """

    network: nn.Module
    suffix: str
    file: WeightFile | None = None

    def save(self, path: Path) -> None:
        """Write the network's present weights in the format of the file that it was read from.

        Low-rank updates are written alone, unless the network came from a file, into whose weights they are merged.
        """
        if has_low_rank(self.network):
            if self.file is None:
                save_difference(own_network(self.network), path)
                return
            merge(own_network(self.network))
        weights = weights_of(self.network)
        with whole_file(path) as file:
            if self.file is not None:
                self.file.write(file, weights)
            elif self.suffix == ".safetensors":
                file.write(save(weights))
            else:
                torch.save(weights, file)


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    """Return a network's state dict on the CPU, with the weights of its pose prior if it has a latent."""
    inner = own_network(network)
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
        spec: "small", the source model that comes with the package; a safetensors file or a file of torch.save with
            SPIN's keys, of any width and depth, under any outer keys and prefixes; or a function without arguments that
            returns a `MeshNetwork` (see `adaptation.regressors.base.wrap`), imported from the Python path or the
            current folder. ``package.module:function@file`` loads the weights of a run of that network.

    Raises:
        UserError: the file is missing, damaged, or not a regressor; the message says why.
    """
    if own := re.fullmatch(r"([\w.]+:\w+)(?:@(.+))?", spec):
        network = _call(own[1])
        if own[2] is not None:
            load_run(network, Path(own[2]))
        return LoadedNetwork(network, ".pt")
    path = SHIPPED.get(spec, Path(spec))
    file = read_weights(path, (_RESNET, _HEAD), _SPIN)
    if left := file.others:
        found(f"{path}: weights that are not of SPIN's network are left as they are: {_listed(left)}")
    network, file = _build(file, path)
    return LoadedNetwork(network, path.suffix, file)


def load_run(network: nn.Module, path: Path) -> None:
    """Load the weights that a run wrote for a user's own network, in place.

    Raises:
        UserError: the file is none of such a run, or the weights do not fit the network.
    """
    inner = own_network(network)
    if path.suffix == ".safetensors":
        load_difference(inner, path)
        return
    weights = read_torch(path)
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise UserError(
            f"{path} does not hold weights alone, as topo-adapt adapt writes them for networks of one's own"
        )
    _check(weights, inner.state_dict(), path)
    inner.load_state_dict(weights)


def load_imagenet(network: Regressor, path: Path) -> None:
    """Load ImageNet weights with torchvision's keys into a regressor's ResNet.

    Raises:
        UserError: the weights do not fit the network.
    """
    weights = read_weights(path, (_RESNET,), "torchvision's ResNet (conv1, bn1, layer1, ...)").weights
    own = {name: value for name, value in network.state_dict().items() if _RESNET.names.match(name)}
    _check(weights, own, path)
    network.load_state_dict(weights, strict=False)


def _build(file: WeightFile, path: Path) -> tuple[Regressor, WeightFile]:
    """Build the network that weights belong to, and load them. Return the file with what had to be added to it."""
    weights = file.weights
    # Without memory: a damaged file may claim any size.
    with torch.device("meta"):
        expected = _empty_network(weights, path).state_dict()
    own = {name: value for name, value in weights.items() if not name.startswith(_PRIOR)}
    means = _means(own, path)
    _check({**own, **means}, expected, path, optional=tuple(_MEANS))
    network = _empty_network(weights, path)
    # Files may hold float16, to be small; the network computes in float32, as it was trained. SPIN's mean estimate has
    # one dimension in some files.
    loaded = {n: v.float() if v.is_floating_point() else v for n, v in {**own, **means}.items()}
    network.load_state_dict({n: v.reshape(expected[n].shape) for n, v in loaded.items()}, strict=False)
    # What came from another file is written into this one, where the network would otherwise not find it again.
    added = {name: file.prefix(_HEAD) + name for name in means}
    return network.eval(), replace(file, names={**file.names, **added})


def _check(
    weights: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: Path, optional: tuple[str, ...] = ()
) -> None:
    """Check the names, shapes and values of a network's weights.

    Raises:
        UserError: they do not fit; a counter of batches, and optional weights, may be missing.
    """
    needed = [name for name in expected if not name.endswith("num_batches_tracked") and name not in optional]
    if missing := [name for name in needed if name not in weights]:
        raise UserError(f"{path} does not fit: it lacks {_listed(missing)}")
    if unknown := [name for name in weights if name not in expected]:
        raise UserError(
            f"{path} does not fit: it holds {_listed(unknown)}, for which the network has no place; {OTHER_NETWORKS}"
        )
    for name, value in weights.items():
        if _without_ones(value.shape) != _without_ones(expected[name].shape):
            raise UserError(
                f"{path} does not fit: {name} has shape {tuple(value.shape)}, expected {tuple(expected[name].shape)}; "
                f"{OTHER_NETWORKS}"
            )
        if value.layout != torch.strided or value.is_quantized or value.is_complex() or value.is_meta:
            raise UserError(
                f"{path}: {name} is not a plain tensor; save the weights before they are quantised or pruned"
            )
        # A nan would only show as bodies that cannot be drawn.
        if not torch.isfinite(value.float()).all():
            raise UserError(f"{path}: {name} holds numbers that are not finite")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return ", ".join(name[:100] for name in names[:2]) + more


def _without_ones(shape: torch.Size) -> list[int]:
    return [size for size in shape if size != 1]


def _means(own: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Return the parts of SPIN's mean estimate that a file lacks, if SPIN's file of them lies beside it."""
    missing = [name for name in _MEANS if name not in own]
    if not missing:
        return {}
    beside = path.parent / "smpl_mean_params.npz"
    if not beside.exists():
        found(
            f"{path}: no {', '.join(missing)} (SPIN's mean estimate); an upright body takes their place; "
            f"if the network was trained with SPIN's {beside.name}, put that file beside it"
        )
        return {}
    arrays = read_arrays(beside, tuple(_MEANS.values()))
    for name in missing:
        if _MEANS[name] not in arrays or arrays[_MEANS[name]].dtype.kind != "f":
            raise UserError(f"{beside}: expected SPIN's mean estimate (pose, shape, cam), got {', '.join(arrays)}")
    found(f"{path}: {', '.join(missing)} (SPIN's mean estimate) are taken from {beside.name} beside it")
    return {name: torch.from_numpy(arrays[_MEANS[name]]) for name in missing}


def _empty_network(weights: Mapping[str, Tensor], path: Path) -> Regressor:
    """Build a network of the right kind and size. The shapes of SPIN's weights give width and depth."""
    try:
        width, hidden = weights["conv1.weight"].shape[0], weights["fc1.weight"].shape[0]
        numbers = weights["decpose.weight"].shape[0]
    except (KeyError, IndexError):
        raise UserError(f"{path} does not hold the weights of {_SPIN}: conv1, fc1 or decpose is missing") from None
    if "layer1.0.conv3.weight" not in weights:
        raise UserError(f"{path} holds a ResNet of basic blocks (18 or 34); expected bottlenecks; {OTHER_NETWORKS}")
    prior = None
    if numbers == LATENT + 6:
        prior = _prior(weights, path)
    elif numbers != ROTATION_NUMBERS:
        raise UserError(
            f"{path}: decpose must give {ROTATION_NUMBERS} numbers (rotations) or {LATENT + 6} (latent), "
            f"got {numbers}; {OTHER_NETWORKS}"
        )
    try:
        return Regressor(_depths(weights), width, hidden, prior, heatmaps="joints.maps.weight" in weights)
    except (RuntimeError, ValueError, TypeError, ZeroDivisionError) as error:
        raise UserError(f"{path}: there is no network of the sizes in it ({reason(error)})") from None


def _depths(weights: Mapping[str, Tensor]) -> list[int]:
    """Return the number of blocks in each of the ResNet's four stages, from the names layer<stage>.<block>.*."""
    places = [re.match(r"layer([1-4])\.(\d+)\.", name) for name in weights]
    # Counted: the highest number in a damaged file may be any.
    return [len({place[2] for place in places if place and place[1] == stage}) for stage in "1234"]


def _prior(weights: Mapping[str, Tensor], path: Path) -> LatentPosePrior:
    own = {name.removeprefix(_PRIOR): value for name, value in weights.items() if name.startswith(_PRIOR)}
    if "encoder.0.weight" not in own:
        raise UserError(f"{path} has a latent but not the pose prior that decodes it")
    hidden = own["encoder.0.weight"].shape[0]
    with torch.device("meta"):
        _check(own, LatentPosePrior(hidden).state_dict(), path)
    prior = LatentPosePrior(hidden)
    if not prior.mean.is_meta:
        prior.load_state_dict({name: value.float() for name, value in own.items()})
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
    return (network if _takes_view(network) else IgnoresView(network)).eval()


def _takes_view(network: nn.Module) -> bool:
    """Return whether a network can be called with images and their view."""
    try:
        inspect.signature(network.forward).bind(None, None)
    except (TypeError, ValueError):  # it takes one argument, or has no signature, as programs of TorchScript
        return False
    return True
