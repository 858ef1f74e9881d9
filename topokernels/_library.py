"""Loads the compiled operators once, when the package is imported."""

from __future__ import annotations

import re
from pathlib import Path

import torch


def check_torch(version: str) -> None:
    """Check a version of torch, which may have changed since the operators were compiled.

    Raises:
        ImportError: it is older than 2.10. Pre-releases of 2.10 pass.
    """
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers is not None and (int(numbers[1]), int(numbers[2])) < (2, 10):
        raise ImportError(
            f"topokernels: found torch {version}, expected 2.10 or later. Install a later torch "
            "(pip install --upgrade 'torch>=2.10'), then topokernels again."
        )


check_torch(torch.__version__)

try:
    from topokernels import _build_info
except ImportError as error:
    raise ImportError(
        "topokernels is not compiled here. Run `pip install .` in the project, "
        "and do not start Python in the source folder, which hides the installed package."
    ) from error

# The libraries are in the folder of the compiled module. In an editable install that is not the folder of this file.
_FOLDER = Path(_build_info.__file__).parent


def _load(name: str) -> bool:
    path = _FOLDER / f"lib{name}.so"
    if path.exists():
        try:
            torch.ops.load_library(str(path))
        except OSError as error:
            raise ImportError(
                f"topokernels: {path.name} does not load with torch {torch.__version__} ({error}). Install topokernels "
                "again, with this torch."
            ) from error
    return path.exists()


if not _load("topo_cpu"):
    raise ImportError(f"topokernels: {_FOLDER}/libtopo_cpu.so is missing; install it again")
# The CUDA library depends on libtorch_cuda, which a torch for CPUs does not bring.
_CUDA = torch.version.cuda is not None and _load("topo_cuda")


def has_cuda() -> bool:
    """Whether the CUDA kernels are loaded: they were compiled, and this torch has CUDA."""
    return _CUDA
