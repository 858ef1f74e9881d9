"""The cells of the grids: one method adapts the source model to one target, with one seed."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import nn

from adaptation.adapting.algorithm1 import adapt
from adaptation.adapting.presets import preset
from adaptation.adapting.settings import AdaptSettings
from adaptation.adapting.teacher import choose_teacher, taught, taught_if_near
from adaptation.bodies.body import Body
from adaptation.data.samples import Samples
from adaptation.evaluation.scores import Scores, evaluate
from adaptation.losses.settings import at_size
from adaptation.regressors.files import load_network
from adaptation.support.workers import side_by_side
from adaptation.synthetic.settings import SHIFTS
from adaptation.training.runs import STATE, Run
from evidence import methods
from evidence.materials import Materials, Say, nothing
from evidence.methods import Method

_ALONE = (methods.B1_ALONE, methods.B2_ALONE, methods.B3_ALONE, methods.OURS_ALONE)
SEVERAL = (
    methods.NORMS,
    methods.REPLAY,
    methods.B1,
    methods.B2,
    methods.B2_FLIPPED,
    methods.B3,
    methods.OURS,
    methods.OURS_FLIPPED,
    methods.OURS_FITS,
    *_ALONE,
    methods.OURS_NO_PRIOR,
    methods.LABELS,
)
"""Methods that are run with several seeds on "style"; the others have one."""
SITE_METHODS = (
    methods.SOURCE_ONLY,
    methods.NORMS,
    methods.REPLAY,
    methods.B1,
    methods.B2,
    methods.B3,
    methods.OURS,
    methods.OURS_FLIPPED,
    *_ALONE,
    methods.LABELS,
)
SILHOUETTES = (methods.NORMS, methods.B2_ALONE, methods.OURS_ALONE)
"""Methods that show what L_S and L_T add where there is nothing but silhouettes; with several seeds on each shift."""
SHIFT_METHODS = (
    methods.SOURCE_ONLY,
    methods.NORMS,
    methods.REPLAY,
    methods.A1,
    methods.A1_NORMS,
    methods.A2_NORMS,
    methods.OURS,
    methods.OURS_FLIPPED,
    methods.B2_ALONE,
    methods.OURS_ALONE,
    methods.OURS_POOR_MASKS,
    methods.LABELS,
)
SEEDS = 3
"""Number of seeds of all methods on "site", of `SEVERAL` on "style", and of `SILHOUETTES` on each shift."""
STRONGEST = ("lr-32", "uap-16", "night")


@dataclass(frozen=True)
class Cell:
    """One run of a grid.

    Attributes:
        target: name of the target.
        method: how the source model is adapted.
        seed: seed of all random numbers.
    """

    target: str
    method: Method
    seed: int

    @property
    def name(self) -> str:
        """Name of the cell in file names, in the record and on the command line."""
        return f"adapt/{self.target}/{self.method.name}/{self.seed}"


HOME = Cell("source", methods.SOURCE_ONLY, 0)
"""The source model on its source domain. Adaptation to another target can hardly be expected to do better."""


def settings_of(cell: Cell, materials: Materials) -> AdaptSettings:
    """Return the settings of a cell, but for a teacher, which is chosen when the cell runs (see `decide`)."""
    scale, method = materials.scale, cell.method
    # Used as it is, but for the number of steps: scaling it to small networks would no longer be the paper's.
    if method.preset == "paper":
        settings = replace(preset("paper").adapt, steps=scale.paper_steps)
        return replace(settings, seed=cell.seed, precision=materials.precision)
    chosen, small = preset(scale.preset), preset("small")
    ours = replace(small.adapt, steps=scale.adapt_steps, seed=cell.seed, precision=materials.precision)
    # The change comes before the scaling, since methods change settings that were chosen for "small".
    settings = method.change(ours)
    settings = replace(settings, loss=at_size(settings.loss, chosen.size / small.size))
    # A network that trains with smaller steps adapts with smaller steps.
    return replace(settings, rate=settings.rate * (chosen.pretrain.rate / small.pretrain.rate))


def decide(cell: Cell, settings: AdaptSettings, apart: float) -> AdaptSettings:
    """Add a teacher if the network's two views are near enough, or exactly if they are not (`flips_teacher`).

    Args:
        cell: the cell that the settings belong to.
        settings: settings without a teacher.
        apart: distance between the two views, millimetres.
    """
    chosen = taught_if_near(settings, apart)
    if not cell.method.flips_teacher:
        return chosen
    # The opposite of the choice, so that both are known on every target.
    return settings if chosen.teacher_weight else taught(settings)


def adaptation_grid(*, quick: bool = False) -> list[Cell]:
    """List all cells; those of the first seed come first.

    Args:
        quick: only one seed, the strongest shifts, and the chosen way with teachers.
    """
    # Detectors are no part of "style": its shift is one of appearance, not of image quality.
    style = [Cell("style", method, 0) for method in methods.ALL if method.keypoints is None]
    site = [Cell("site", method, 0) for method in SITE_METHODS]
    targets = STRONGEST if quick else SHIFTS
    shifts = [Cell(target, method, 0) for target in targets for method in SHIFT_METHODS]
    seeds = range(1, 1 if quick else SEEDS)
    more = [Cell("style", method, seed) for seed in seeds for method in SEVERAL]
    more += [Cell("site", method, seed) for seed in seeds for method in SITE_METHODS]
    more += [Cell(target, method, seed) for seed in seeds for target in SHIFTS for method in SILHOUETTES]
    cells = [HOME, *style, *site, *shifts, *more]
    return [cell for cell in cells if not cell.method.flips_teacher] if quick else cells


def run_adaptations(cells: list[Cell], materials: Materials, *, jobs: int, say: Say) -> None:
    """Run the cells that have not run yet.

    Args:
        cells: cells to run.
        materials: domains and networks; what is missing is made first.
        jobs: number of cells that run at once, in a process each.
        say: called with a line about each thing that is done.
    """
    # A result on disk is never computed again, so a stopped grid resumes.
    todo = [cell for cell in cells if not materials.has_run(cell.name)]
    if not todo:
        return
    # Everything that cells share is made before they start: two processes would make it twice.
    for cell in todo:
        materials.target(cell.target, "test", say, seed=cell.seed)
        if cell.method.adapts:
            materials.target(cell.target, "adapt", say, seed=cell.seed)
    for cell in todo:
        _keypoints(cell, materials, say)
    materials.source_model(say)
    # A partial of a module's function, since closures cannot be sent to other processes.
    for line in side_by_side(partial(_run, materials=materials), todo, jobs):
        say(line)


def _keypoints(cell: Cell, materials: Materials, say: Say) -> Path | None:
    kind = cell.method.keypoints
    return None if kind is None else materials.keypoints(cell.target, say, norms=kind == "target norms")


@dataclass(frozen=True)
class _Adapted:
    """What a cell adapts.

    Attributes:
        network: the adapted network.
        settings: settings of the adaptation, with the teacher as it was chosen.
        apart: millimetres between the two views that decide about a teacher; None where there is no choice.
        resumed: whether the run had been started before.
    """

    network: nn.Module
    settings: AdaptSettings
    apart: float | None
    resumed: bool


def _run(cell: Cell, materials: Materials) -> str:
    """Run one cell, store its result, and return a line about it."""
    body = Body.free()
    # Loaded anew in each process: adaptation changes the network in place.
    network = load_network(str(materials.source_model(nothing))).network
    test = Samples.load(materials.target(cell.target, "test", nothing, seed=cell.seed))
    begun = time.time()
    adapted = _adapt(cell, network, body, materials) if cell.method.adapts else None
    seconds = time.time() - begun
    scores = evaluate(adapted.network if adapted else network, test, body, device=materials.device)
    result = {
        "target": cell.target,
        "method": cell.method.name,
        "seed": cell.seed,
        # Means of clips, not of images: tables compute intervals over clips, which are independent.
        **{name: _by_clip(getattr(scores, name), test.sequences) for name in ("mpjpe", "pa_mpjpe", "iou")},
        # The time before the interruption of a resumed run is unknown.
        "seconds": None if adapted and adapted.resumed else round(seconds, 1),
        "settings": asdict(adapted.settings) if adapted else None,
        "apart": adapted.apart and round(adapted.apart, 1) if adapted else None,
    }
    materials.keep(cell.name, result)
    return f"{cell.name}: {_line(scores)}, {seconds:.0f} s"


def _adapt(cell: Cell, network: nn.Module, body: Body, materials: Materials) -> _Adapted:
    target = Samples.load(materials.target(cell.target, cell.method.learns_from, nothing, seed=cell.seed))
    if (keypoints := _keypoints(cell, materials, nothing)) is not None:
        target = replace(target, keypoints=np.load(keypoints))
    source = Samples.load(materials.domain("source", "train", nothing))
    settings = settings_of(cell, materials)
    # Only the distance is used, since `decide` may take the opposite choice.
    _, apart = choose_teacher(settings, network, target, body, materials.device)
    settings = settings if apart is None else decide(cell, settings, apart)
    folder = materials.folder / "runs" / cell.name
    resumed = (folder / STATE).exists()
    run = Run(folder, {"adapt": asdict(settings)})
    network = adapt(network, target, body.to(materials.device), settings, run, source=source)
    return _Adapted(network, settings, apart, resumed)


def _by_clip(values: npt.NDArray[np.float32], clip: npt.NDArray[np.int64]) -> list[float]:
    """Average over each clip. Images of one clip depend on each other, clips do not; all clips are equally long."""
    return [round(float(values[clip == number].mean()), 4) for number in np.unique(clip)]


def _line(scores: Scores) -> str:
    row = scores.summary()
    return f"PA-MPJPE {row['pa_mpjpe']:.1f}, MPJPE {row['mpjpe']:.1f}, IoU {row['iou']:.3f}"
