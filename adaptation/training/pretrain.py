"""Trains a regressor on a labelled source domain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from adaptation.bodies.body import Body
from adaptation.data.samples import Domain
from adaptation.losses.supervision import SupervisionWeights, Truth, mirror, supervision_loss, truth_of
from adaptation.regressors.running import Precision, channels_last, predict_in, warm_cosine
from adaptation.support.errors import UserError
from adaptation.training.processes import average_gradients, batch_of, my_share, share_norms, world
from adaptation.training.runs import Run
from adaptation.training.warp import warp


@dataclass(frozen=True)
class PretrainSettings:
    """How a source regressor is trained.

    Attributes:
        steps: of Adam, with cosine decay to zero after a linear rise.
        batch: images per step, over all processes.
        rate: learning rate at its highest.
        rise: steps of the rise.
        largest_gradient: norm that gradients are cut to; the camera's scale may start near zero, where they explode.
        weights: of the losses.
        flip: share of images that are mirrored.
        zoom: images are enlarged or shrunk by up to this,
        move: and moved by up to this share of their side.
        channel_noise: colour channels are multiplied by 1 +- this, as in SPIN.
        precision: of convolutions and matrix products. bfloat16 takes about half the time on processors that have it.
        seed: of everything random.
        save_every: steps between saves.
    """

    steps: int = 4000
    batch: int = 64
    rate: float = 5e-4
    rise: int = 100
    largest_gradient: float = 1.0
    weights: SupervisionWeights = field(default_factory=SupervisionWeights)
    flip: float = 0.5
    zoom: float = 0.15
    move: float = 0.06
    channel_noise: float = 0.2
    precision: Precision = "float32"
    seed: int = 0
    save_every: int = 200


def pretrain(
    network: nn.Module,
    domain: Domain,
    body: Body,
    settings: PretrainSettings,
    folder: Path,
    *,
    describe: dict[str, object] | None = None,
    device: str = "cpu",
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> nn.Module:
    """Train, or go on with a run that was stopped.

    Args:
        network: a `MeshNetwork`, trained in place.
        domain: with labels.
        body: whose joints are compared.
        settings: of the training.
        folder: of the run.
        describe: of network and domain, for the run's settings.
        device: where to compute.
        overwrite: start anew.
        progress: called with the number of steps done since the last call.

    Returns:
        The network, in evaluation mode.

    Raises:
        UserError: the domain has no labels, the batch cannot be shared, or the loss is not finite.
    """
    truth = truth_of(domain)
    if settings.batch % world()[1]:
        raise UserError(f"a batch of {settings.batch} cannot be shared by {world()[1]} processes")
    network, body = share_norms(network.to(device).train()), body.to(device)
    channels_last(network)
    parameters = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, settings.rate)
    run = Run(folder, {"pretrain": asdict(settings), **(describe or {})}, overwrite=overwrite)
    start = 0
    if state := run.load(network):
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        start = int(state["step"])
        if progress:
            progress(start)
    for step in range(start, settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = settings.rate * warm_cosine(step, settings.steps, settings.rise)
        index = my_share(batch_of(step, settings.batch, len(domain), settings.seed))
        generator = torch.Generator().manual_seed(settings.seed * 7_919 + step)
        seen, wanted = domain.image_batch(index.numpy(), device), truth.select(index).to(device)
        images, wanted = augment(seen, wanted, settings, generator)
        prediction = predict_in(settings.precision, network, images)
        loss = supervision_loss(prediction, wanted, body, settings.weights).mean()
        if not torch.isfinite(loss):
            raise UserError(f"the loss is {loss.item()} at step {step}; the state of the last save is in {folder}")
        optimizer.zero_grad()
        loss.backward()
        average_gradients(parameters)
        nn.utils.clip_grad_norm_(parameters, settings.largest_gradient)
        optimizer.step()
        if step % 20 == 0:
            run.log(step, loss=loss.item())
        if (step + 1) % settings.save_every == 0 or step + 1 == settings.steps:
            run.save({"network": network.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1})
        if progress:
            progress(1)
    run.close()
    return network.eval()


def augment(
    images: Tensor, truth: Truth, settings: PretrainSettings, generator: torch.Generator
) -> tuple[Tensor, Truth]:
    """Mirror some images, move and scale all, and change the gain of their colour channels."""
    _, count = world()
    # Drawn for the whole batch, so that any number of processes sees the same.
    rank_slice = my_share(torch.arange(count * len(images)))

    def draw(*shape: int) -> Tensor:
        return torch.rand(count * len(images), *shape, generator=generator)[rank_slice].to(images.device)

    flip = draw() < settings.flip
    noise = draw(3, 1, 1)
    zoom = 1 + settings.zoom * (2 * draw() - 1)
    shift = 2 * settings.move * (2 * draw(2) - 1)
    images = warp(images, flip, zoom, shift)
    images = (images * (1 + settings.channel_noise * (2 * noise - 1))).clamp(0, 1)
    mirrored = mirror(truth)
    rotations = torch.where(flip[:, None, None, None], mirrored.rotations, truth.rotations)
    camera = torch.where(flip[:, None], mirrored.camera, truth.camera)
    # Shares of half a side become metres by the camera's scale before it is multiplied.
    camera = torch.cat([camera[:, :1] * zoom[:, None], camera[:, 1:] + shift / camera[:, :1]], dim=1)
    return images, Truth(rotations, truth.betas, camera)
