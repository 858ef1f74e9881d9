"""Adaptation to real footage without labels: how well bodies explain the masks found in a recording."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from adaptation.adapting.algorithm1 import adapt
from adaptation.adapting.judge import split_by_clip
from adaptation.adapting.presets import preset
from adaptation.adapting.settings import AdaptSettings
from adaptation.adapting.teacher import choose_teacher
from adaptation.bodies.body import Body
from adaptation.data.samples import MASK_KINDS, Samples
from adaptation.recording.crop_sets import samples_of_crops
from adaptation.recording.footage.video import open_frames
from adaptation.recording.found_people import find_crops
from adaptation.recording.options import FitOptions
from adaptation.recording.pipeline import make_fitter
from adaptation.regressors.files import load_network
from adaptation.reports.adaptation_crops import Seen, see
from adaptation.support.pictures import AFTER, BEFORE
from adaptation.support.progress import Progress
from adaptation.synthetic.settings import MARGIN
from adaptation.training.runs import Run
from evidence.cells import Cell, settings_of
from evidence.materials import Materials, Say
from evidence.methods import OURS
from evidence.pictures import SheetRow, body_tile, mask_tile, middle, pixels_of, side_tile, write_sheet

_MODEL = "small"
_OPTIONS = FitOptions(size=preset("small").size, margin=MARGIN)
# Of the picture: crops, crops per row, and pixels of a crop as drawn, of its middle that is shown, and of the labels.
_SHOWN, _ACROSS, _WHOLE, _TILE, _LABEL = 12, 6, 176, 148, 76


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions of the source model and the adapted one for the crops of a recording.

    Attributes:
        crops: (N,) indices of the crops that have a mask.
        aside: (N,) bool, which crops belong to held-out tracks; all False if there is one track.
        before: predictions of the source model.
        after: predictions of the adapted model.
    """

    crops: npt.NDArray[np.int64]
    aside: npt.NDArray[np.bool_]
    before: Seen
    after: Seen

    def agreement(self, part: npt.NDArray[np.bool_]) -> dict[str, float | int] | None:
        """Return mean IoU before and after, and the share of crops whose IoU rose, over a part (N,) of the crops."""
        if not part.any():
            return None
        before, after = self.before.iou[part], self.after.iou[part]
        return {
            "crops": int(part.sum()),
            "iou_before": round(float(before.mean()), 4),
            "iou_after": round(float(after.mean()), 4),
            "rose": round(float((after > before).mean()), 4),
        }


def run_recording(video: Path, materials: Materials, say: Say) -> None:
    """Adapt the shipped source model to a recording with "ours", and measure the agreement with its masks.

    The folder ``recordings`` of the materials keeps crops and run, so that nothing is done twice.

    The network does not learn from held-out tracks, but they decide which weights are kept. A person who is lost and
    found again has several tracks. The picture shows bodies before and after over the masks that were found, crops of
    held-out tracks first.

    Args:
        video: the recording.
        materials: source crops, and where results are stored.
        say: called with a line about each thing that is done.
    """
    name = f"recording/{video.stem}"
    if materials.has_run(name):
        return
    folder, body = _folder(video, materials), Body.free()
    samples = _crops(video, folder, say)
    source = Samples.load(materials.domain("source", "train", say))
    network, begun = load_network(_MODEL).network, time.time()
    # The same choice as `topo-adapt adapt` makes; nothing is flipped on real footage.
    settings, _ = choose_teacher(_settings(video, materials), network, samples, body)
    say(f"adapting to {len(samples)} crops of {video.name}")
    run = Run(folder / "run", {"adapt": asdict(settings), "video": video.name})
    adapt(network, samples, body, settings, run, source=source)
    seconds = time.time() - begun
    predictions = _predict(samples, body, settings, network)
    # The picture contains no pixel of the footage, so that it can be shown where the footage may not.
    write_sheet(materials.picture(f"recording-{video.stem}"), _rows(predictions, samples, body), label_width=_LABEL)
    result = {
        "video": video.name,
        "every": _OPTIONS.every,
        "tracks": len(np.unique(samples.sequences)),
        "all": predictions.agreement(np.ones_like(predictions.aside)),
        "aside": predictions.agreement(predictions.aside),
        "seconds": round(seconds, 1),
        "settings": asdict(settings),
    }
    materials.keep(name, result)
    say(f"{name}: IoU {result['all']}")


