"""Versions of Python and of the packages that results depend on."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("topokernels", "torch", "numpy", "roma", "smplx")
# Each brings the module cv2; the last is that of conda and of builds from source.
_OPENCV = (
    "opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless", "opencv",
)  # fmt: skip


def versions(packages: tuple[str, ...] = _PACKAGES) -> list[tuple[str, str]]:
    """Return name and version of Python, of packages and of each OpenCV; "not installed" for a missing package."""
    found = [("python", platform.python_version()), *((name, _version(name) or "not installed") for name in packages)]
    return found + (installed(_OPENCV) or [("opencv", "not installed")])


def installed(packages: Iterable[str]) -> list[tuple[str, str]]:
    """Return name and version of those packages that are installed."""
    return [(name, number) for name in packages if (number := _version(name))]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def opencv_warning(distributions: list[tuple[str, str]]) -> str | None:
    """Return what to do if several installed packages bring cv2 and so overwrite each other's files.

    Args:
        distributions: names and versions of packages, as from `versions`; others than OpenCV's are ignored.
    """
    names = [name for name, number in distributions if name in _OPENCV and number != "not installed"]
    if len(names) <= 1:
        return None
    return (
        f"{len(names)} packages share the module cv2, and the last one installed overwrote files of the others. "
        f"Keep one: pip uninstall {' '.join(names)}, then pip install the one that you want"
    )
