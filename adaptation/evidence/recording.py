"""The same on real footage, which nobody has labelled: how well bodies explain the masks found in a recording."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from adaptation.body import Body
from adaptation.checkpoints import load_network
from adaptation.domains.dataset import MARGIN, MASK_KINDS, Domain
from adaptation.domains.recordings import domain_of_crops
from adaptation.evidence.cells import Cell, settings_of
from adaptation.evidence.materials import Materials, Say, commit
from adaptation.evidence.pictures import SheetRow, body_tile, mask_tile, middle, pixels_of, side_tile, write_sheet
from adaptation.output import whole_file
from adaptation.overlay import AFTER, BEFORE
from adaptation.pipeline import FitOptions, make_fitter
from adaptation.training.adapt import AdaptSettings, adapt, split_by_clip
from adaptation.training.adaptation_report import Seen, see
from adaptation.training.presets import preset
from adaptation.training.programs import find_crops
from adaptation.training.runs import STATE, load_state
from adaptation.video import open_frames

_MODEL = "small"
_OPTIONS = FitOptions(size=preset("small").size, margin=MARGIN)
_SHOWN, _ACROSS, _WHOLE, _TILE, _LABEL = 12, 6, 176, 148, 76  # of the picture


@dataclass(frozen=True, eq=False)
class Looks:
    """What the source model and the adapted one say about the crops of a recording.

    Attributes:
        crops: (N,) numbers in the set of those that have a mask.
        aside: (N,) bool, those of the tracks that were set aside; all False where there is one track.
        before: what the source model says.
        after: what the adapted one says.
    """

    crops: npt.NDArray[np.int64]
    aside: npt.NDArray[np.bool_]
    before: Seen
    after: Seen

    def agreement(self, part: npt.NDArray[np.bool_]) -> dict[str, float | int] | None:
        """Mean IoU before and after, and the share of crops whose IoU rose, over some of the crops."""
        if not part.any():
            return None
        before, after = self.before.iou[part], self.after.iou[part]
        return {
            "crops": int(part.sum()),
            "iou_before": round(float(before.mean()), 4),
            "iou_after": round(float(after.mean()), 4),
            "rose": round(float((after > before).mean()), 4),
        }


def run_recording(video: Path, materials: Materials, say: Say) -> dict[str, Any]:
    """Adapt the shipped source model to a recording, with the method "ours", and measure agreement with its masks.

    What was done before is not repeated: ``recordings`` in the folder of the materials keeps crops, run and result.

    The tracks set aside are not learnt from, but decide which step's weights are kept; somebody who is lost and found
    again has several tracks.

    Returns:
        For the record: "all" and "aside" as `Looks.agreement` gives them, the second None where there is one track.
    """
    folder = _folder(video, materials)
    file = folder / "result.json"
    if not file.exists():
        body, settings = Body.free(), _settings(video, materials)
        domain = _crops(video, folder, body, say)
        source = Domain.load(materials.domain("source", "train", say))
        network, begun = load_network(_MODEL).network, time.time()
        say(f"adapting to {len(domain)} crops of {video.name}")
        adapt(network, domain, body, settings, folder / "run", source=source, describe={"video": video.name})
        seconds = time.time() - begun
        looks = _looks(domain, body, settings, network)
        result = {
            "video": video.name,
            "every": _OPTIONS.every,
            "tracks": len(np.unique(domain.clip)),
            "all": looks.agreement(np.ones_like(looks.aside)),
            "aside": looks.agreement(looks.aside),
            "seconds": round(seconds, 1),
            "commit": commit(),
            "settings": asdict(settings),
        }
        with whole_file(file) as stream:
            stream.write((json.dumps(result, indent=1) + "\n").encode())
    return json.loads(file.read_text())


def recording_picture(video: Path, materials: Materials, path: Path) -> None:
    """Write a JPEG of bodies before and after, over the masks that were found; not a pixel of the footage is in it.

    Crops of the tracks set aside come first, evenly spread, then others. `run_recording` must have run.

    Raises:
        UserError: it has not.
    """
    folder, body = _folder(video, materials), Body.free()
    domain, network = Domain.load(folder / "crops"), load_network(_MODEL).network
    network.load_state_dict(load_state(folder / "run" / STATE)["best"])
    looks = _looks(domain, body, _settings(video, materials), network)
    write_sheet(path, _rows(looks, domain, body), label_width=_LABEL)


def _folder(video: Path, materials: Materials) -> Path:
    return materials.folder / "recordings" / video.stem


def _settings(video: Path, materials: Materials) -> AdaptSettings:
    return settings_of(Cell(video.stem, "ours", 0), materials)


def _crops(video: Path, folder: Path, body: Body, say: Say) -> Domain:
    """The people of a recording, found once."""
    path = folder / "crops"
    if not (path / "domain.json").exists():
        say(f"finding people in {video.name}")
        outcome = find_crops(open_frames(video), body, _OPTIONS, load_network(_MODEL).network, masks=None)
        found = domain_of_crops([crop for person in outcome.people for crop in person.crops])
        found.save(path, {"video": video.name, "every": _OPTIONS.every, "size": _OPTIONS.size})
    return Domain.load(path)


def _looks(domain: Domain, body: Body, settings: AdaptSettings, adapted: nn.Module) -> Looks:
    training, judging = (part.numpy() for part in split_by_clip(domain, settings.hold_out, settings.seed))
    crops = np.union1d(training, judging)
    fitter = make_fitter(body, _OPTIONS)
    before, after = (
        see(network, domain, crops, fitter, settings.masks) for network in (load_network(_MODEL).network, adapted)
    )
    return Looks(crops, ~np.isin(crops, training), before, after)


def _rows(looks: Looks, domain: Domain, body: Body) -> list[SheetRow]:
    shown = _choose(looks.aside)
    size = _WHOLE
    grounds = [mask_tile(domain.masks[crop, MASK_KINDS.index("subtracted")], size) for crop in looks.crops[shown]]
    before, after = (
        pixels_of(seen.bodies.select(torch.tensor(shown)), body, size) for seen in (looks.before, looks.after)
    )
    columns = {
        "before": [body_tile(g, p, body, BEFORE) for g, p in zip(grounds, before, strict=True)],
        "after": [body_tile(g, p, body, AFTER) for g, p in zip(grounds, after, strict=True)],
        "after, from\nits side": [side_tile(p, body, AFTER, _WHOLE) for p in after],
    }
    captions = [
        f"IoU {looks.before.iou[i]:.2f} → {looks.after.iou[i]:.2f}, {'aside' if looks.aside[i] else 'learnt'}"
        for i in shown
    ]
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
    """At most 12 places, evenly spread: half of them set aside where there are so many."""
    places = [np.flatnonzero(part) for part in (aside, ~aside)]
    wanted = min(len(places[0]), max(_SHOWN // 2, _SHOWN - len(places[1])))
    numbers = (wanted, min(_SHOWN - wanted, len(places[1])))
    spread = [np.linspace(0, len(p) - 1, n).round().astype(int) for p, n in zip(places, numbers, strict=True)]
    return [int(place) for p, chosen in zip(places, spread, strict=True) for place in p[chosen]]
