"""The hooks that installers call, in processes of their own, as installers do."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from build_environments import ROOT, environment_with_torch, script

pytest.importorskip("scikit_build_core")


def hook(
    python: Path | str, name: str, *arguments: str, cwd: Path = ROOT, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Call a hook. This process's packages are on the PYTHONPATH, as pip has those of its build environment there."""
    code = f"import build_backend; print(build_backend.{name}(*{arguments!r}))"
    folders = [str(ROOT / "tools"), *filter(None, sys.path)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CUDA", "TOPO", "CXX"))}
    environment |= {"PYTHONPATH": os.pathsep.join(folders), **variables}
    return subprocess.run([python, "-c", code], cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def one_line(run: subprocess.CompletedProcess[str]) -> str:
    """The one line in which a hook ended."""
    assert run.returncode == 1 and run.stdout == "", run
    line = run.stderr.strip()
    assert line.startswith("topokernels: ") and "\n" not in line, run.stderr
    return line.removeprefix("topokernels: ")


HOOKS = (
    ("get_requires_for_build_wheel",),
    ("get_requires_for_build_editable",),
    ("prepare_metadata_for_build_wheel", "/nowhere"),
    ("prepare_metadata_for_build_editable", "/nowhere"),
    ("build_wheel", "/nowhere"),
    ("build_editable", "/nowhere"),
)


def test_every_hook_stops_at_an_older_torch(tmp_path: Path) -> None:
    python = environment_with_torch(tmp_path, "2.7.1+cu128")
    for name, *arguments in HOOKS:
        assert one_line(hook(python, name, *arguments)).startswith("found torch 2.7.1+cu128 in ")


def test_torch_is_required_where_there_is_none(tmp_path: Path) -> None:
    with_torch = hook(sys.executable, "get_requires_for_build_wheel")
    assert with_torch.returncode == 0 and "torch" not in with_torch.stdout
    bare = environment_with_torch(tmp_path, None)
    for name in ("scikit_build_core", "packaging", "pathspec"):
        folder = Path(str(importlib.import_module(name).__file__)).parent
        (next((tmp_path / "lib").glob("python*")) / "site-packages" / name).symlink_to(folder)
    without = hook(bare, "get_requires_for_build_wheel", PYTHONPATH=str(ROOT / "tools"))
    assert without.returncode == 0 and "torch>=2.10" in without.stdout
    # Elsewhere, because the project's folder may hold an environment that has a torch.
    paths = {"PYTHONPATH": str(ROOT / "tools"), "PATH": "/usr/bin:/bin"}
    uv = hook(bare, "get_requires_for_build_wheel", cwd=tmp_path, UV="uv", **paths)
    assert one_line(uv).startswith("found no torch in the active environment or .venv; uv hides others.")


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        ({"TOPO_CUDA": "cpu"}, "found TOPO_CUDA=cpu, expected AUTO, ON or OFF."),
        ({"CXX": "no-such-compiler"}, "CXX names no-such-compiler, which is not there"),
        ({"TOPO_CUDA": "AUTO", "CUDAARCHS": "sm_75"}, "TOPO_CUDA=AUTO: found CUDAARCHS=sm_75, expected"),
        ({"TOPO_CUDA": "ON", "CUDACXX": "/no/nvcc"}, "TOPO_CUDA=ON: /no/nvcc does not run"),
    ],
)
def test_problems_end_in_one_line(variables: dict[str, str], text: str) -> None:
    assert one_line(hook(sys.executable, "prepare_metadata_for_build_wheel", "/nowhere", **variables)).startswith(text)


def test_an_old_nvcc_stops_on_alone(tmp_path: Path) -> None:
    nvcc = str(script(tmp_path / "nvcc", "echo Cuda compilation tools, release 11.5, V11.5.119"))
    arguments = ("prepare_metadata_for_build_wheel", str(tmp_path))
    line = one_line(hook(sys.executable, *arguments, TOPO_CUDA="ON", CUDACXX=nvcc))
    assert line == f"TOPO_CUDA=ON: nvcc 11.5 ({nvcc}) is older than 11.8; TOPO_CUDA=OFF builds for the CPU alone."
    assert hook(sys.executable, *arguments, TOPO_CUDA="AUTO", CUDACXX=nvcc).returncode == 0
    assert "Requires-Dist: torch>=2.10.0.dev0" in next(tmp_path.glob("*.dist-info/METADATA")).read_text()
