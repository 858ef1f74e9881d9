"""``topo-adapt prior``: train the latent pose prior."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adaptation.support.arguments import FileOut, Seed
from adaptation.training.settings import PriorSettings


def prior(
    out: FileOut,
    poses: Annotated[
        Path | None,
        typer.Option(
            "--poses",
            help="File of poses: of `topo-adapt poses`, AMASS, SPIN or smplx. Default: 60,000 sampled poses.",
        ),
    ] = None,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Training steps.")] = PriorSettings.steps,
    seed: Seed = PriorSettings.seed,
) -> None:
    """Train the latent pose prior."""
    import json
    from dataclasses import asdict

    import torch
    from rich.console import Console

    from adaptation.bodies.body import Body
    from adaptation.bodies.poses import sample_poses
    from adaptation.data.pose_files import read_poses
    from adaptation.support.files import check_file
    from adaptation.support.progress import Progress
    from adaptation.training.latent_prior import measure_prior, train_prior

    # Before the training, which an unwritable file would waste.
    check_file(out)
    # Sampling gets a seed of its own, so that the poses do not repeat the training's random numbers.
    settings = PriorSettings(steps=steps, seed=seed)
    every = read_poses(poses) if poses else sample_poses(60000, torch.Generator().manual_seed(seed + 1))
    # One pose in 20 is held out to measure the prior on.
    held_out, training = every[::20], every[torch.arange(len(every)) % 20 != 0]
    body = Body.free()
    with Progress().task("Training the prior", settings.steps) as update:
        trained = train_prior(training, settings, body, progress=update.by)
    figures = measure_prior(trained, training, held_out, body)
    # Settings and figures travel in the file's metadata, so that a prior can be traced to its making.
    trained.save(out, {"settings": json.dumps(asdict(settings)), "figures": json.dumps(asdict(figures))})
    Console().print(
        f"{out}: reconstruction error {figures.degrees:.1f} degrees, {figures.millimetres:.1f} mm; mean Gaussian "
        f"energy of poses {figures.data_energy:.0f}, half way between two {figures.between_energy:.0f}, "
        f"of random phi {figures.random_energy:.0f}",
        highlight=False,
    )
