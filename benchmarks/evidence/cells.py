"""The cells of the grids: one method adapts the source model to one target, with one seed."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from adaptation.adapting.algorithm1 import adapt
from adaptation.adapting.presets import preset
from adaptation.adapting.settings import AdaptSettings, with_loss
from adaptation.adapting.teacher import choose_teacher, taught, taught_if_near
from adaptation.bodies.body import Body
from adaptation.data.samples import Samples
from adaptation.evaluation.scores import Scores, evaluate
from adaptation.losses.settings import LOSS_NAMES, at_size
from adaptation.regressors.files import load_network
from adaptation.support.workers import side_by_side
from adaptation.synthetic.settings import SHIFTS, Split
from adaptation.training.runs import STATE, Run
from evidence.materials import Materials, Say, nothing

OTHER = ", other choice"
METHODS = {
    "source-only": "the source model as it is",
    "norms": "only the statistics of batch norms follow the target (AdaBN)",
    "replay": "labelled people of the source, in the target's look and places; no loss on silhouettes",
    "replay, other choice": "replay without a teacher where one is chosen, and with one where none is",
    "a1": "2D keypoints of a detector trained on the source alone, which meets the same shift; beside replay",
    "a1, norms": "2D keypoints of such a detector whose batch norms follow the target, as the regressor's do; "
    "beside replay",
    "a2, norms": "the keypoints of a1, norms, and one step in four from fits to the masks as point sets; beside replay",
    "b1": "squared differences of pixels, at four times the weight of L_S; beside replay",
    "b1, other choice": "b1 with the other choice of a teacher",
    "b2": "L_S alone, beside replay",
    "b2, other choice": "b2 with the other choice of a teacher",
    "b3": "L_S and squared differences of skeletons, beside replay",
    "b3, other choice": "b3 with the other choice of a teacher",
    "ours": "L_S and L_T, beside replay: what `topo-adapt adapt --source` does",
    "paper's settings": "L_S and L_T with the paper's rate of 1e-6, separate optimisers, one step in four from fits, "
    "and the source's batch norms and look: what `topo-adapt adapt --preset paper` does",
    "ours, pixels": "ours, and b1 at its own weight",
    "ours, fits": "ours, one step in four from fits (Algorithm 1)",
    "ours, separate": "ours with the paper's separate optimisers",
    "ours, other choice": "ours with the other choice of a teacher, and of the pull with it",
    "ours, heavy": "ours with four times the weight of L_S and L_T beside the replayed labels",
    "b1, no replay": "squared differences of pixels without the source's labels, in fewer and smaller steps",
    "b2, no replay": "L_S without the source's labels, likewise",
    "b3, no replay": "L_S and squared differences of skeletons without the source's labels, likewise",
    "ours, no replay": "L_S and L_T without the source's labels, likewise: what `topo-adapt adapt` does alone",
    "ours, source's look": "ours with the source's labelled crops as they are",
    "ours, gaussian": "ours with a Gaussian in place of the latent prior",
    "ours, no prior": "ours without a pose prior",
    "ours, exact masks": "ours with the true silhouettes in place of those from background subtraction",
    "ours, poor masks": "ours with masks that have holes, bites, lost parts, shadows, and are too wide or too narrow",
    "ours, here": "ours on the silhouettes of the very crops that are measured, no label of which is seen",
    "labels": "full supervision on the target, for as many steps; beside replay",
}
ALONE = ("b1, no replay", "b2, no replay", "b3, no replay", "ours, no replay")
SEVERAL = (
    "norms",
    "replay",
    "b1",
    "b2",
    "b2, other choice",
    "b3",
    "ours",
    "ours, other choice",
    "ours, fits",
    *ALONE,
    "ours, no prior",
    "labels",
)
SITE_METHODS = (
    "source-only",
    "norms",
    "replay",
    "b1",
    "b2",
    "b3",
    "ours",
    "ours, other choice",
    *ALONE,
    "labels",
)
SILHOUETTES = ("norms", "b2, no replay", "ours, no replay")
"""What L_S and L_T add where nothing but silhouettes is known."""
SEEDS = 3
"""Of "site", of SEVERAL on "style", and of SILHOUETTES on every shift; one of all else."""
STRONGEST = ("lr-32", "uap-16", "night")
SHIFT_METHODS = (
    "source-only",
    "norms",
    "replay",
    "a1",
    "a1, norms",
    "a2, norms",
    "ours",
    "ours, other choice",
    "b2, no replay",
    "ours, no replay",
    "ours, poor masks",
    "labels",
)


@dataclass(frozen=True, order=True)
class Cell:
    """One run of a grid: what is adapted to, how, and the seed of everything random."""

    target: str
    method: str
    seed: int

    @property
    def name(self) -> str:
        """Of files and of the command line."""
        return f"adapt/{self.target}/{self.method}/{self.seed}"

    @property
    def adapts(self) -> bool:
        """Whether anything is adapted; if not, the source model is measured as it is."""
        return self.method != "source-only"


HOME = Cell("source", "source-only", 0)
"""The source model where it was trained, which no adaptation to another look can be expected to beat by much."""


def settings_of(cell: Cell, materials: Materials) -> AdaptSettings:
    """How a cell adapts, but for a teacher, which is chosen when it runs; see `decide`."""
    scale = materials.scale
    changes: dict[str, Any] = {"seed": cell.seed, "precision": materials.precision}
    if cell.method == "paper's settings":
        return replace(preset("paper").adapt, steps=scale.paper_steps, **changes)
    chosen, small = preset(scale.preset), preset("small")
    ours = replace(small.adapt, steps=scale.adapt_steps, **changes)
    settings = _recipe(cell, ours)
    settings = replace(settings, loss=at_size(settings.loss, chosen.size / small.size))
    # A network that trains with smaller steps adapts with smaller steps.
    return replace(settings, rate=settings.rate * (chosen.pretrain.rate / small.pretrain.rate))


def _recipe(cell: Cell, settings: AdaptSettings) -> AdaptSettings:
    """What a cell changes of ours."""
    method = cell.method
    for ending in (OTHER, ", no replay"):
        method = method.removesuffix(ending)
    if cell.method.endswith(", no replay"):
        alone = preset("small").adapt_alone
        settings = replace(settings, replay=0, rate=alone.rate, steps=min(alone.steps, settings.steps))
    if method in LOSS_NAMES:
        return with_loss(settings, method)
    changes: dict[str, dict[str, Any]] = {
        "norms": {"rate": 0.0, "replay": 0, "steps": min(settings.steps, 60)},
        "replay": {"silhouette_weight": 0.0},
        "a1": {"keypoints": "a1"},
        "a1, norms": {"keypoints": "a1"},
        "a2, norms": {"keypoints": "a2", "every": 4},
        "ours, pixels": {"loss": replace(settings.loss, pixel_weight=4.0)},
        "ours, fits": {"every": 4},
        "ours, separate": {"optimizers": "separate"},
        "ours, heavy": {"silhouette_weight": 4 * settings.silhouette_weight},
        "ours, exact masks": {"masks": "truth"},
        "ours, poor masks": {"masks": "degraded"},
        "ours, source's look": {"replay_look": "source"},
        "ours, gaussian": {"fit": replace(settings.fit, prior="gaussian")},
        "ours, no prior": {"prior_weight": 0.0},
        "labels": {"supervised": True},
    }
    return replace(settings, **changes.get(method, {}))


def decide(cell: Cell, settings: AdaptSettings, apart: float) -> AdaptSettings:
    """With a teacher where two looks are few enough millimetres apart; the other way round where that is the method."""
    chosen = taught_if_near(settings, apart)
    if not cell.method.endswith(OTHER):
        return chosen
    return settings if chosen.teacher_weight else taught(settings)


def adaptation_grid(*, quick: bool = False) -> list[Cell]:
    """All cells, one seed of everything first; quick: of one seed, the strongest shifts, and a teacher where chosen."""
    style = [Cell("style", method, 0) for method in METHODS if not method.startswith("a")]
    site = [Cell("site", method, 0) for method in SITE_METHODS]
    targets = STRONGEST if quick else SHIFTS
    shifts = [Cell(target, method, 0) for target in targets for method in SHIFT_METHODS]
    seeds = range(1, 1 if quick else SEEDS)
    more = [Cell("style", method, seed) for seed in seeds for method in SEVERAL]
    more += [Cell("site", method, seed) for seed in seeds for method in SITE_METHODS]
    more += [Cell(target, method, seed) for seed in seeds for target in SHIFTS for method in SILHOUETTES]
    cells = [HOME, *style, *site, *shifts, *more]
    return [cell for cell in cells if not cell.method.endswith(OTHER)] if quick else cells


def run_adaptations(cells: list[Cell], materials: Materials, *, jobs: int, say: Say) -> None:
    """Run what has not run yet."""
    todo = [cell for cell in cells if not materials.has_run(cell.name)]
    if not todo:
        return
    for cell in todo:
        materials.target(cell.target, "test", say, seed=cell.seed)
        if cell.adapts:
            materials.target(cell.target, "adapt", say, seed=cell.seed)
    for cell in todo:
        if settings_of(cell, materials).keypoints:
            _keypoints(cell, materials, say)
    materials.source_model(say)
    for line in side_by_side(partial(_run, materials=materials), todo, jobs):
        say(line)


def _keypoints(cell: Cell, materials: Materials, say: Say) -> Path:
    return materials.keypoints(cell.target, say, norms=cell.method.endswith(", norms"))


def _run(cell: Cell, materials: Materials) -> str:
    body, quiet = Body.free(), nothing
    network = load_network(str(materials.source_model(quiet))).network
    test = Samples.load(materials.target(cell.target, "test", quiet, seed=cell.seed))
    settings, begun, resumed, apart = settings_of(cell, materials), time.time(), False, None
    if cell.adapts:
        split: Split = "test" if cell.method.endswith(", here") else "adapt"
        target = Samples.load(materials.target(cell.target, split, quiet, seed=cell.seed))
        if settings.keypoints:
            target = replace(target, keypoints=np.load(_keypoints(cell, materials, quiet)))
        source = Samples.load(materials.domain("source", "train", quiet))
        _, apart = choose_teacher(settings, network, target, body, materials.device)
        settings = settings if apart is None else decide(cell, settings, apart)
        folder = materials.folder / "runs" / cell.name
        resumed = (folder / STATE).exists()
        run = Run(folder, {"adapt": asdict(settings)})
        network = adapt(network, target, body, settings, run, source=source, device=materials.device)
    seconds = time.time() - begun
    scores = evaluate(network, test, body, device=materials.device)
    result = {
        **asdict(cell),
        **{name: _by_clip(getattr(scores, name), test.sequences) for name in ("mpjpe", "pa_mpjpe", "iou")},
        "seconds": None if resumed else round(seconds, 1),  # of a run that went on, the first part is not known
        "settings": asdict(settings) if cell.adapts else None,
        "apart": apart and round(apart, 1),  # millimetres between two looks, by which a teacher is chosen
    }
    materials.keep(cell.name, result)
    return f"{cell.name}: {_line(scores)}, {seconds:.0f} s"


def _by_clip(values: npt.NDArray[np.float32], clip: npt.NDArray[np.int64]) -> list[float]:
    """Means of clips, all equally long: images of one clip are not independent, clips are."""
    return [round(float(values[clip == number].mean()), 4) for number in np.unique(clip)]


def _line(scores: Scores) -> str:
    row = scores.summary()
    return f"PA-MPJPE {row['pa_mpjpe']:.1f}, MPJPE {row['mpjpe']:.1f}, IoU {row['iou']:.3f}"
