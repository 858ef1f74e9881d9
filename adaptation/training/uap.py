"""Universal adversarial perturbations: one small image that misleads a network when it is added to any input.

GD-UAP (Mopuri et al., TPAMI 2019) in its form for regression: the perturbation maximises the activations of all
convolutions, independently of the task. Craft it on a network other than the one it is tested on.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from adaptation.data.samples import Samples
from adaptation.support.errors import UserError
from adaptation.support.files import whole_file
from adaptation.support.reading.array_files import read_arrays
from adaptation.training.loop import PlainProgram, Report, Schedule, train
from adaptation.training.processes import batch_of
from adaptation.training.settings import UapSettings


def craft(
    network: nn.Module, samples: Samples, settings: UapSettings, *, device: str = "cpu", progress: Report | None = None
) -> Tensor:
    """Craft a perturbation.

    Args:
        network: any network on crops (B, 3, S, S); its weights are frozen.
        samples: crops of S x S pixels.
        settings: settings of the perturbation.
        device: device to compute on.
        progress: callback that is given the number of steps done since the last call.

    Returns:
        (3, S, S), to be added to images in [0, 1].

    Raises:
        UserError: the network has no convolutions.
    """
    program = _Crafting(network.to(device).eval().requires_grad_(False), samples, settings, device)
    try:
        train(program, Schedule(settings.steps, settings.rate / 255, decay=False), progress=progress)
    finally:
        # The hooks would otherwise stay on the caller's network.
        program.close()
    return program.delta.detach().cpu()


class _Crafting(PlainProgram):
    """Maximises the mean squared activations of all convolutions by one perturbation for all images."""

    def __init__(self, network: nn.Module, samples: Samples, settings: UapSettings, device: str) -> None:
        self.network, self._samples, self._settings, self._device = network, samples, settings, device
        self._activations: list[Tensor] = []
        self._hooks = [
            module.register_forward_hook(lambda _m, _input, output: self._activations.append(output.square().mean()))
            for module in network.modules()
            if isinstance(module, nn.Conv2d)
        ]
        if not self._hooks:
            raise UserError("this network has no convolutions, which the perturbation acts on")
        # Settings are in 255ths, as in GD-UAP; images are in [0, 1].
        self._limit = settings.strength / 255
        generator = torch.Generator().manual_seed(settings.seed)
        # GD-UAP starts from uniform noise within the limit.
        self._before = self._limit * (2 * torch.rand(3, samples.size, samples.size, generator=generator) - 1)
        self.delta = self._before.to(device).requires_grad_()
        self.optimizers = {"delta": torch.optim.Adam([self.delta], settings.rate / 255)}

    def step(self, step: int) -> dict[str, Tensor]:
        self._activations.clear()  # the hooks fill it anew in the forward pass
        index = batch_of(step, self._settings.batch, len(self._samples), self._settings.seed)
        # Clamped, because a perturbed image is still an image.
        images = (self._samples.image_batch(index.numpy(), self._device) + self.delta).clamp(0, 1)
        self.network(images, self._samples.view_batch(index.numpy(), self._device))
        # The sum of the logarithms of the layers' root mean square activations.
        return {"delta": -torch.stack(self._activations).log().sum() / 2}

    @torch.no_grad()
    def after(self, step: int) -> None:
        """Keep the perturbation within its strength."""
        self.delta.clamp_(-self._limit, self._limit)
        if step % 100 < 99:
            return
        # A perturbation that is mostly at the limit no longer changes. GD-UAP then halves it.
        saturated = float((self.delta.abs() >= self._limit).float().mean())
        if saturated > 0.5 and float((self.delta.cpu() - self._before).abs().mean()) < 1e-5:
            self.delta.mul_(0.5)
        self._before = self.delta.detach().cpu().clone()

    def close(self) -> None:
        """Remove the hooks from the network."""
        for hook in self._hooks:
            hook.remove()


def save_perturbation(path: Path, delta: Tensor) -> None:
    """Write a perturbation (3, S, S) as npy, float32."""
    with whole_file(path) as file:
        np.save(file, delta.numpy())


def load_perturbation(path: Path, size: int, strength: float) -> Tensor:
    """Read a perturbation, scaled so that its largest absolute value is ``strength`` 255ths.

    Args:
        path: npy file of a perturbation, or an npz file with this array alone.
        size: side of the crops in pixels.
        strength: largest change of a pixel, in 255ths.

    Returns:
        (3, size, size), to be added to images in [0, 1].

    Raises:
        UserError: the file is missing or no perturbation of this size.
    """
    arrays = read_arrays(path)
    if len(arrays) != 1:
        raise UserError(f"{path} is not a perturbation: expected one array, got {len(arrays)}; save it with numpy.save")
    (delta,) = arrays.values()
    if delta.shape != (3, size, size) or not np.issubdtype(delta.dtype, np.floating) or not np.isfinite(delta).all():
        raise UserError(f"{path}: expected a perturbation of shape {(3, size, size)}, got {delta.dtype} {delta.shape}")
    # A perturbation of zeros stays zero.
    largest = float(np.abs(delta).max())
    return torch.from_numpy(delta.astype(np.float32)) * (strength / 255 / max(largest, 1e-9))
