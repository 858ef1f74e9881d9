"""Cells of an earlier record, which need not run again."""

from __future__ import annotations

import json
from collections.abc import Mapping
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
    """Load a record that this program wrote.

    Raises:
        UserError: the file is missing, damaged, or something else.
    """
    try:
        record: Record = json.loads(path.read_bytes())
        # Only what is read below: older records lack parts that came later.
        parts = ("adaptations", "fits", "recordings")
        whole = all(isinstance(row["cell"], str) for part in parts for row in record[part])
        whole = whole and isinstance(record["detector"], dict) and isinstance(record["materials"], dict)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a record of earlier evidence: {error}") from None
    if not whole:
        raise UserError(f"{path} is not a record of earlier evidence")
    return record


def take_over(record: Record, adaptations: list[Cell], fits: list[FitCell], materials: Materials) -> int:
    """Store the earlier results that today's settings would give again, for cells that have not run yet.

    Args:
        record: an earlier record.
        adaptations: cells of the adaptation grid that may be taken over.
        fits: cells of the fitting grid that may be taken over.
        materials: where results are stored.

    Returns:
        Number of results that were taken over.
    """
    then = record["materials"]
    # Another amount of data or training changes every result.
    if any(then.get(name) != value for name, value in asdict(materials.scale).items()):
        return 0
    # Records before the films had a version are of the first.
    filmed_alike = then.get("films", 1) == FILMS
    rows = {row["cell"]: row for part in ("adaptations", "fits") for row in record[part]}
    cells: list[Cell | FitCell] = [*adaptations, *fits]
    count = 0
    for cell in cells:
        row = rows.get(cell.name)
        if row is None or materials.has_run(cell.name):
            continue
        if _same_settings(cell, row, materials) and (filmed_alike or not _sees_filmed_masks(cell)):
            materials.keep(cell.name, row)
            count += 1
    return count + _take_over_failures(record, rows, materials)


def _sees_filmed_masks(cell: Cell | FitCell) -> bool:
    """Whether a result depends on masks from background subtraction, which another version of the films changes."""
    if isinstance(cell, FitCell):
        return CONDITIONS[cell.condition].filmed == "subtracted"
    return cell.method.adapts  # the source model is measured on exact masks


def _same_settings(cell: Cell | FitCell, row: Row, materials: Materials) -> bool:
    if isinstance(cell, FitCell):
        # A fit's settings are in its name; its code is taken to be unchanged.
        return True
    if not cell.method.adapts:
        return row["settings"] is None
    # Compared with today's settings, so that a changed default runs its cells again.
    today = settings_of(cell, materials)
    if (apart := row.get("apart")) is not None:
        # The same crops give the same distance, and so the same choice of a teacher.
        today = decide(cell, today, apart)
    return _plain(row["settings"]) == _plain(asdict(today))


def _take_over_failures(record: Record, rows: Mapping[str, Row], materials: Materials) -> int:
    count = 0
    for row in record.get("failures", []):
        failures = FailureCell(row["target"])
        run = failures.adaptation.name
        # Failures belong to one run, so they are only taken over together with its result.
        known = materials.has_run(run) and materials.result(run) == rows.get(run)
        if known and not materials.has_run(failures.name):
            materials.keep(failures.name, row)
            count += 1
    return count


def _plain(settings: Row | None) -> Row | None:
    """Return settings as JSON gives them back, without the precision, which decides about time and not results."""
    return settings and {**json.loads(json.dumps(settings)), "precision": None}
