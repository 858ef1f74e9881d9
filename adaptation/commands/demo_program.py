"""The main job from end to end: a camera gets worse, and a regressor adapts to it from silhouettes alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

from adaptation.adapting.presets import preset
from adaptation.commands.training_programs import adapt_network, film, shift_by_name, shift_domain
from adaptation.data.samples import DomainSettings, Split
from adaptation.recording.pipeline import FitOptions
from adaptation.regressors.running import Precision
from adaptation.training.runs import claim, resumable

_TEST = 240  # crops to measure on


@dataclass(frozen=True)
class DemoSettings:
    """What the demonstration does.

    Attributes:
        shift: what the target's camera does to crops.
        count: crops of the target; as many of the source are replayed.
        steps: of the adaptation.
        precision: of the network.
        workers: processes that film.
    """

    shift: str
    count: int
    steps: int
    precision: Precision
    workers: int


def demo(out: Path, settings: DemoSettings, *, overwrite: bool, command: str) -> None:
    """Film source and target, adapt the shipped source model, and write figures and a report; or go on with that.

    Raises:
        UserError: ``out`` holds something else, or was begun with other settings.
    """
    claim(out, {"demo": asdict(settings)}, overwrite=overwrite)
    small, run = preset("small"), out / "run"
    with resumable(run):
        source = _film(out, "source", "train", settings.count, settings, shifted=False)
        target = _film(out, settings.shift, "adapt", settings.count, settings, shifted=True)
        test = _film(out, settings.shift, "test", min(_TEST, settings.count), settings, shifted=True)
        adapt_network(
            "small",
            target,
            run,
            replace(small.adapt, steps=settings.steps, check_every=50, precision=settings.precision),
            made_for=small.size,
            options=FitOptions(size=small.size),
            source=source,
            test=test,
            masks=None,
            body=None,
            device="cpu",
            overwrite=False,
            command=command,
        )


def _film(out: Path, name: str, split: Split, count: int, settings: DemoSettings, *, shifted: bool) -> Path:
    """Crops of the source family, as its own camera sees them or as the target's does."""
    folder = out / f"{name}-{split}"
    if (folder / "domain.json").exists():  # written last
        return folder
    filmed = DomainSettings("source", split, count, preset("small").size)
    domain = film(filmed, settings.workers, f"Filming people: {name}, {split}")
    if shifted:
        domain = shift_domain(domain, shift_by_name(settings.shift, domain.size, None))
    domain.save(folder, {**asdict(filmed), "shift": settings.shift if shifted else None})
    return folder
