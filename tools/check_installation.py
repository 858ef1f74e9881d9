"""Installs the project in environments as people have them, and checks what is installed or which line is printed.

    python tools/check_installation.py [--build] [--only NAME]

Needs a network or a folder of packages that pip is configured for, and CMake; uv is tried if it is on PATH. An older
torch is a package of that name and version alone. Without --build nothing is compiled, which takes a few minutes;
--build compiles for the CPU in each way of installing, which takes some ten minutes more.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "tools"), str(ROOT / "tools")]

from build_environments import environment_with_torch, script  # noqa: E402  in folders that are no packages

Run = subprocess.CompletedProcess[str]
USE = "import torch, topokernels as t; print(t.s2d(torch.ones(4, 4)).sum().item(), t.build_info()['cuda_missing'])"


@dataclass(frozen=True)
class Place:
    """A virtual environment, and where its files and those of a case are."""

    work: Path
    python: Path

    def run(self, *command: str | Path, cwd: Path = Path("/"), **variables: str) -> Run:
        """Run a command with the environment activated, and without settings of this process that builds read."""
        kept = {name: value for name, value in os.environ.items() if not re.match("TOPO|CUDA|CXX|CC$|PYTHON", name)}
        kept["PATH"] = f"{self.python.parent}{os.pathsep}{os.environ['PATH']}"
        kept |= {"VIRTUAL_ENV": str(self.python.parents[1]), **variables}
        return subprocess.run(command, cwd=cwd, env=kept, capture_output=True, text=True, check=False)

    def pip(self, *arguments: str | Path, **variables: str) -> Run:
        """Run this interpreter's pip for the environment, which may have none."""
        return self.run(sys.executable, "-m", "pip", "--python", self.python, *arguments, **variables)

    def packages(self) -> str:
        """Names and versions of what is installed."""
        return self.pip("freeze").stdout


def check(condition: bool, run: Run) -> None:
    """Fail with the output of a command unless a condition holds."""
    if not condition:
        raise AssertionError(f"{run.args}\n{run.stdout[-3000:]}\n{run.stderr[-3000:]}")


def stopped(place: Place, text: str, **variables: str) -> None:
    """Check that pip stops with one line of ours, which contains a text, and changes nothing."""
    before = place.packages()
    run = place.pip("install", ROOT, **variables)
    lines = [line for line in (run.stdout + run.stderr).splitlines() if "topokernels: " in line]
    check(run.returncode != 0 and len(lines) == 1 and text in lines[0], run)
    check(place.packages() == before, run)


def made_up(work: Path, version: str | None) -> Place:
    """Make an environment with a torch that is a name and a version."""
    return Place(work, environment_with_torch(work / "environment", version))


def with_torch(work: Path) -> Place:
    """Make an environment with the torch that continuous integration uses."""
    place = made_up(work, None)
    run = place.pip("install", "--quiet", "-c", ROOT / "constraints.txt", "torch")
    check(run.returncode == 0, run)
    return place


def old_torch(work: Path) -> None:
    """An older torch stops pip, and uv before it downloads anything."""
    for version in ("2.7.1+cu128", "2.9.0"):
        (work / version).mkdir()
        place = made_up(work / version, version)
        stopped(place, f"found torch {version} in")
        if shutil.which("uv"):
            run = place.run("uv", "pip", "install", ROOT)
            check(run.returncode != 0 and f"found torch {version} in" in run.stderr, run)
            check("Downloading" not in run.stderr and f"torch=={version}" in place.packages(), run)


def misspelt(work: Path) -> None:
    """Switches that are misspelt, and programs that are missing."""
    place = made_up(work, "2.13.0")
    stopped(place, "found TOPO_CUDA=cuda, expected AUTO, ON or OFF", TOPO_CUDA="cuda")
    stopped(place, "CXX names g++-99, which is not there", CXX="g++-99")
    stopped(place, "no C++ compiler was found", PATH=str(place.python.parent))


