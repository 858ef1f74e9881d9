"""Versions of Python and of the packages that results depend on."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("topokernels", "torch", "numpy", "roma", "opencv-python-headless", "smplx")


def versions(packages: tuple[str, ...] = _PACKAGES) -> list[tuple[str, str]]:
    """Return name and version of Python and of packages; the version is "not installed" for a missing package."""
    found = [("python", platform.python_version())]
    for name in packages:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            found.append((name, "not installed"))
    return found
