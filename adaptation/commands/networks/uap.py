"""``topo-adapt uap``: craft a universal adversarial perturbation (UAP)."""

from __future__ import annotations

from typing import Annotated

import typer

from adaptation.support.arguments import Crops, Device, FileOut, Model, Seed
from adaptation.training.settings import UapSettings


def uap(
    model: Model,
    crops: Crops,
    out: FileOut,
    strength: Annotated[
        float, typer.Option("--strength", min=0, help="Largest change of a pixel value, in 255ths.")
    ] = UapSettings.strength,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Optimisation steps.")] = UapSettings.steps,
    device: Device = "cpu",
    seed: Seed = UapSettings.seed,
) -> None:
    """Craft a universal adversarial perturbation.

    Use a network other than the one that will be adapted.
    """
    from rich.console import Console

    from adaptation.data.samples import Samples
    from adaptation.regressors.files import load_network
    from adaptation.support.devices import usable_device
    from adaptation.support.files import check_file
    from adaptation.support.progress import Progress
    from adaptation.training.uap import craft, save_perturbation

    # Before the optimisation, which an unwritable file would waste.
    check_file(out)
    usable_device(device)
    settings = UapSettings(strength=strength, steps=steps, seed=seed)
    network, samples = load_network(model).network, Samples.load(crops)
    with Progress().task("Crafting", settings.steps) as update:
        delta = craft(network, samples, settings, device=device, progress=update.by)
    save_perturbation(out, delta)
    Console().print(f"{out}: perturbation of at most {settings.strength:g}/255 per pixel", highlight=False)
