"""Calls of the CPU operators lose no memory."""

from __future__ import annotations

import ctypes
import platform

import pytest
import torch
from samples import Sample, all_samples

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="counts what glibc's allocator does")


class _Mallinfo(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )


def bytes_in_use() -> int:
    mallinfo = ctypes.CDLL(None).mallinfo2
    mallinfo.restype = _Mallinfo
    info = mallinfo()
    return info.uordblks + info.hblkhd


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="glibc before 2.33")
@pytest.mark.parametrize("sample", all_samples(), ids=str)
def test_calls_lose_no_memory(sample: Sample) -> None:
    """A lost block of a few bytes between two results keeps the allocator from joining them once they are free."""
    arguments = sample.arguments()
    call = getattr(torch.ops.topo, sample.op).default

    def run(count: int) -> None:
        with torch.no_grad():
            for _ in range(count):
                call(*arguments, **sample.kwargs)

    run(20)
    before = bytes_in_use()
    run(200)
    # A lost block takes at least 32 bytes in each call.
    assert bytes_in_use() - before < 200 * 16
