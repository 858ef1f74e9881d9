"""``topo-adapt demo``: adapt the shipped regressor to a worse camera from silhouettes alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from adaptation.adapting.presets import preset
from adaptation.commands.networks.adapt_job import AdaptJob, adapt_network
from adaptation.recording.options import FitOptions
from adaptation.regressors.modes import PRECISIONS, Precision
from adaptation.support.arguments import Overwrite, PrecisionOption, Workers, choice, command_line
from adaptation.synthetic.settings import SHIFTS, DomainSettings, Split

_TEST = 240  # crops to measure errors on


def demo(
    out: Annotated[
        Path, typer.Option("--out", help="Folder of the demonstration; a stopped demonstration in it is resumed.")
    ] = Path("out/demo"),
    shift: Annotated[
        str, typer.Option("--shift", help="Domain shift of the camera: lr-96, lr-52, lr-32 or night.")
    ] = "lr-32",
    count: Annotated[int, typer.Option("--count", min=24, help="Number of crops to adapt to.")] = 960,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Training steps.")] = 200,
    precision: PrecisionOption = "float32",
    workers: Workers = 2,
    overwrite: Overwrite = False,
) -> None:
    """Adapt the shipped regressor to a worse camera.

    Renders the crops, adapts from silhouettes alone, and measures errors before and after.
    """
    from adaptation.training.runs import claim, resumable

    kind = choice("--precision", precision, PRECISIONS)
    # Perturbations need a file that another command makes.
    shift = choice("--shift", shift, tuple(name for name in SHIFTS if not name.startswith("uap")))
    settings = DemoSettings(shift, count, steps, kind, workers)
    # Claimed with all settings: crops rendered with others must not be mixed with these.
    claim(out, {"demo": asdict(settings)}, overwrite=overwrite)
    small, run = preset("small"), out / "run"
    with resumable(run):
        source = _film(out, "source", "train", settings.count, settings, shifted=False)
        target = _film(out, settings.shift, "adapt", settings.count, settings, shifted=True)
        # The split "test" shows other people, so that the errors are not those of the crops adapted to.
        test = _film(out, settings.shift, "test", min(_TEST, settings.count), settings, shifted=True)
        adapt_network(
            AdaptJob(
                model="small",
                target=target,
                out=run,
                settings=replace(small.adapt, steps=steps, check_every=50, precision=kind),
                made_for=small.size,
                options=FitOptions(size=small.size),
                source=source,
                test=test,
                command=command_line(),
            )
        )


@dataclass(frozen=True)
class DemoSettings:
    """Settings of the demonstration.

    Attributes:
        shift: domain shift of the target's camera.
        count: number of target crops; the replayed source set has as many.
        steps: training steps of the adaptation.
        precision: precision of the network's convolutions and matrix products.
        workers: processes that render crops.
    """

    shift: str
    count: int
    steps: int
    precision: Precision
    workers: int


def _film(out: Path, name: str, split: Split, count: int, settings: DemoSettings, *, shifted: bool) -> Path:
    """Render crops of the source family, with or without the shift, and return their folder."""
    from adaptation.support.progress import Progress
    from adaptation.synthetic.domains import make_domain
    from adaptation.synthetic.shifted import shift_by_name, shift_samples

    folder = out / f"{name}-{split}"
    if (folder / "domain.json").exists():  # written last: the set is complete
        return folder
    # From the source family, so that the shift of the image is the only difference.
    filmed = DomainSettings("source", split, count, preset("small").size)
    with Progress().task(f"Rendering crops: {name}, {split}", filmed.filmed) as update:
        samples = make_domain(filmed, workers=settings.workers, progress=update.by)
    if shifted:
        samples = shift_samples(samples, shift_by_name(settings.shift, samples.size, None))
    samples.save(folder, {**asdict(filmed), "shift": settings.shift if shifted else None})
    return folder
