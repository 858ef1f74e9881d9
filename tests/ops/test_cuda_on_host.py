"""Compiles the CUDA kernels as C++ and runs them on the host, see tests/cpp."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
COMPILER = shutil.which(os.environ.get("CXX", "g++"))


@pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
@pytest.mark.parametrize(
    "name",
    ["test_cuda_kernels", "test_cuda_backward_kernels", "test_cuda_renderer", "test_cuda_edt", "test_cuda_masks"],
)
def test_cuda_kernels_on_the_host(name: str, tmp_path: Path) -> None:
    program = tmp_path / name
    compiled = subprocess.run(
        [
            str(COMPILER),
            *("-std=c++17", "-O1", "-pthread", "-DTORCH_STABLE_ONLY"),
            "-DTORCH_TARGET_VERSION=0x020A000000000000ULL",
            f"-I{ROOT / 'csrc'}",
            *("-isystem", str(Path(torch.__file__).parent / "include")),
            *(str(ROOT / f"tests/cpp/{name}.cpp"), "-o", str(program)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert compiled.returncode == 0, compiled.stderr
    # The time limit catches a kernel in which a thread misses a barrier, which would never end.
    result = subprocess.run([str(program)], capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
