"""``topo-adapt prior``: train a pose prior, the latent one or a mixture of Gaussians."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adaptation.support.arguments import FileOut, Seed, choice
from adaptation.training.settings import PriorSettings

if TYPE_CHECKING:
    from torch import Tensor


def prior(
    out: FileOut,
    poses: Annotated[
        Path | None,
        typer.Option(
            "--poses",
            help="File of poses: of `topo-adapt poses`, AMASS, SPIN or smplx. Default: 60,000 sampled poses.",
        ),
    ] = None,
    kind: Annotated[
        str,
        typer.Option(
            "--kind", help="latent (an adversarial auto-encoder), or mixture (eight Gaussians, as in SMPLify)."
        ),
    ] = "latent",
    steps: Annotated[int, typer.Option("--steps", min=1, help="Training steps of kind latent.")] = PriorSettings.steps,
    seed: Seed = PriorSettings.seed,
) -> None:
    """Train a pose prior."""
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

    choice("--kind", kind, ("latent", "mixture"))
    # Before the training, which an unwritable file would waste.
    check_file(out)
    # Sampling gets a seed of its own, so that the poses do not repeat the training's random numbers.
    settings = PriorSettings(steps=steps, seed=seed)
    every = read_poses(poses) if poses else sample_poses(60000, torch.Generator().manual_seed(seed + 1))
    # One pose in 20 is held out to measure the prior on.
    held_out, training = every[::20], every[torch.arange(len(every)) % 20 != 0]
    if kind == "mixture":
        _fit_mixture(training, held_out, out, seed)
        return
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


def _fit_mixture(training: Tensor, held_out: Tensor, out: Path, seed: int) -> None:
    """Fit a mixture of Gaussians, write it, and print what it says of poses that it has not seen.

    Raises:
        UserError: there are fewer poses than Gaussians.
    """
    from rich.console import Console

    from adaptation.priors.gaussian import GaussianPosePrior
    from adaptation.priors.mixture import COMPONENTS, MixturePosePrior
    from adaptation.support.errors import UserError

    if len(training) < COMPONENTS:
        raise UserError(f"{len(training)} poses to train on, expected at least {COMPONENTS}, one for each Gaussian")
    mixture = MixturePosePrior.fit(training, seed=seed)
    energy, one = mixture.energy(held_out).mean(), GaussianPosePrior.fit(training).energy(held_out).mean() / 2
    mixture.save(out, {"poses": str(len(training)), "seed": str(seed)})
    Console().print(
        f"{out}: {COMPONENTS} Gaussians of {len(training):,} poses; mean energy of poses held out {energy:.0f}, under "
        f"a single Gaussian {one:.0f}",
        highlight=False,
    )
