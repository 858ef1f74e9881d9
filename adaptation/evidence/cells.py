"""The cells of the grids: one method adapts the source model to one target, with one seed."""

from __future__ import annotations

import json
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from typing import Any

import numpy as np
import numpy.typing as npt

from adaptation.body import Body
from adaptation.checkpoints import load_network
from adaptation.domains.dataset import Domain
from adaptation.evidence.materials import Materials, Say, commit, nothing, one_thread
from adaptation.losses import LOSS_NAMES, LossName
from adaptation.output import whole_file
from adaptation.training.adapt import AdaptSettings, adapt
from adaptation.training.evaluate import Scores, evaluate
from adaptation.training.presets import preset

METHODS = {
    "source-only": "the source model as it is",
    "norms": "only the statistics of batch norms follow the target (AdaBN)",
    "replay": "the same, and the source's labels go on training",
    "b1": "squared differences of pixels",
    "b2": "L_S alone",
    "b3": "L_S and squared differences of skeletons",
    "ours": "L_S and L_T",
    "ours, fits": "the same, one step in four from fits (Algorithm 1)",
    "ours, separate": "the same as ours, with the paper's separate optimisers",
    "ours, no replay": "the same as ours, without the source's labels",
    "labels": "full supervision on the target, at a higher rate: the ceiling",
}


@dataclass(frozen=True, order=True)
class Cell:
    """One run of a grid: what is adapted to, how, and the seed of everything random."""

    target: str
    method: str
    seed: int

    @property
    def name(self) -> str:
        """For files."""
        return f"{self.target}_{self.method.replace(', ', '-')}_{self.seed}"


def settings_of(cell: Cell, materials: Materials) -> AdaptSettings:
    """How a cell adapts."""
    base = preset("small").adapt
    settings = replace(base, steps=materials.scale.adapt_steps, seed=cell.seed, precision=materials.precision, every=0)
    if cell.method in LOSS_NAMES:
        name: LossName = cell.method  # type: ignore[assignment]
        return replace(settings, loss=replace(base.loss, name=name))
    if cell.method == "norms":
        return replace(settings, rate=0.0, replay=0, steps=min(settings.steps, 60))
    if cell.method == "replay":
        return replace(settings, silhouette_weight=0.0)
    if cell.method == "ours, no replay":
        return replace(settings, replay=0)
    if cell.method == "ours, fits":
        return replace(settings, every=4)
    if cell.method == "ours, separate":
        return replace(settings, optimizers="separate")
    if cell.method == "labels":
        # Labels bear a higher rate than masks: at the masks' own they would reach less.
        return replace(settings, supervised=True, rate=5e-4)
    return settings


def finished(cells: list[Cell], materials: Materials) -> list[dict[str, Any]]:
    """What came out of those cells that have run."""
    files = (materials.folder / "cells" / f"{cell.name}.json" for cell in cells)
    return [json.loads(file.read_text()) for file in files if file.exists()]


def run_cells(cells: list[Cell], materials: Materials, *, jobs: int, say: Say) -> None:
    """Run what has not run yet."""
    folder = materials.folder / "cells"
    folder.mkdir(parents=True, exist_ok=True)
    for target in dict.fromkeys(cell.target for cell in cells):
        materials.target(target, "adapt", say)
        materials.target(target, "test", say)
    materials.source_model(say)
    open_cells = [cell for cell in cells if not (folder / f"{cell.name}.json").exists()]
    # Not forked: a child would inherit the locks of threads that it does not have.
    with ProcessPoolExecutor(jobs, get_context("spawn"), initializer=one_thread) as pool:
        for line in pool.map(_run, open_cells, [materials] * len(open_cells)):
            say(line)


def _run(cell: Cell, materials: Materials) -> str:
    body, quiet = Body.free(), nothing
    network = load_network(str(materials.source_model(quiet))).network
    test = Domain.load(materials.target(cell.target, "test", quiet))
    settings, begun = settings_of(cell, materials), time.time()
    if cell.method != "source-only":
        target = Domain.load(materials.target(cell.target, "adapt", quiet))
        source = Domain.load(materials.domain("source", "train", quiet))
        run = materials.folder / "runs" / cell.name
        network = adapt(network, target, body, settings, run, source=source)
    seconds = time.time() - begun
    scores = evaluate(network, test, body)
    result = {
        **asdict(cell),
        **{name: _spread(getattr(scores, name), test.clip) for name in ("mpjpe", "pa_mpjpe", "iou")},
        "seconds": round(seconds, 1),
        "commit": commit(),
        "settings": None if cell.method == "source-only" else asdict(settings),
    }
    with whole_file(materials.folder / "cells" / f"{cell.name}.json") as file:
        file.write((json.dumps(result, indent=1) + "\n").encode())
    return f"{cell.name}: {_line(scores)}, {seconds:.0f} s"


def _spread(values: npt.NDArray[np.float32], clip: npt.NDArray[np.int64]) -> dict[str, float]:
    """Mean over images, and half of its 95 % confidence interval; images of a clip are not independent, clips are."""
    means = np.array([values[clip == number].mean() for number in np.unique(clip)])
    half = 1.96 * means.std(ddof=1) / np.sqrt(len(means)) if len(means) > 1 else float("nan")
    return {"mean": round(float(values.mean()), 4), "half_interval": round(float(half), 4)}


def _line(scores: Scores) -> str:
    row = scores.summary()
    return f"PA-MPJPE {row['pa_mpjpe']:.1f}, MPJPE {row['mpjpe']:.1f}, IoU {row['iou']:.3f}"


def grid(targets: list[str], methods: list[str], seeds: int) -> list[Cell]:
    """All combinations, the cheapest seeds first."""
    return [Cell(target, method, seed) for seed in range(seeds) for target in targets for method in methods]
