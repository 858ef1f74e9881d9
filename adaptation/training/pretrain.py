"""Training a regressor on a labelled source domain."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from adaptation.bodies.body import Body
from adaptation.bodies.parameters import Bodies
from adaptation.data.samples import Samples
from adaptation.losses.supervision import supervision_loss
from adaptation.regressors.running import channels_last, predict_in
from adaptation.training.loop import PlainProgram, Report, Schedule, check_share, train
from adaptation.training.processes import batch_of, my_share, share_norms, world
from adaptation.training.runs import Run
from adaptation.training.settings import PretrainSettings
from adaptation.training.warp import warp


def pretrain(
    network: nn.Module,
    samples: Samples,
    body: Body,
    settings: PretrainSettings,
    run: Run,
    *,
    device: str = "cpu",
    progress: Report | None = None,
) -> nn.Module:
    """Train a network on labelled crops, or resume a stopped run.

    Args:
        network: a `MeshNetwork`, trained in place.
        samples: labelled crops.
        body: the body model of the labels.
        settings: settings of the training.
        run: the run that keeps state and curves.
        device: device to compute on.
        progress: callback that is given the number of steps done since the last call.

    Returns:
        The network, in evaluation mode.

    Raises:
        UserError: the crops have no labels or labels of another body model, the batch cannot be shared equally by the
            processes, or the loss is not finite.
    """
    check_share(batch=settings.batch)
    program = _Pretraining(network, samples, body, settings, device)
    schedule = Schedule(
        steps=settings.steps,
        rate=settings.rate,
        rise=settings.rise,
        largest_gradient=settings.largest_gradient,
        check_every=settings.save_every,
        log_every=20,
    )
    train(program, schedule, run, progress)
    return network.eval()


class _Pretraining(PlainProgram):
    def __init__(
        self, network: nn.Module, samples: Samples, body: Body, settings: PretrainSettings, device: str
    ) -> None:
        self._samples, self._truth, self._settings, self._device = samples, samples.bodies(body), settings, device
        self._body = body.to(device)
        self.network = share_norms(network.to(device).train())
        channels_last(self.network)
        trained = [p for p in network.parameters() if p.requires_grad]  # a network may come with frozen parts
        self.optimizers = {"supervision": torch.optim.Adam(trained, settings.rate)}

    def step(self, step: int) -> dict[str, Tensor]:
        settings = self._settings
        index = my_share(batch_of(step, settings.batch, len(self._samples), settings.seed))
        # A seed per step, so that a resumed run draws what an uninterrupted one would have drawn.
        generator = torch.Generator().manual_seed(settings.seed * 7_919 + step)
        # Augmented on the device, which images reach as bytes.
        images = self._samples.image_batch(index.numpy(), self._device)
        images, truth = augment(images, self._truth.select(index).to(self._device), settings, generator)
        prediction = predict_in(settings.precision, self.network, images)
        return {"supervision": supervision_loss(prediction, truth, self._body, settings.weights).mean()}


def augment(
    images: Tensor, truth: Bodies, settings: PretrainSettings, generator: torch.Generator
) -> tuple[Tensor, Bodies]:
    """Mirror some images, move and scale all, and change the gain of their colour channels.

    Args:
        images: (B, 3, S, S) RGB in [0, 1].
        truth: the B labelled bodies.
        settings: settings of the training.
        generator: source of the random numbers.

    Returns:
        The images, and the bodies that they show.
    """
    _, count = world()
    # Numbers are drawn for the batch of all processes, so that the result does not depend on how many there are.
    rank_slice = my_share(torch.arange(count * len(images)))

    def draw(*shape: int) -> Tensor:
        return torch.rand(count * len(images), *shape, generator=generator)[rank_slice].to(images.device)

    flip = draw() < settings.flip
    noise = draw(3, 1, 1)
    zoom = 1 + settings.zoom * (2 * draw() - 1)
    # Moved in the crop's own units, which the camera's shift uses, too: labels follow without the size in pixels.
    shift = 2 * settings.move * (2 * draw(2) - 1)  # a crop's side is 2 in crop coordinates
    images = warp(images, flip, zoom, shift)
    images = (images * (1 + settings.channel_noise * (2 * noise - 1))).clamp(0, 1)
    # Mirrored first, then moved and scaled, in the order of `warp`.
    bodies = truth.mirrored().where(flip, truth)
    return images, replace(bodies, camera=bodies.camera.zoomed(zoom[:, None], shift))