def pre_release(work: Path) -> None:
    """A pre-release of 2.10 is kept: pip would install this project alone."""
    place = with_torch(work)
    (site,) = (place.python.parents[1] / "lib").glob("python*/site-packages")
    (metadata,) = site.glob("torch-*.dist-info")
    for file in (metadata / "METADATA", site / "torch" / "version.py"):
        file.write_text(re.sub(r"2\.13\.0(\+cpu)?", "2.10.0a0+gitabc", file.read_text()))
    metadata.rename(site / "torch-2.10.0a0+gitabc.dist-info")
    run = place.pip("install", "--dry-run", ROOT)
    (line,) = (line for line in run.stdout.splitlines() if line.startswith("Would install"))
    check(re.fullmatch(r"Would install topokernels-\S+", line) is not None, run)


def nvcc(work: Path) -> None:
    """An nvcc that cannot compile: AUTO builds for the CPU, ON stops."""
    place = with_torch(work)
    run = place.pip("install", "--quiet", "pybind11", "cmake", "ninja")
    check(run.returncode == 0, run)
    folder = place.run(place.python, "-m", "pybind11", "--cmakedir").stdout.strip()
    programs = {
        "is older than 11.8": "echo Cuda compilation tools, release 11.5, V11.5.119",
        "does not compile": "case $1 in --version) echo release 12.0,;; --list*) echo compute_90;; *) exit 1;; esac",
        "exit code 127: no cicc": "echo no cicc >&2; exit 127",
    }
    for number, (reason, line) in enumerate(programs.items()):
        compiler = str(script(work / f"nvcc{number}", line))
        configure = ("cmake", "-S", ROOT, "-B", work / f"build{number}", "-G", "Ninja", f"-Dpybind11_DIR={folder}")
        run = place.run(*configure, f"-DPython_EXECUTABLE={place.python}", CUDACXX=compiler)
        (said,) = (line for line in run.stdout.splitlines() if reason in line)
        check(run.returncode == 0 and "built for the CPU alone" in said and "Error" not in run.stderr, run)
        stopped(place, reason, CUDACXX=compiler, TOPO_CUDA="ON")
    stopped(place, "found CUDAARCHS=sm_75, expected", CUDAARCHS="sm_75")


def ways(work: Path) -> None:
    """Each way of installing compiles, from a folder with a space in its name, and keeps torch."""
    source = work / "a folder with spaces"
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, files.split("\0")):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, source / name)
    place = with_torch(work)
    tools = place.pip("install", "--quiet", "scikit-build-core", "pybind11", "ninja", "cmake")
    check(tools.returncode == 0, tools)
    before = place.packages()
    pip = (sys.executable, "-m", "pip", "--python", place.python, "install")
    for command in (
        (*pip, source),
        (*pip, "--no-build-isolation", source),
        (*pip, "-e", source),
        *([("uv", "pip", "install", source)] if shutil.which("uv") else []),
    ):
        run = place.run(*command, TOPO_CUDA="off")
        check(run.returncode == 0, run)
        used = place.run(place.python, "-c", USE)
        check(used.stdout == "64.0 TOPO_CUDA=OFF\n", used)
        lacking = place.run(place.python.parent / "topo-adapt", "doctor")
        check(lacking.returncode == 2 and lacking.stderr.count("\n") == 1 and "'.[adapt]'" in lacking.stderr, lacking)
        hidden = place.run(place.python, "-c", USE, cwd=ROOT)
        check("-e" in command or "do not start Python in the source folder" in hidden.stderr, hidden)
        place.pip("uninstall", "--yes", "topokernels")
        check(place.packages() == before, run)
    run = place.run(*pip, f"{source}[adapt]", TOPO_CUDA="OFF")
    doctor = place.run(place.python.parent / "topo-adapt", "doctor")
    check(run.returncode == 0 and doctor.returncode == 0 and "no: TOPO_CUDA=OFF" in doctor.stdout, doctor)


CASES: dict[str, Callable[[Path], None]] = {
    case.__name__: case for case in (old_torch, misspelt, pre_release, nvcc, ways)
}


def main() -> int:
    """Run the cases; return the number that failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", action="store_true", help="compile in each way of installing as well")
    parser.add_argument("--only", choices=CASES, help="run one case")
    options = parser.parse_args()
    failed = 0
    for name, case in CASES.items():
        if name != options.only if options.only else name == "ways" and not options.build:
            continue
        start = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="installation-") as work:
            try:
                case(Path(work))
                print(f"ok      {name} ({time.perf_counter() - start:.0f} s): {case.__doc__}", flush=True)
            except (AssertionError, ValueError) as error:
                failed += 1
                print(f"FAILED  {name}: {error}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
