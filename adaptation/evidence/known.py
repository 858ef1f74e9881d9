"""Takes cells over from an earlier record, so that only what has changed is run again."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from adaptation.errors import UserError
from adaptation.evidence.cells import Cell, settings_of
from adaptation.evidence.fits import FitCell
from adaptation.evidence.materials import Materials


def take_over(path: Path, adaptations: list[Cell], fits: list[FitCell], materials: Materials) -> int:
    """Keep the rows of a record that today's settings would give again, where they have not run yet; their number.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        record: dict[str, Any] = json.loads(path.read_bytes())
        rows = {row["cell"]: row for part in ("adaptations", "fits") for row in record[part]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a record of earlier evidence: {error}") from None
    scale, count = materials.scale, 0
    for cell in [*adaptations, *fits]:
        row = rows.get(cell.name)
        if row is None or materials.has_run(cell.name):
            continue
        if isinstance(cell, FitCell):
            same = row["pairs"] == scale.pairs and record["materials"]["fit_steps"] == scale.fit_steps
        else:
            today = asdict(settings_of(cell, materials)) if cell.adapts else None
            same = record["materials"]["test"] == scale.test and _plain(row["settings"]) == _plain(today)
        if same:
            materials.keep(cell.name, row)
            count += 1
    return count


def _plain(settings: dict[str, Any] | None) -> dict[str, Any] | None:
    """As JSON gives settings back, less what decides on time and not on results."""
    return settings and {name: value for name, value in json.loads(json.dumps(settings)).items() if name != "precision"}
