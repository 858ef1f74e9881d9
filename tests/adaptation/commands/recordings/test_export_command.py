from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_line import Command
from exporting import FRAMES, VIEW, walker, write_folder

from adaptation.bodies.body import Body
from adaptation.regressors.files import SHIPPED


@pytest.fixture(scope="module")
def results(free_body: Body, tmp_path_factory: pytest.TempPathFactory) -> Path:
    people = {1: walker(free_body)[0], 2: walker(free_body, 1)[0]}
    return write_folder(tmp_path_factory.mktemp("results"), people)


def test_every_format(results: Path, command: Command, tmp_path: Path) -> None:
    for kind, start in (("glb", b"glTF"), ("bvh", b"HIERARCHY"), ("npz", b"PK")):
        out = tmp_path / f"a.{kind}"
        code, output, errors = command("export", results, "--format", kind, "--person", 2, "--out", out)
        assert code == 0 and not errors and str(out) in output
        assert out.read_bytes().startswith(start)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert float(arrays["mocap_framerate"]) == 2.5 and arrays["poses"].shape == (7, 156)
    code, output, _ = command("export", results, "--format", "obj", "--person", 1, "--out", tmp_path / "meshes")
    assert code == 0 and "5 meshes" in output
    names = sorted(path.name for path in (tmp_path / "meshes").glob("*.obj"))
    assert names == [f"frame_{frame:06d}.obj" for frame in FRAMES]
    one = tmp_path / "one.obj"
    assert command("export", results, "--format", "obj", "--person", 1, "--frame", 28, "--out", one)[0] == 0
    assert one.read_text() == (tmp_path / "meshes" / "frame_000028.obj").read_text()


def test_everybody_is_in_one_scene(free_body: Body, command: Command, tmp_path: Path) -> None:
    # The folder of an adapt run keeps its results in bodies/; files go beside what the user named.
    write_folder(tmp_path / "run" / "bodies", {1: walker(free_body)[0], 2: walker(free_body, 1)[0]})
    assert command("export", tmp_path / "run", "--format", "glb")[0] == 0
    content = (tmp_path / "run" / "people.glb").read_bytes()
    document = json.loads(content[20 : 20 + int.from_bytes(content[12:16], "little")])
    assert {"person_01", "person_02"} <= {node["name"] for node in document["nodes"]}


def test_the_only_person_need_not_be_named(free_body: Body, command: Command, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "one", {7: walker(free_body)[0]}, VIEW)
    assert command("export", folder, "--format", "bvh", "--fps", 30)[0] == 0
    assert f"Frame Time: {4 / 30:.9g}" in (folder / "person_07.bvh").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "fbx"], "--format must be one of glb, bvh, obj, npz, onnx, got 'fbx'"),
        (["--format", "bvh"], "holds several people: 1, 2; choose one with --person"),
        (["--format", "bvh", "--person", 9], "holds no person 9; there are 1, 2"),
        (["--format", "glb", "--frame", 3], "--frame has no effect on --format glb; it is for obj"),
        (["--format", "bvh", "--size", 64], "--size has no effect on --format bvh; it is for onnx"),
        (["--format", "onnx", "--fps", 5], "--fps has no effect on --format onnx; it is for glb, bvh, obj, npz"),
        (["--format", "obj", "--person", 1, "--frame", 21], "no body in frame 21; there are 5, from 20 to 44"),
        (["--format", "onnx"], "holds no adapted weights; expected the folder of an adapt run, or a model"),
    ],
)
def test_bad_requests_end_in_one_line(results: Path, command: Command, arguments: list[object], message: str) -> None:
    code, _, errors = command("export", results, *arguments)
    assert code == 2 and message in errors and errors.count("\n") == 1


def test_what_exists_is_kept(results: Path, command: Command, tmp_path: Path) -> None:
    out = tmp_path / "a.glb"
    out.write_text("mine")
    arguments = ("export", results, "--format", "glb", "--out", out)
    code, _, errors = command(*arguments)
    assert code == 2 and "exists already" in errors and out.read_text() == "mine"
    assert command(*arguments, "--overwrite")[0] == 0 and out.read_bytes().startswith(b"glTF")
    arguments = ("export", results, "--format", "obj", "--person", 1, "--out", tmp_path / "m")
    assert command(*arguments)[0] == 0
    assert command(*arguments)[0] == 2
    assert command(*arguments, "--overwrite")[0] == 0


def damage(name: str) -> Callable[[Path], None]:
    def cut(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])

    return cut


@pytest.mark.parametrize("name", ["settings.json", "person_01.npz"])
def test_damaged_results_end_in_one_line(free_body: Body, command: Command, tmp_path: Path, name: str) -> None:
    folder = write_folder(tmp_path / "results", {1: walker(free_body)[0]})
    damage(name)(folder)
    code, _, errors = command("export", folder, "--format", "glb")
    assert code == 2 and name in errors and errors.count("\n") == 1
    assert not list(folder.glob("*.glb"))


@pytest.mark.slow
def test_a_regressor_becomes_onnx(command: Command, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    code, output, _ = command("export", "small", "--format", "onnx", "--out", tmp_path / "small.onnx")
    assert code == 0 and "96 x 96 pixels; differs by at most" in output.replace("\n", " ")
    assert float(output.split("at most")[1].split()[0]) < 1e-4
    # The weights of a run; they are found again after the export.
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(SHIPPED["small"], run / "adapted.safetensors")
    assert command("export", run, "--format", "onnx")[0] == 0
    assert (run / "regressor.onnx").stat().st_size == (tmp_path / "small.onnx").stat().st_size
    code, _, errors = command("export", run, "--format", "onnx")
    assert code == 2 and "regressor.onnx exists already" in errors