def _folder(video: Path, materials: Materials) -> Path:
    return materials.folder / "recordings" / video.stem


def _settings(video: Path, materials: Materials) -> AdaptSettings:
    return settings_of(Cell(video.stem, OURS, 0), materials)


def _crops(video: Path, folder: Path, say: Say) -> Samples:
    """Return the crops of the people of a recording, which are found once."""
    path = folder / "crops"
    if not (path / "domain.json").exists():
        say(f"finding people in {video.name}")
        people = find_crops(open_frames(video), _OPTIONS, Progress()).crops
        found = samples_of_crops([crop for crops in people for crop in crops])
        found.save(path, {"video": video.name, "every": _OPTIONS.every, "size": _OPTIONS.size})
    return Samples.load(path)


def _predict(samples: Samples, body: Body, settings: AdaptSettings, adapted: nn.Module) -> Predictions:
    # The same split as in the adaptation, from the same seed.
    training, judging = (part.numpy() for part in split_by_clip(samples, settings.hold_out, settings.seed))
    crops = np.union1d(training, judging)
    fitter = make_fitter(body, _OPTIONS)
    before, after = (
        see(network, samples, crops, fitter, settings.masks) for network in (load_network(_MODEL).network, adapted)
    )
    # With one track both parts are equal, and no crop counts as held out.
    return Predictions(crops, ~np.isin(crops, training), before, after)


def _rows(predictions: Predictions, samples: Samples, body: Body) -> list[SheetRow]:
    assert samples.masks is not None  # crops of a recording have them
    shown = _choose(predictions.aside)
    size = _WHOLE
    grounds = [
        mask_tile(samples.masks[crop, MASK_KINDS.index("subtracted")], size) for crop in predictions.crops[shown]
    ]
    before, after = (
        pixels_of(seen.bodies.select(torch.tensor(shown)), body, size)
        for seen in (predictions.before, predictions.after)
    )
    columns = {
        "before": [body_tile(g, p, body, BEFORE) for g, p in zip(grounds, before, strict=True)],
        "after": [body_tile(g, p, body, AFTER) for g, p in zip(grounds, after, strict=True)],
        "after, from\nits side": [side_tile(p, body, AFTER, _WHOLE) for p in after],
    }
    iou = [f"IoU {predictions.before.iou[i]:.2f} → {predictions.after.iou[i]:.2f}" for i in shown]
    captions = [f"{text}, {'aside' if predictions.aside[i] else 'learnt'}" for text, i in zip(iou, shown, strict=True)]
    return [
        SheetRow(
            label,
            [middle(tile, _TILE) for tile in tiles[first : first + _ACROSS]],
            captions[first : first + _ACROSS] if label == "before" else (),
        )
        for first in range(0, len(shown), _ACROSS)
        for label, tiles in columns.items()
    ]


def _choose(aside: npt.NDArray[np.bool_]) -> list[int]:
    """Choose at most 12 crops, evenly spread, half of them from held-out tracks if there are as many."""
    places = [np.flatnonzero(part) for part in (aside, ~aside)]
    # More than half only where the other part has too few.
    count = min(len(places[0]), max(_SHOWN // 2, _SHOWN - len(places[1])))
    numbers = (count, min(_SHOWN - count, len(places[1])))
    spread = [np.linspace(0, len(p) - 1, n).round().astype(int) for p, n in zip(places, numbers, strict=True)]
    return [int(place) for p, chosen in zip(places, spread, strict=True) for place in p[chosen]]
