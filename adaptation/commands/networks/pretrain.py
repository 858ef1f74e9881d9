"""``topo-adapt pretrain``: train a source regressor on labelled crops."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from adaptation.adapting.presets import PRESETS, preset
from adaptation.regressors.modes import PRECISIONS
from adaptation.support.arguments import (
    BodyFile,
    Crops,
    Device,
    Overwrite,
    PrecisionOption,
    PresetOption,
    RunOut,
    Seed,
    choice,
)


def pretrain(
    crops: Crops,
    out: RunOut,
    preset_name: PresetOption = "small",
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Training steps. Default: the preset's.")] = None,
    pose_prior: Annotated[
        str | None,
        typer.Option(
            "--prior", help="Predict the latent code of this pose prior instead of rotations: latent, or a file."
        ),
    ] = None,
    imagenet: Annotated[
        Path | None, typer.Option("--imagenet", help="File of ImageNet weights to initialise the ResNet with.")
    ] = None,
    body: BodyFile = None,
    precision: PrecisionOption = "float32",
    device: Device = "cpu",
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Train a source regressor on labelled crops."""
    import torch
    from rich.console import Console

    from adaptation.bodies.body import Body
    from adaptation.data.samples import Samples
    from adaptation.priors.latent import LatentPosePrior
    from adaptation.regressors.files import LoadedNetwork, load_imagenet
    from adaptation.regressors.hmr import Regressor
    from adaptation.support.devices import usable_device
    from adaptation.support.progress import Progress
    from adaptation.training.pretrain import pretrain as train
    from adaptation.training.processes import is_first, join
    from adaptation.training.runs import Run, resumable

    chosen = preset(choice("--preset", preset_name, PRESETS))
    settings = replace(chosen.pretrain, seed=seed, precision=choice("--precision", precision, PRECISIONS))
    settings = settings if steps is None else replace(settings, steps=steps)
    # Before the processes wait for each other: an unusable device should fail at once.
    usable_device(device)
    join(device)
    with resumable(out):
        samples = Samples.load(crops)
        model = Body.load(body) if body else Body.free()
        torch.manual_seed(seed)  # of the initial weights
        decoder = LatentPosePrior.named(pose_prior) if pose_prior else None
        network = Regressor(chosen.blocks, chosen.width, chosen.hidden, decoder, chosen.heatmaps)
        if imagenet:
            load_imagenet(network, imagenet)
        # Everything that the weights depend on; a run resumes only if it is equal.
        described = {
            "pretrain": asdict(settings),
            "source": str(crops),
            "imagenet": str(imagenet),
            "network": {**chosen.network, "prior": str(pose_prior)},
        }
        run = Run(out, described, overwrite=overwrite)
        with Progress().task("Training", settings.steps) as update:
            train(network, samples, model, settings, run, device=device, progress=update.by)
        # All processes hold the same weights; one of them writes.
        if not is_first():
            return
        LoadedNetwork(network, ".safetensors").save(out / "model.safetensors")
    done = f"{out / 'model.safetensors'}: {settings.steps} steps on {len(samples)} crops"
    Console().print(done, highlight=False)
