"""What a build needs, checked before it starts, so that what is missing ends in one line instead of a page of errors.

The build backend calls `check_environment` and `find_torch`; CMakeLists.txt runs this file as a program:

    build_checks.py torch                     print the folder of torch
    build_checks.py cuda ARCHITECTURES DIR..  print nvcc and the architectures to compile for, separated by a bar

The exit code is 1 where CUDA kernels cannot be compiled here, which TOPO_CUDA=AUTO accepts, and 2 for any other
problem. The only output is then a line that says what was found, what was expected, and what to do. This file needs
the standard library alone.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LOWEST_TORCH = (2, 10)
# The first nvcc that knows compute_90, whose PTX all later GPUs compile for themselves.
LOWEST_NVCC = (11, 8)
# Binaries for 7.5 (T4, RTX 20), 8.x, 9.0 and 12.x; PTX of 9.0 serves 10.x, 11.x and what comes.
ARCHITECTURES = ("75-real", "80-real", "90", "120-real")

# find_spec finds a module without importing it, which takes seconds for torch. A folder that an uninstalled torch left
# behind has no origin. version.py holds what torch.__version__ will be.
_FIND = """
import importlib.util, pathlib, re
spec = importlib.util.find_spec("torch")
if spec is not None and spec.origin:
    root = pathlib.Path(spec.origin).parent
    file = root / "version.py"
    text = re.search(r"__version__ = ['\\"]([^'\\"]+)", file.read_text() if file.exists() else "")
    print(root, text[1] if text else "of unknown version", sep="\\n")
"""


class Refusal(Exception):
    """A reason why this cannot be built here, in one line."""


class NoCuda(Refusal):
    """A reason why CUDA kernels cannot be compiled here, in one line."""


@dataclass(frozen=True)
class Torch:
    """A torch to build with: its folder, and its version as text."""

    root: Path
    version: str

    @property
    def too_old(self) -> bool:
        """Whether it lacks the stable ABI that the operators use. Pre-releases of the lowest version pass."""
        numbers = re.match(r"(\d+)\.(\d+)", self.version)
        return numbers is not None and (int(numbers[1]), int(numbers[2])) < LOWEST_TORCH


def find_torch() -> Torch | None:
    """Return the torch of the environment that is installed into, or else that of the build's own environment.

    pip hides the environment by PYTHONPATH, which -E ignores. uv builds in an environment of its own, and the one that
    it installs into is the active one or .venv.
    """
    own = [sys.executable, "-c", _FIND]
    # Not in the source folder, which would come first on the path.
    for command in ([sys.executable, "-E", "-c", _FIND], own, *([python, "-E", "-c", _FIND] for python in _others())):
        run = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
        lines = run.stdout.splitlines()
        if run.returncode == 0 and len(lines) == 2:
            return Torch(Path(lines[0]), lines[1])
    return None


def _others() -> Iterator[str]:
    """Yield the interpreters that uv may be installing for, if it runs this build."""
    if "UV" not in os.environ:
        return
    on_path = [Path(folder) for folder in os.get_exec_path()]
    here = Path.cwd()
    for folder in (*on_path, *(parent / ".venv" / "bin" for parent in (here, *here.parents))):
        environment = folder.parent
        marked = (environment / "pyvenv.cfg").exists() or (environment / "conda-meta").exists()
        if marked and environment != Path(sys.prefix) and (folder / "python").exists():
            yield str(folder / "python")


def check_torch(torch: Torch) -> None:
    """Check version and files of a torch.

    Raises:
        Refusal: it is too old, or has no headers or library to build with.
    """
    lowest = ".".join(map(str, LOWEST_TORCH))
    found = f"found torch {torch.version} in {torch.root.parent}"
    if torch.too_old:
        raise Refusal(
            f"{found}, expected {lowest} or later; nothing was changed. Upgrade torch from the index that you had it "
            f"from (pip install --upgrade 'torch>={lowest}'), or install topokernels into another environment."
        )
    for part in ("include/torch/csrc/stable/library.h", "lib/libtorch_cpu.so"):
        if not (torch.root / part).exists():
            raise Refusal(f"{found}, which lacks {part}; install a torch {lowest} or later that has it.")


def check_environment() -> str:
    """Check system, compiler, headers and the switch TOPO_CUDA; return the latter: AUTO, ON or OFF.

    Raises:
        Refusal: something is missing or misspelt.
    """
    if sys.platform != "linux":
        raise Refusal(f"found {sys.platform}, expected Linux. On Windows, install it in WSL 2; macOS is not supported.")
    check_compiler()
    if not any(Path(sysconfig.get_path(name), "Python.h").exists() for name in ("include", "platinclude")):
        raise Refusal(
            f"no Python.h in {sysconfig.get_path('include')}; install the headers of Python "
            f"{sys.version_info.major}.{sys.version_info.minor} (Debian, Ubuntu: apt install python3-dev)."
        )
    return cuda_switch(os.environ.get("TOPO_CUDA", ""))


def cuda_switch(text: str) -> str:
    """Return AUTO, ON or OFF for a value of TOPO_CUDA, in any case or as one of CMake's other words.

    Raises:
        Refusal: it is none of them.
    """
    words = {"AUTO": ("AUTO", ""), "ON": ("ON", "1", "YES", "TRUE"), "OFF": ("OFF", "0", "NO", "FALSE")}
    for switch, spellings in words.items():
        if text.strip().upper() in spellings:
            return switch
    raise Refusal(f"found TOPO_CUDA={text}, expected AUTO, ON or OFF.")


def check_compiler() -> None:
    """Check that CMake will find a compiler for C++17.

    Raises:
        Refusal: there is none, or it does not compile.
    """
    named = shlex.split(os.environ.get("CXX", ""))
    found = [path for name in (named[:1] or ["c++", "g++", "clang++", "icpx"]) if (path := shutil.which(name))]
    if not found:
        what = f"CXX names {named[0]}, which is not there" if named else "no C++ compiler was found"
        raise Refusal(f"{what}; install one (Debian, Ubuntu: apt install g++), or set CXX.")
    command = [found[0], *named[1:], "-std=c++17", "-fsyntax-only", "-x", "c++", "-"]
    failure = _failure(command, "#include <optional>\n")
    if failure is not None:
        raise Refusal(f"{found[0]} does not compile C++17 ({failure}); install g++ 9 or later, or set CXX.")


@dataclass(frozen=True)
class Toolkit:
    """An nvcc that works, and what it is to compile for, as CMake writes it."""

    nvcc: str
    architectures: tuple[str, ...]


def find_toolkit(architectures: str = "", includes: tuple[str, ...] = ()) -> Toolkit:
    """Return the first nvcc that compiles.

    Args:
        architectures: compute capabilities, separated by ``;``, commas or spaces; empty for CUDAARCHS or the default.
        includes: folders of csrc and of torch's headers, for a trial; without them nvcc is not tried.

    Raises:
        NoCuda: there is none; why, of the first that was found.
        Refusal: the architectures are misspelt, or unknown to the nvcc that was found.
    """
    asked = _architectures(architectures or os.environ.get("CUDAARCHS", ""))
    reasons = []
    for nvcc in _candidates():
        try:
            return _examine(nvcc, asked, includes)
        except NoCuda as error:
            reasons.append(error)
    if reasons:
        raise reasons[0]
    raise NoCuda("no nvcc was found on PATH, by CUDACXX, in CUDA_HOME or in /usr/local/cuda")


def _candidates() -> Iterator[str]:
    """Yield the nvccs to try. One that is named by CUDACXX is the only one."""
    if os.environ.get("CUDACXX"):
        yield os.environ["CUDACXX"]
        return
    folders = [os.environ.get(name) for name in ("CUDA_HOME", "CUDA_PATH")] + ["/usr/local/cuda"]
    found = [shutil.which("nvcc"), *(shutil.which(f"{folder}/bin/nvcc") for folder in folders if folder)]
    yield from dict.fromkeys(nvcc for nvcc in found if nvcc)


def _examine(nvcc: str, asked: tuple[str, ...], includes: tuple[str, ...]) -> Toolkit:
    text = _output(nvcc, "--version")
    numbers = re.search(r"release (\d+)\.(\d+)", text)
    if numbers is None:
        raise NoCuda(f"{nvcc} --version does not state its release")
    name = f"nvcc {numbers[1]}.{numbers[2]} ({nvcc})"
    if (int(numbers[1]), int(numbers[2])) < LOWEST_NVCC:
        raise NoCuda(f"{name} is older than {'.'.join(map(str, LOWEST_NVCC))}")
    known = re.findall(r"compute_(\d+[af]?)\b", _output(nvcc, "--list-gpu-arch"))
    chosen = asked or tuple(each for each in ARCHITECTURES if each.partition("-")[0] in known)
    unknown = [each for each in chosen if each[0].isdigit() and each.partition("-")[0].rstrip("af") not in known]
    if unknown:
        raise Refusal(f"{name} does not compile for {', '.join(unknown)}, only for {', '.join(known)}; set CUDAARCHS")
    if not chosen:
        raise NoCuda(f"{name} compiles for none of {', '.join(ARCHITECTURES)}; set CUDAARCHS")
    if includes:
        _compile(nvcc, name, includes)
    return Toolkit(nvcc, chosen)


def _output(nvcc: str, option: str) -> str:
    try:
        run = subprocess.run([nvcc, option], capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoCuda(f"{nvcc} does not run: {error}") from error
    if run.returncode != 0:
        raise NoCuda(f"{nvcc} {option} ends with exit code {run.returncode}{_detail(run.stderr or run.stdout)}")
    return run.stdout


def _compile(nvcc: str, name: str, includes: tuple[str, ...]) -> None:
    """Compile what every kernel's file includes: the host compiler or torch's headers may be too new for this nvcc."""
    source = '#include "cuda/common.cuh"\n__global__ void kernel() {}\n'
    host = os.environ.get("CUDAHOSTCXX")
    flags = [
        "-std=c++17",
        "--expt-relaxed-constexpr",
        "-DUSE_CUDA",
        "-DTORCH_STABLE_ONLY",
        '-DTOPO_CUDA_ARCHITECTURES=""',
    ]
    flags += ["-DTORCH_TARGET_VERSION=0x020A000000000000ULL", *(f"-I{folder}" for folder in includes)]
    flags += [*shlex.split(os.environ.get("CUDAFLAGS", "")), *(["-ccbin", host] if host else [])]
    failure = _failure([nvcc, *flags, "-x", "cu", "-c", "-o", "/dev/null", "-"], source)
    if failure is not None:
        raise NoCuda(f"{name} does not compile ({failure}); if the C++ compiler is too new for it, set CUDAHOSTCXX")


def _failure(command: list[str], source: str) -> str | None:
    """Compile a source text; return the first line that names an error, or None if there was none."""
    try:
        run = subprocess.run(command, input=source, capture_output=True, text=True, check=False, timeout=300)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if run.returncode == 0:
        return None
    lines = [line.strip() for line in (run.stderr + run.stdout).splitlines() if line.strip()]
    return next((line for line in lines if "error" in line.lower()), lines[0] if lines else f"exit {run.returncode}")


def _detail(text: str) -> str:
    lines = text.strip().splitlines()
    return f": {lines[0]}" if lines else ""


def _architectures(text: str) -> tuple[str, ...]:
    """Return architectures as CMake writes them. Dots, commas and spaces, as torch and people write them, are taken."""
    entries = [entry for entry in re.split(r"[;,\s]+", text) if entry]
    for entry in entries:
        if not re.fullmatch(r"\d+\.?\d[af]?(-real|-virtual)?|native|all|all-major", entry):
            raise Refusal(
                f"found CUDAARCHS={text}, expected compute capabilities such as 75 or '75;80', native, all or all-major"
            )
    return tuple(entry.replace(".", "") for entry in entries)


def main(arguments: list[str]) -> int:
    """Run as a program; the module's documentation says how."""
    try:
        if arguments[0] == "torch":
            torch = find_torch()
            if torch is None:
                raise Refusal(f"no torch was found for {sys.executable}; install torch 2.10 or later first.")
            check_torch(torch)
            print(torch.root, end="")
        else:
            toolkit = find_toolkit(arguments[1], tuple(arguments[2:]))
            print(toolkit.nvcc, ";".join(toolkit.architectures), sep="|", end="")
    except Refusal as error:
        print(error, end="", file=sys.stderr)
        return 1 if isinstance(error, NoCuda) else 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
