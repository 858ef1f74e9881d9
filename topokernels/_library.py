"""Loads the compiled operators, once, when the package is imported."""

from __future__ import annotations

from pathlib import Path

import torch

_HERE = Path(__file__).parent


def _load(name: str) -> bool:
    path = _HERE / f"lib{name}.so"
    if not path.exists():
        return False
    torch.ops.load_library(str(path))
    return True


if not _load("topo_cpu"):
    raise ImportError(
        f"topokernels is not compiled: {_HERE}/libtopo_cpu.so is missing. "
        "Run `pip install .` in the project, and do not import it from the source folder."
    )
CUDA_LOADED = torch.version.cuda is not None and _load("topo_cuda")


def has_cuda() -> bool:
    """Whether the CUDA kernels are loaded: they were compiled, and this torch has CUDA."""
    return CUDA_LOADED
