"""Every instruction set gives bitwise equal results."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from topokernels import build_info

# Prints a digest of results and gradients, for both state types, odd widths and every option.
PROGRAM = """
import hashlib, itertools
import torch
from samples import all_samples, blobs, random, soft
from topokernels import edt, s2d, topology_loss

torch.set_num_threads(1)
digest = hashlib.sha256()

def add(*tensors):
    for tensor in tensors:
        digest.update(tensor.detach().contiguous().double().numpy().tobytes())

for size in ((31, 33), (64, 65), (1, 70), (255, 17), (256, 19), (19, 300), (140, 513)):
    for border, holes in itertools.product((False, True), repeat=2):
        mask = blobs(sum(size), 3, *size, dtype=torch.float32).requires_grad_()
        distance = s2d(mask, black_border=border, fill_holes=holes)
        grad = random(0, 3, *size).float()
        for upstream in (grad, grad * (grad > 1.7)):
            add(distance, torch.autograd.grad(distance, mask, upstream, retain_graph=True)[0])
    for options in ({}, {"signed": True, "sampling": (0.5, 0.5)}, {"squared": True, "sampling": (1.0, 3.0)}):
        for given in (mask, 1 - mask):
            distance = edt(given, black_border=border, **options)
            add(distance, torch.autograd.grad(distance.square().sum(), mask)[0])
mask = soft(1, 2, 30, 35).float().requires_grad_()
add(s2d(mask), torch.autograd.grad(topology_loss(mask, mask.roll(3, -1)), mask)[0])
for sample in all_samples():
    if sample.op.startswith(("m2s", "rasterize")):
        continue  # sums floating-point values in an order that depends on the instruction set
    out = sample.call()
    add(*(out if isinstance(out, tuple) else (out,)))
print(digest.hexdigest())
"""


def digest(level: str) -> str:
    # The package may be the installed one, or a source tree that this process has imported.
    path = os.pathsep.join([str(Path(__file__).parent), *(p for p in sys.path if p)])
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=Path(__file__).parent,  # the source folder would hide the installed package
        env={**os.environ, "TOPO_SIMD_LEVEL": level, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.fixture(scope="module")
def portable() -> str:
    return digest("portable")


@pytest.mark.parametrize("level", [lv for lv in build_info()["simd_levels"] if lv != "portable"])
def test_same_bits_as_portable(level: str, portable: str) -> None:
    assert len(portable) == 64
    assert digest(level) == portable
