"""Which GPUs run what was compiled for which architectures. No GPU is needed."""

from __future__ import annotations

import pytest

from adaptation.reports.gpu_architectures import has_kernel, kernel_text

BEFORE = ["80-real", "90-real", "120"]
DEFAULT = ["75-real", "80-real", "90", "120-real"]


@pytest.mark.parametrize(
    ("capability", "architectures", "expected"),
    [
        ((7, 5), BEFORE, False),  # T4, RTX 20
        ((10, 0), BEFORE, False),  # B200
        ((7, 0), DEFAULT, False),  # V100
        ((7, 5), DEFAULT, True),
        ((8, 0), DEFAULT, True),
        ((8, 6), DEFAULT, True),  # a binary runs on later minor versions
        ((8, 9), DEFAULT, True),
        ((9, 0), DEFAULT, True),
        ((10, 0), DEFAULT, True),  # PTX of 9.0
        ((10, 3), DEFAULT, True),
        ((12, 0), DEFAULT, True),
        ((13, 0), DEFAULT, True),
        ((8, 0), ["86-real"], False),  # and not on earlier ones
        ((9, 0), ["80-virtual"], True),
        ((7, 5), ["80-virtual"], False),
        ((9, 0), ["90a"], True),
        ((10, 0), ["90a"], False),  # neither binary nor PTX of "a" runs elsewhere
        ((10, 3), ["100f-real"], True),
        ((12, 0), ["100f"], False),
        ((9, 0), ["native"], None),
        ((9, 0), ["native", "90"], True),
        ((9, 0), [], False),
    ],
)
def test_has_kernel(capability: tuple[int, int], architectures: list[str], expected: bool | None) -> None:
    assert has_kernel(capability, architectures) is expected


def test_texts() -> None:
    assert kernel_text((9, 0), DEFAULT) == "compute capability 9.0, has kernels"
    assert kernel_text((7, 5), BEFORE) == (
        "compute capability 7.5, has no kernel: they were compiled for 80-real, 90-real, 120. "
        "Install again with CUDAARCHS=75 pip install ."
    )
    assert "unknown whether" in kernel_text((9, 0), ["native"])
