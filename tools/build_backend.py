"""PEP 517 backend: scikit-build-core, plus torch as a build requirement only where it is missing.

The extension is compiled against LibTorch's stable ABI, so the torch that the user already has is
the right one to build with. Under pip's build isolation it is hidden from this process, but not
from an interpreter started with ``-I``, which ignores the ``PYTHONPATH`` that isolation rests on.
Only where that finds none (uv and `python -m build` use real environments) is torch required.
"""

from __future__ import annotations

import subprocess
import sys

from scikit_build_core import build as _backend
from scikit_build_core.build import *  # noqa: F403  re-exports the hooks that this backend keeps

# find_spec finds a module without importing it, which takes seconds for torch.
_FIND = "import importlib.util as u, sys; sys.exit(u.find_spec('torch') is None)"


def _torch_requirement() -> list[str]:
    found = subprocess.run([sys.executable, "-I", "-c", _FIND], check=False).returncode == 0
    return [] if found else ["torch>=2.10"]


def get_requires_for_build_wheel(config_settings: dict | None = None) -> list[str]:
    """Requirements of scikit-build-core, and torch where the target environment has none."""
    return _backend.get_requires_for_build_wheel(config_settings) + _torch_requirement()


def get_requires_for_build_editable(config_settings: dict | None = None) -> list[str]:
    """The same for `pip install -e`."""
    return _backend.get_requires_for_build_editable(config_settings) + _torch_requirement()
