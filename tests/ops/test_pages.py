"""Results and scratch of the CPU operators: calls lose no memory, and loops get the pages of freed results again."""

from __future__ import annotations

import ctypes
import platform
import resource
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
import torch
from samples import Sample, all_samples, soft
from torch import Tensor

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="counts what glibc's allocator does")
topo = torch.ops.topo
SIZE = 384  # a float32 result has 144 pages
PAGES = SIZE * SIZE * 4 // resource.getpagesize()
CALLS = 48


class _Mallinfo(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )


_MALLINFO = getattr(ctypes.CDLL(None), "mallinfo2", None)
if _MALLINFO is not None:
    _MALLINFO.restype = _Mallinfo


def bytes_in_use() -> int:
    assert _MALLINFO is not None
    info = _MALLINFO()
    return info.uordblks + info.hblkhd


@pytest.mark.skipif(_MALLINFO is None, reason="glibc before 2.33")
@pytest.mark.parametrize("sample", all_samples(), ids=str)
def test_calls_lose_no_memory(sample: Sample) -> None:
    """A lost block of a few bytes between two results keeps the allocator from joining them once they are free."""
    arguments = sample.arguments()
    call = getattr(torch.ops.topo, sample.op).default

    def growth() -> int:
        before = bytes_in_use()
        with torch.no_grad():
            for _ in range(100):
                call(*arguments, **sample.kwargs)
        return bytes_in_use() - before

    # Caches grow now and then, but not in every round. A lost block takes at least 32 bytes in each call.
    assert min(growth() for _ in range(4)) < 100 * 16


def square(size: int) -> Tensor:
    mask = torch.zeros(1, 1, size, size)
    mask[..., size // 4 : -size // 4, size // 3 : -size // 3] = 1
    return mask


def relu(size: int) -> Callable[[], Any]:
    mask = square(size)
    return lambda: torch.relu(mask)


def operators(size: int) -> dict[str, Callable[[], Any]]:
    """Every operator from masks to images or sums, forward and backward."""
    mask, target = square(size), square(size).roll(9, -1)
    distance, out, grad = topo.s2d(mask), topo.s2d(1 - target), torch.ones_like(mask)
    ridges, sums, flat = topo.d2t(distance, mask), torch.ones(1, 1), soft(0, 1, 1, size, size, dtype=torch.float32)
    modes = ("subgradient", "literal")
    calls: dict[str, Callable[[], Any]] = {
        "s2d": lambda: topo.s2d(mask),
        "s2d uint8": lambda: topo.s2d(mask.byte()),
        "s2d soft": lambda: topo.s2d(flat, iterations=2),
        "d2t": lambda: topo.d2t(distance, mask),
        "skeleton": lambda: topo.skeleton(mask),
        "skeleton soft": lambda: topo.skeleton(flat, iterations=2),
        "chamfer": lambda: topo.chamfer(mask, target, distance, out),
        "mask_chamfer": lambda: topo.mask_chamfer(mask, target, out),
        "mask_chamfer of skeletons": lambda: topo.mask_chamfer(mask, target, out, skeletons=True),
    }
    for mode in modes:
        steps = None if mode == "subgradient" else 2
        calls |= {
            f"s2d_backward {mode}": lambda m=mode, s=steps: topo.s2d_backward(grad, mask, s, 3, False, False, m),
            f"d2t_backward {mode}": lambda m=mode: topo.d2t_backward(grad, distance, mask, ridges, 3, m),
            f"skeleton_backward {mode}": lambda m=mode, s=steps: topo.skeleton_backward(grad, mask, s, 3, m),
            f"mask_chamfer_backward {mode}": lambda m=mode, s=steps: topo.mask_chamfer_backward(
                sums, sums, mask, target, out, s, True, m
            ),
        }
    return calls


def faults(calls: list[Callable[[], Any]], kept: int, between: bool) -> int:
    """Page faults of a loop that takes turns with ``calls`` and keeps the last results, after a first round."""
    results: deque[Any] = deque(maxlen=max(kept, 1))
    other = torch.ones(SIZE, SIZE + 100)

    def loop(count: int) -> None:
        for i in range(count):
            results.append(calls[i % len(calls)]())
            if between:
                results.append(other + i)
                other.mul(2)
            if not kept:
                results.clear()

    loop(24)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    loop(CALLS)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


LOOPS = {"drop": (0, False), "keep": (4, False), "between": (6, True), "sizes": (3, False)}


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("name", operators(8))
def test_loops_take_no_more_page_faults_than_relu(name: str, loop: str) -> None:
    sizes = (SIZE, SIZE // 2, SIZE * 3 // 4) if loop == "sizes" else (SIZE,)
    ours = faults([operators(size)[name] for size in sizes], *LOOPS[loop])
    theirs = faults([relu(size) for size in sizes], *LOOPS[loop])
    # Both now and then extend the heap or give its end back. Fresh results alone would take CALLS * PAGES.
    assert ours <= theirs + CALLS * PAGES // 4
