import json
from pathlib import Path

import pytest

from adaptation.evidence.cells import Cell, finished, grid, run_cells, settings_of
from adaptation.evidence.document import write_document
from adaptation.evidence.materials import Materials, Scale

TINY = Scale(train=24, adapt=24, test=12, pretrain_steps=1, other_steps=1, uap_steps=1, adapt_steps=1)


def record_of(errors: dict[str, tuple[float, float]], seeds: int = 1) -> dict[str, object]:
    def cell(method: str, seed: int) -> dict[str, object]:
        pa, mp = errors[method]
        return {
            "target": "lr-32", "method": method, "seed": seed, "seconds": 90.0, "commit": "abc", "settings": None,
            "pa_mpjpe": {"mean": pa + seed, "half_interval": 4.0},
            "mpjpe": {"mean": mp, "half_interval": 6.0},
            "iou": {"mean": 0.5, "half_interval": 0.01},
        }  # fmt: skip

    scale = {"pretrain_steps": 7, "train": 24, "adapt": 12, "test": 36, "precision": "float32"}
    machine = {"processor": "x", "python": "3.11", "torch": "2.13"}
    return {"machine": machine, "materials": scale, "cells": [cell(m, s) for m in errors for s in range(seeds)]}


def test_the_document_says_what_the_record_says(tmp_path: Path) -> None:
    record = record_of(
        {"source-only": (200.0, 400.0), "b2": (130.0, 310.0), "ours": (120.0, 300.0), "labels": (100.0, 200.0)}
    )
    (tmp_path / "evidence.json").write_text(json.dumps(record))
    write_document(tmp_path / "evidence.json", tmp_path / "evidence.md")
    text = (tmp_path / "evidence.md").read_text()
    assert "-40 % on `lr-32` (200 to 120 mm)" in text
    assert "| ours | 120.0 ± 4.0 | -40.0 % | 80 % | 300.0 | -25.0 % | 0.500 | 1.5 |" in text
    assert "`ours` on `lr-32`" in text  # the lowest of the losses
    assert (tmp_path / "pictures" / "evidence.png").stat().st_size > 1000


def test_seeds_are_averaged_and_their_spread_is_shown(tmp_path: Path) -> None:
    (tmp_path / "evidence.json").write_text(json.dumps(record_of({"source-only": (200.0, 400.0)}, seeds=3)))
    write_document(tmp_path / "evidence.json", tmp_path / "evidence.md")
    assert "| source-only | 201.0 ± 4.0 (seeds 1.0) |" in (tmp_path / "evidence.md").read_text()


def test_methods_differ_in_what_they_are_named_for(tmp_path: Path) -> None:
    materials = Materials(tmp_path, TINY, "float32", 1)
    assert settings_of(Cell("style", "b2", 0), materials).loss.name == "b2"
    assert settings_of(Cell("style", "ours", 0), materials).every == 0
    assert settings_of(Cell("style", "ours, fits", 0), materials).every == 4
    assert settings_of(Cell("style", "labels", 0), materials).supervised
    assert settings_of(Cell("style", "replay", 0), materials).silhouette_weight == 0


@pytest.mark.parametrize("target", ["style", "uap-16"])
def test_a_grid_runs_once(tmp_path: Path, target: str) -> None:
    materials, said = Materials(tmp_path, TINY, "float32", 1), []
    cells = grid([target], ["source-only", "ours"], 1)
    assert finished(cells, materials) == []
    run_cells(cells, materials, jobs=1, say=said.append)
    rows = finished(cells, materials)
    assert [row["method"] for row in rows] == ["source-only", "ours"]
    assert all(row["pa_mpjpe"]["mean"] > 0 for row in rows)
    assert rows[1]["settings"]["loss"]["name"] == "ours"
    said.clear()
    run_cells(cells, materials, jobs=1, say=said.append)
    assert finished(cells, materials) == rows
    assert said == []  # nothing was filmed, trained or adapted again
