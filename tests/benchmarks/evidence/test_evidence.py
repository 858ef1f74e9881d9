import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import torch
from evidence import methods
from evidence.cells import Cell, decide, run_adaptations, settings_of
from evidence.fits import CONDITIONS, FitCell, fit_pairs, make_pairs, run_fits
from evidence.known import load_record, take_over
from evidence.materials import FULL, Materials, Scale
from evidence.methods import METHODS
from evidence.program import main

from adaptation.adapting.presets import preset
from adaptation.adapting.settings import AdaptSettings
from adaptation.adapting.teacher import taught
from adaptation.bodies.body import Body
from adaptation.bodies.renderer import exact_silhouette
from adaptation.evaluation.metrics import pa_mpjpe, silhouette_iou
from adaptation.support.errors import UserError
from adaptation.support.workers import one_thread
from adaptation.synthetic.domains import FILMS

PROGRAM = Path(__file__).parents[3] / "benchmarks" / "run_evidence.py"
TINY = Scale(
    train=24, adapt=24, test=12, pretrain_steps=1, other_steps=1, uap_steps=1, adapt_steps=1, pairs=5, fit_steps=2
)


def test_methods_differ_in_what_they_are_named_for(tmp_path: Path) -> None:
    materials = Materials(tmp_path, TINY, "float32", 1)

    def settings(method: str) -> AdaptSettings:
        return settings_of(Cell("style", METHODS[method], 0), materials)

    assert settings("ours") == replace(preset("small").adapt, steps=1)  # what users get
    assert settings("b2").loss.name == "b2" and settings("ours").loss.name == "ours"
    assert (
        settings("ours, pixels").loss.pixel_weight
        == settings("b1").silhouette_weight / settings("ours").silhouette_weight
    )
    assert settings("ours, fits").every == 4
    assert settings("ours, gaussian").fit.prior == "gaussian"
    assert settings("labels").supervised
    assert settings("replay").silhouette_weight == 0
    assert settings("b2, no replay").replay == 0 and settings("b2, no replay").loss.name == "b2"
    same = {"ours", "ours, here", "ours, other choice", "source-only"}
    assert all(settings(method) != settings("ours") for method in METHODS if method not in same)


def test_the_other_choice_of_a_teacher_is_the_other(tmp_path: Path) -> None:
    cells = [Cell("style", method, 0) for method in methods.ALL if method.flips_teacher]
    assert cells
    for cell in cells:
        usual = replace(cell, method=replace(cell.method, flips_teacher=False))
        settings = settings_of(cell, Materials(tmp_path, TINY, "float32", 1))
        assert settings == settings_of(usual, Materials(tmp_path, TINY, "float32", 1))
        assert decide(usual, settings, 30.0) == decide(cell, settings, 60.0) == taught(settings)
        assert decide(usual, settings, 60.0) == decide(cell, settings, 30.0) == settings


def test_the_recipe_is_scaled_to_network_and_crops(tmp_path: Path) -> None:
    small, full = (Materials(tmp_path, scale, "float32", 1) for scale in (Scale(), FULL))

    def settings(materials: Materials, method: str) -> AdaptSettings:
        return settings_of(Cell("style", METHODS[method], 0), materials)

    ours, scaled = (settings(materials, "ours") for materials in (small, full))
    ratio = 224 / 96
    assert scaled.loss.iterations == 28 and scaled.rate == ours.rate / 4
    assert scaled.loss.distance_weight == pytest.approx(ours.loss.distance_weight / ratio)
    assert scaled.loss.topology_weight == pytest.approx(ours.loss.topology_weight / ratio)
    assert settings(full, "b3").loss.topology_weight == settings(small, "b3").loss.topology_weight
    assert settings(full, "paper's settings") == preset("paper").adapt


