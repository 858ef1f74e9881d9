"""Which GPUs the compiled CUDA kernels run on."""

from __future__ import annotations

import re
from collections.abc import Iterable


def has_kernel(capability: tuple[int, int], architectures: Iterable[str]) -> bool | None:
    """Whether a GPU can run kernels that were compiled for some architectures.

    A binary (``-real``) runs on its own major version from its minor version on. PTX (``-virtual``) is compiled by the
    driver for any later GPU. An architecture without a suffix has both. A letter after the number ("90a", "100f") ties
    both to that version, or to the family that begins with it. NVIDIA's CUDA C++ Programming Guide, "Compatibility",
    gives these rules.

    Args:
        capability: major and minor compute capability, as from ``torch.cuda.get_device_capability``.
        architectures: as CMake writes them, such as "80-real", "90", "120-virtual", "90a".

    Returns:
        None if that cannot be told, because an architecture is a word such as "native".
    """
    unknown = False
    for architecture in architectures:
        parts = re.fullmatch(r"(\d+)(\d)([af]?)(-real|-virtual)?", architecture)
        if parts is None:
            unknown = True
            continue
        compiled = (int(parts[1]), int(parts[2]))
        letter, kind = parts[3], parts[4]
        same_major = capability[0] == compiled[0] and capability[1] >= compiled[1]
        binary = kind != "-virtual" and same_major
        ptx = kind != "-real" and capability >= compiled
        if capability == compiled or (letter == "f" and same_major) or (not letter and (binary or ptx)):
            return True
    return None if unknown else False


def kernel_text(capability: tuple[int, int], architectures: list[str]) -> str:
    """Describe in a line whether the compiled kernels run on a GPU, and what to do if they do not."""
    number = f"{capability[0]}.{capability[1]}"
    listed = ", ".join(architectures)
    answer = has_kernel(capability, architectures)
    if answer:
        return f"compute capability {number}, has kernels"
    if answer is None:
        return f"compute capability {number}, unknown whether it has kernels, which were compiled for {listed}"
    return (
        f"compute capability {number}, has no kernel: they were compiled for {listed}. "
        f"Install again with CUDAARCHS={capability[0]}{capability[1]} pip install ."
    )
