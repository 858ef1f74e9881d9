"""A universal adversarial perturbation: one small picture that, added to any image, misleads a network.

GD-UAP (Mopuri et al., TPAMI 2019) in its form for regression: the perturbation is driven to make the
activations of every convolution as large as it can, whatever the task. Craft it on another network
than the one it is tried on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from adaptation.data.samples import Domain
from adaptation.support.errors import UserError
from adaptation.support.files import whole_file
from adaptation.training.processes import batch_of


@dataclass(frozen=True)
class UapSettings:
    """How it is crafted.

    Attributes:
        strength: largest change of a pixel, in 255ths.
        steps: of Adam.
        batch: images per step.
        rate: learning rate in 255ths, 0.1 in GD-UAP's code.
        seed: of everything random.
    """

    strength: float = 8.0
    steps: int = 400
    batch: int = 32
    rate: float = 0.1
    seed: int = 0


def craft(
    network: nn.Module,
    images: Domain,
    settings: UapSettings,
    *,
    device: str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> Tensor:
    """Craft a perturbation (3, S, S) in the units of images in [0, 1].

    Raises:
        UserError: the network has no convolutions.
    """
    network = network.to(device).eval().requires_grad_(False)
    sizes: list[Tensor] = []
    hooks = [
        module.register_forward_hook(lambda _module, _input, output: sizes.append(output.square().mean()))
        for module in network.modules()
        if isinstance(module, nn.Conv2d)
    ]
    if not hooks:
        raise UserError("this network has no convolutions, which the perturbation is crafted on")
    limit = settings.strength / 255
    generator = torch.Generator().manual_seed(settings.seed)
    start = limit * (2 * torch.rand(3, images.size, images.size, generator=generator) - 1)
    delta = start.to(device).requires_grad_()
    optimizer = torch.optim.Adam([delta], settings.rate / 255)
    before = start
    for step in range(settings.steps):
        sizes.clear()
        index = batch_of(step, settings.batch, len(images), settings.seed)
        network((images.image_batch(index.numpy(), device) + delta).clamp(0, 1))
        loss = -torch.stack(sizes).log().sum() / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            delta.clamp_(-limit, limit)
            # Where nearly all of it is at the limit it no longer moves: GD-UAP halves it then.
            if step % 100 == 99:
                saturated = float((delta.abs() >= limit).float().mean())
                if saturated > 0.5 and float((delta.cpu() - before).abs().mean()) < 1e-5:
                    delta.mul_(0.5)
                before = delta.detach().cpu().clone()
        if progress:
            progress(1)
    for hook in hooks:
        hook.remove()
    return delta.detach().cpu()


def save_perturbation(path: Path, delta: Tensor) -> None:
    """Write it as npy, (3, S, S) float32."""
    with whole_file(path) as file:
        np.save(file, delta.numpy())


def load_perturbation(path: Path, size: int, strength: float) -> Tensor:
    """Read one, scaled so that its largest value is ``strength`` 255ths.

    Raises:
        UserError: missing, or of another size.
    """
    try:
        delta = np.load(path, allow_pickle=False)
    except Exception as error:  # np.load has no common error of its own
        raise UserError(f"{path} is not a perturbation: {error}") from None
    if not isinstance(delta, np.ndarray):
        raise UserError(f"{path} is not a perturbation but an archive of arrays")
    if delta.shape != (3, size, size) or not np.issubdtype(delta.dtype, np.floating) or not np.isfinite(delta).all():
        raise UserError(f"{path}: wanted a perturbation of shape {(3, size, size)}, got {delta.dtype} {delta.shape}")
    largest = float(np.abs(delta).max())
    return torch.from_numpy(delta.astype(np.float32)) * (strength / 255 / max(largest, 1e-9))
