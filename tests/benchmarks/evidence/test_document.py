"""The document says what the record says."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from evidence.document import write_document
from evidence.failures import TITLES
from evidence.statistics import differ, estimate, paired

from adaptation.adapting.presets import preset


def record_of(errors: dict[str, tuple[float, float]], target: str = "style", seeds: int = 1) -> dict[str, object]:
    def cell(method: str, seed: int) -> dict[str, object]:
        pa, mp = errors[method]
        return {
            "cell": f"adapt/{target}/{method}/{seed}", "target": target, "method": method, "seed": seed,
            "seconds": 90.0, "commit": "abc", "settings": asdict(preset("small").adapt), "iou": [0.5, 0.5],
            "pa_mpjpe": [pa + seed - 2, pa + seed + 2], "mpjpe": [mp, mp],
        }  # fmt: skip

    scale = {
        "pretrain_steps": 7, "train": 24, "adapt": 12, "test": 36,
        "preset": "small", "precision": "float32", "device": "cpu",
    }  # fmt: skip
    machine = {"processor": "x", "gpu": None, "python": "3.11", "torch": "2.13"}
    cells = [cell(m, s) for m in errors for s in range(seeds)]
    return {
        "machine": machine,
        "materials": scale,
        "adaptations": cells,
        "detector": {},
        "fits": [],
        "failures": [],
        "recordings": [],
    }


def written(record: dict[str, object], folder: Path) -> str:
    (folder / "evidence.json").write_text(json.dumps(record))
    write_document(folder / "evidence.json", folder / "evidence.md")
    return (folder / "evidence.md").read_text()


def test_the_document_says_what_the_record_says(tmp_path: Path) -> None:
    errors = {
        "source-only": (200.0, 400.0),
        "norms": (170.0, 330.0),
        "replay": (140.0, 310.0),
        "b2": (130.0, 310.0),
        "ours": (120.0, 300.0),
        "b2, no replay": (140.0, 310.0),
        "ours, no replay": (135.0, 310.0),
        "labels": (100.0, 200.0),
    }
    text = written(record_of(errors), tmp_path)
    assert "changes the PA-MPJPE of a regressor by -40 % on people of another appearance (200 to 120 mm)." in text
    assert (
        "This is 80 % (`style`) of the gain from labels of the same crops. The paper's reduction by 29 % on another"
        in text
    )
    assert (
        "Without source data, the silhouette losses change the PA-MPJPE by -35.0 ± 0.0 mm (`style`) compared with "
        "batch norms alone (L_T added to L_S: -5.0 ± 0.0 mm (`style`)). With replayed source people in the target's "
        "appearance, they change it by -20.0 ± 0.0 mm (`style`) compared with replay alone "
        "(L_T added to L_S: -10.0 ± 0.0 mm (`style`))." in text
    )
    assert "| ours | 120.0 ± 3.9 | -40.0 % | 80 % |  | 300.0 | -25.0 % | 0.500 | 1.5 |" in text
    assert "| b2 | 130.0 ± 3.9 | -35.0 % | 70 % | +10.0 ± 0.0 |" in text
    assert "| no source: L_T added to L_S | -5.0 ± 0.0 |" in text
    assert "| cap of distances | 12 pixels |" in text
    assert (tmp_path / "pictures" / "evidence.png").stat().st_size > 1000


def test_a_site_has_a_table_of_its_own(tmp_path: Path) -> None:
    look = record_of({"source-only": (200.0, 400.0), "ours": (190.0, 300.0), "labels": (180.0, 200.0)})
    site = record_of({"source-only": (200.0, 400.0), "ours": (100.0, 300.0)}, "site", seeds=2)
    text = written({**look, "adaptations": [*look["adaptations"], *site["adaptations"]]}, tmp_path)  # type: ignore[misc]
    assert (
        "by -5 % on people of another appearance (200 to 190 mm) and by -50 % on such people in front of one camera"
        in text
    )
    assert "is not reached, not even with labels of the target (-10 %)." in text
    assert "Each seed is another camera (ours: -50 %, -50 %). Changes" in text
    assert text.index("## Another site") < text.index("| ours | 100.5 ± ")
    assert "## Shifts of the image" not in text


def test_what_is_missed_is_said(tmp_path: Path) -> None:
    errors = {"source-only": (200.0, 400.0), "ours": (190.0, 300.0), "labels": (180.0, 200.0)}
    assert "is not reached, not even with labels of the target (-10 %)" in written(record_of(errors), tmp_path)


def test_times_that_are_not_known_are_left_out(tmp_path: Path) -> None:
    record = record_of({"source-only": (200.0, 400.0), "ours": (120.0, 300.0)}, seeds=2)
    record["adaptations"][2]["seconds"] = None  # type: ignore[index]
    assert "| 0.500 | 1.5 |" in next(line for line in written(record, tmp_path).splitlines() if "| ours |" in line)
    record["adaptations"][3]["seconds"] = None  # type: ignore[index]
    assert "| 0.500 |  |" in next(line for line in written(record, tmp_path).splitlines() if "| ours |" in line)


def test_seeds_are_averaged_and_their_spread_is_shown(tmp_path: Path) -> None:
    text = written(record_of({"source-only": (200.0, 400.0)}, seeds=3), tmp_path)
    assert "| source-only | 201.0 ± 3.9 (1.0) |" in text


def test_shifts_share_a_table_with_the_papers_figures(tmp_path: Path) -> None:
    text = written(record_of({"source-only": (200.0, 400.0), "ours": (120.0, 300.0)}, target="lr-32"), tmp_path)
    assert "| ours | 120.0 ± 3.9 / 300 |" in text
    assert "| ours, change | -40.0 % / -25.0 % |\n| paper, change | -10.5 % / -25 % |" in text


def test_fits_are_compared_in_pairs(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ours = 60 + 10 * rng.standard_normal(40)
    losses = {"b1": ours + 8 + rng.standard_normal(40), "b2": ours[::-1], "ours": ours}
    record = record_of({"source-only": (200.0, 400.0)})
    record["fits"] = [
        {"cell": f"fit/medium/{loss}", "condition": "medium", "loss": loss, "pairs": 40, "start": 140.0,
         "pa_mpjpe": errors.tolist(), "mpjpe": 90.0, "converged": 0.5, "iou": 0.8, "seconds": 4.0, "commit": "abc"}
        for loss, errors in losses.items()
    ]  # fmt: skip
    text = written(record, tmp_path)
    row = next(line for line in text.splitlines() if line.startswith("| medium | 140 |"))
    assert f"{losses['b1'].mean():.1f} ± {1.96 * losses['b1'].std(ddof=1) / 40**0.5:.1f} \\*" in row
    assert row.count("\\*") == 1  # b2 has the same distribution
    assert "| medium | 50 % / 0.80 |" in text


def test_failures_and_recordings_have_their_tables(tmp_path: Path) -> None:
    record = record_of({"source-only": (200.0, 400.0)})
    counts = {kind: [3, 9] for kind in TITLES}
    record["failures"] = [
        {"cell": "failures/style", "target": "style", "images": 9, "picture": True, "commit": "abc",
         "before": counts, "after": {**counts, "legs_swapped": [1, 8]}}
    ]  # fmt: skip
    every = {"crops": 12, "iou_before": 0.5, "iou_after": 0.625, "rose": 0.9}
    record["recordings"] = [
        {"cell": "recording/hall", "video": "hall.avi", "tracks": 3, "all": every, "aside": None, "seconds": 90.0,
         "settings": {"steps": 40, "precision": "float32"}, "commit": "abc"}
    ]  # fmt: skip
    text = written(record, tmp_path)
    assert "| legs swapped | 3 of 9 | 1 of 8 |" in text and "(pictures/failures-style.jpg)" in text
    assert "| all | 12 | 0.500 | 0.625 | 90 % |" in text and "held out |" not in text


def test_what_seeds_change_stands_beside_every_difference(tmp_path: Path) -> None:
    record = record_of({"norms": (70.0, 150.0), "ours, no replay": (64.0, 140.0)}, seeds=2)
    rows = record["adaptations"]
    rows[3]["pa_mpjpe"] = [61.0, 65.0]  # type: ignore[index]
    assert "| no source: both losses | -7.0 ± 0.0 (1.4) |" in written(record, tmp_path)


def test_what_a_teacher_changes_stands_beside_what_is_known_before(tmp_path: Path) -> None:
    near = record_of({"ours": (60.0, 120.0), "ours, other choice": (64.0, 130.0)})["adaptations"]
    far = record_of({"ours": (98.0, 190.0), "ours, other choice": (120.0, 210.0)}, target="lr-32")["adaptations"]
    alone = record_of({"ours": (80.0, 150.0)}, target="night")["adaptations"]
    for rows, apart in ((near, 34.0), (far, 73.0), (alone, 55.0)):
        rows[0]["apart"] = apart  # type: ignore[index]
    near[0]["settings"]["teacher_weight"] = 2.0  # type: ignore[index]
    text = written({**record_of({}), "adaptations": [*near, *far, *alone]}, tmp_path)  # type: ignore[misc]
    assert "| style | 34 | 64.0 ± 3.9 | 60.0 ± 3.9 | -4.0 ± 0.0 | a teacher |" in text
    assert "| lr-32 | 73 | 98.0 ± 3.9 | 120.0 ± 3.9 | +22.0 ± 0.0 | none |" in text
    assert "| night | 55" not in text
    sites = [
        {**row, "target": "site", "seed": seed, "apart": 40.0 + 6 * seed}
        for seed, rows in enumerate((near, far))
        for row in rows
    ]
    text = written({**record_of({}), "adaptations": sites}, tmp_path)
    assert "| site, camera 0 | 40 | 64.0 ± 3.9 | 60.0 ± 3.9 | -4.0 ± 0.0 | a teacher |" in text
    assert "| site, camera 1 | 46 | 98.0 ± 3.9 | 120.0 ± 3.9 | +22.0 ± 0.0 | none |" in text


def test_intervals_and_chance() -> None:
    values = np.arange(10.0)
    assert str(estimate(values)) == "4.5 ± 1.9"
    assert str(estimate(values[:1])) == "0.0"
    assert paired(values + 1, values).mean == 1.0
    assert differ(values, values) == 1.0
    assert differ(values + 1, values) < 0.01