@pytest.mark.parametrize("target", ["style", "site", "uap-16"])
def test_a_grid_runs_once(tmp_path: Path, target: str) -> None:
    materials, said = Materials(tmp_path, TINY, "float32", 1), []
    cells = [Cell(target, method, 0) for method in (methods.SOURCE_ONLY, methods.OURS)]
    assert not any(materials.has_run(cell.name) for cell in cells)
    run_adaptations(cells, materials, jobs=1, say=said.append)
    rows = [materials.result(cell.name) for cell in cells]
    assert [row["method"] for row in rows] == ["source-only", "ours"]
    assert all(min(row["pa_mpjpe"]) > 0 for row in rows)
    assert rows[1]["settings"]["loss"]["name"] == "ours"
    said.clear()
    run_adaptations(cells, materials, jobs=1, say=said.append)
    assert [materials.result(cell.name) for cell in cells] == rows
    assert said == []  # nothing was filmed, trained or adapted again


def test_known_cells_are_taken_over_where_settings_are_todays(tmp_path: Path) -> None:
    first, second = (Materials(tmp_path / name, TINY, "float32", 1) for name in ("first", "second"))
    cells, fit = (
        [Cell("style", each, 0) for each in (methods.SOURCE_ONLY, methods.NORMS, methods.OURS)],
        FitCell("medium", "ours"),
    )
    for cell in cells[1:]:
        first.keep(cell.name, {"settings": asdict(settings_of(cell, first)), "commit": "abc"})
    first.keep(cells[0].name, {"settings": None, "commit": "abc"})
    first.keep(fit.name, {"pairs": 5, "commit": "abc"})
    rows = [first.result(cell.name) for cell in cells]
    rows[1]["settings"]["rate"] = 7.0
    scale = {**asdict(TINY), "films": FILMS}
    record = {"materials": scale, "adaptations": rows, "fits": [first.result(fit.name)]}
    assert take_over(record, cells, [fit], second) == 3
    assert [second.has_run(cell.name) for cell in cells] == [True, False, True]
    assert second.result(fit.name)["commit"] == "abc"
    assert take_over(record, cells, [fit], second) == 0
    failed = {"cell": "failures/style", "commit": "abc", "target": "style", "images": 12}
    assert take_over({**record, "failures": [failed]}, cells, [], second) == 1
    assert second.result("failures/style") == failed
    other = Materials(tmp_path / "other", TINY, "float32", 1)
    assert take_over({**record, "failures": [failed]}, cells[:2], [], other) == 1  # not of a run that is not known
    rows[2] |= {"settings": asdict(taught(settings_of(cells[2], first))), "apart": 40.0}  # what was chosen, and why
    third = Materials(tmp_path / "chosen", TINY, "float32", 1)
    assert take_over(record, [*cells, Cell("style", methods.OURS_FLIPPED, 0)], [], third) == 2
    assert third.result(cells[2].name)["settings"]["teacher_weight"] == 2
    for name, value in {"test": 99, "detector_steps": 99, "preset": "paper"}.items():
        record["materials"] = {**scale, name: value}
        assert take_over(record, cells, [fit], Materials(tmp_path / name, TINY, "float32", 1)) == 0
    record["materials"] = {**scale, "films": FILMS - 1}  # the fit's masks are drawn, the source model sees none
    assert take_over(record, cells, [fit], Materials(tmp_path / "fourth", TINY, "float32", 1)) == 2


@pytest.mark.parametrize("text", ["[]", "{", '{"adaptations": [{}], "fits": [], "recordings": []}'])
def test_what_is_no_record_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "known.json").write_text(text)
    with pytest.raises(UserError, match=r"known\.json is not a record of earlier evidence"):
        load_record(tmp_path / "known.json")


def test_a_recording_alone_is_gathered(tmp_path: Path) -> None:
    Materials(tmp_path, Scale(), "float32", 1).keep("recording/cam", {"video": "cam.avi"})
    main(work=tmp_path, gather=True, out=tmp_path / "evidence.json")
    assert load_record(tmp_path / "evidence.json")["recordings"][0]["video"] == "cam.avi"


