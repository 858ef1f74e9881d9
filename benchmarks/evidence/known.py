"""Cells of an earlier record that need not run again."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from adaptation.support.errors import UserError
from adaptation.synthetic.domains import FILMS
from evidence.cells import Cell, decide, settings_of
from evidence.failures import FailureCell
from evidence.fits import CONDITIONS, FitCell
from evidence.materials import Materials

Record = dict[str, Any]
Row = dict[str, Any]


def load_record(path: Path) -> Record:
    """A record as this program writes it.

    Raises:
        UserError: missing, damaged, or something else.
    """
    try:
        record: Record = json.loads(path.read_bytes())
        parts = ("adaptations", "fits", "recordings")
        whole = all(isinstance(row["cell"], str) for part in parts for row in record[part])
        whole = whole and isinstance(record["detector"], dict) and isinstance(record["materials"], dict)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a record of earlier evidence: {error}") from None
    if not whole:
        raise UserError(f"{path} is not a record of earlier evidence")
    return record


def take_over(record: Record, adaptations: list[Cell], fits: list[FitCell], materials: Materials) -> int:
    """Keep the rows that today's settings would give again, where they have not run yet; their number."""
    then, count = record["materials"], 0
    if any(then.get(name) != value for name, value in asdict(materials.scale).items()):
        return 0
    rows = {row["cell"]: row for part in ("adaptations", "fits") for row in record[part]}
    for cell in [*adaptations, *fits]:
        row = rows.get(cell.name)
        if row is None or materials.has_run(cell.name):
            continue
        if isinstance(cell, FitCell):
            masked, same = CONDITIONS[cell.condition].filmed == "subtracted", True
        else:
            masked = cell.adapts  # the source model is measured on exact masks
            today = settings_of(cell, materials) if cell.adapts else None
            if today and (apart := row.get("apart")) is not None:
                today = decide(cell, today, apart)  # as it was chosen then, from the same crops
            same = _plain(row["settings"]) == _plain(today and asdict(today))
        if same and (then.get("films", 1) == FILMS or not masked):
            materials.keep(cell.name, row)
            count += 1
    for row in record.get("failures", []):
        failures = FailureCell(row["target"])
        run = failures.adaptation.name
        known = materials.has_run(run) and materials.result(run) == rows.get(run)
        if known and not materials.has_run(failures.name):  # they are of that very run
            materials.keep(failures.name, row)
            count += 1
    return count


def _plain(settings: Row | None) -> Row | None:
    """As JSON gives settings back, less what decides on time and not on results."""
    return settings and {**json.loads(json.dumps(settings)), "precision": None}