def test_cells_of_fits_run_once(tmp_path: Path) -> None:
    materials, said = Materials(tmp_path, TINY, "float32", 1), []
    cells = [FitCell("medium", "ours"), FitCell("medium", "ours, literal"), FitCell("small", "points")]
    run_fits(cells, materials, jobs=1, say=said.append)
    rows = [materials.result(cell.name) for cell in cells]
    assert all(len(row["pa_mpjpe"]) == 5 and 0 <= row["iou"] <= 1 for row in rows)
    assert rows[0]["start"] == rows[1]["start"] > rows[2]["start"]
    said.clear()
    run_fits(cells, materials, jobs=1, say=said.append)
    assert said == []


@pytest.mark.parametrize("name", [name for name, condition in CONDITIONS.items() if not condition.filmed])
def test_conditions_are_what_they_say(tmp_path: Path, name: str) -> None:
    materials, body, condition = Materials(tmp_path, TINY, "float32", 1), Body.free(), CONDITIONS[name]
    pairs = make_pairs(condition, body, materials)
    posed = body(pairs.truth.pose, pairs.truth.betas)
    drawn = exact_silhouette(posed.vertices, body.faces, pairs.truth.camera, pairs.masks.shape[-1])
    extra, missing = ((pairs.masks > drawn).sum((1, 2, 3)), (pairs.masks < drawn).sum((1, 2, 3)))
    wider, narrower = condition.masks in ("dilated", "clothes"), condition.masks == "hidden"
    assert bool((extra > 0).all()) == wider
    assert bool((missing > 0).all()) == narrower
    assert bool((pairs.truth.betas == 0).all()) == condition.same_build
    assert bool((pairs.masks[:, 0, -1].sum(1) > 0).any()) == (condition.cut > 0)  # reaches the lower edge
    start = body.joints(pairs.start.pose, pairs.start.betas)
    assert (pa_mpjpe(start, posed.joints) > 20).all()


def test_a_fit_under_any_prior_comes_nearer_to_the_mask(tmp_path: Path) -> None:
    materials, body = Materials(tmp_path, TINY, "float32", 1), Body.free()
    for name in ("medium", "prior of other kinds", "no prior"):
        pairs = make_pairs(CONDITIONS[name], body, materials)
        fitted = fit_pairs(FitCell(name, "b2"), pairs, body, 30)
        with torch.no_grad():
            begun, ended = (
                exact_silhouette(body(each.pose, each.betas).vertices, body.faces, each.camera, 112)
                for each in (pairs.start, fitted)
            )
        assert silhouette_iou(ended, pairs.masks).mean() > silhouette_iou(begun, pairs.masks).mean() + 0.1


def _sleep(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def _grid(port: Connection) -> None:
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=one_thread) as pool:
        port.send(pool.submit(_sleep, 0.0).result())
        pool.submit(_sleep, 600.0).result()


def test_workers_do_not_outlive_the_grid() -> None:
    here, there = Pipe()
    grid = get_context("spawn").Process(target=_grid, args=(there,))
    grid.start()
    worker = here.recv()
    os.kill(worker, 0)  # it lives
    grid.terminate()
    grid.join()
    for _ in range(100):
        try:
            state = Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return
        if state == "Z":  # dead, but not yet waited for
            return
        time.sleep(0.1)
    os.kill(worker, signal.SIGKILL)
    pytest.fail("the worker went on")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--only", "adapt/moon/*"), "no cell is named like 'adapt/moon/*'"),
        (("--preset", "paper", "--quick"), "--quick needs --preset small"),
        (("--preset", "paper", "--video", "hall.avi"), "--video needs --preset small"),
    ],
)
def test_wrong_options_end_in_one_line(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    command = [sys.executable, str(PROGRAM), "--work", str(tmp_path), *options]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert ended.returncode == 2
    assert message in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
