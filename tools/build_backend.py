"""PEP 517 backend: scikit-build-core, checks before it, and torch as a build requirement only where it is missing.

The extension is compiled against LibTorch's stable ABI, so the torch that the user already has is the right one to
build with. A torch that is too old stops the build before an installer looks for a newer one, which would replace it.

Problems end the process with one line as its message: installers print the traceback of an exception in full.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from build_checks import NoCuda, Refusal, Torch, check_environment, check_torch, find_toolkit, find_torch

Settings = dict[str, "str | list[str]"] | None

try:
    from scikit_build_core import build as _backend
    from scikit_build_core.build import *  # noqa: F403  re-exports the hooks that this backend keeps
except ModuleNotFoundError as error:
    sys.exit(f"topokernels: a build without isolation needs {error.name}; run pip install scikit-build-core pybind11.")


def _checked_torch() -> Torch | None:
    """Check what a build needs; return the torch to build with, or None if there is none."""
    check_environment()
    torch = find_torch()
    if torch is not None:
        check_torch(torch)
    return torch


@contextmanager
def _one_line() -> Iterator[None]:
    try:
        yield
    except Refusal as error:
        sys.exit(f"topokernels: {error}")


def _requirements(hook: Callable[[Settings], list[str]], config_settings: Settings) -> list[str]:
    with _one_line():
        found = _checked_torch()
        # uv would fetch several GB, also where the environment that it installs into has a torch.
        if found is None and "UV" in os.environ:
            raise Refusal(
                "found no torch in the active environment or .venv; uv hides others. Install torch first (uv pip "
                "install torch), activate the environment that has it, or build with --no-build-isolation."
            )
        return hook(config_settings) + ([] if found else ["torch>=2.10"])


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    """Requirements of scikit-build-core, and torch where the target environment has none."""
    return _requirements(_backend.get_requires_for_build_wheel, config_settings)


def get_requires_for_build_editable(config_settings: Settings = None) -> list[str]:
    """The same for `pip install -e`."""
    return _requirements(_backend.get_requires_for_build_editable, config_settings)


def _metadata(hook: Callable[[str, Settings], str], directory: str, config_settings: Settings) -> str:
    """Write the metadata, after the checks. Installers ask for it before they look for dependencies."""
    with _one_line():
        torch = _checked_torch()
        _check_tools(torch)
        _check_cuda(torch)
    return hook(directory, config_settings)


def _check_cuda(torch: Torch | None) -> None:
    """Check what TOPO_CUDA=ON needs; of AUTO, what was asked for by CUDAARCHS."""
    switch = check_environment()
    if switch == "OFF":
        return
    try:
        trial = (os.path.abspath("csrc"), str(torch.root / "include")) if torch and switch == "ON" else ()
        find_toolkit(includes=trial)
    except Refusal as error:
        if switch == "ON" or not isinstance(error, NoCuda):
            raise Refusal(f"TOPO_CUDA={switch}: {error}; TOPO_CUDA=OFF builds for the CPU alone.") from error


def _check_tools(torch: Torch | None) -> None:
    """Check what build isolation would have installed."""
    if torch is None:
        raise Refusal("found no torch, expected 2.10 or later; install it first (pip install torch).")
    needed = {"pybind11": (), "cmake": ("cmake",), "ninja": ("ninja", "ninja-build", "make")}
    missing = [name for name, programs in needed.items() if not (find_spec(name) or any(map(shutil.which, programs)))]
    if missing:
        raise Refusal(f"a build without isolation needs {', '.join(missing)}; run pip install {' '.join(missing)}.")


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: Settings = None) -> str:
    """Write the metadata of the wheel to be built."""
    return _metadata(_backend.prepare_metadata_for_build_wheel, metadata_directory, config_settings)


def prepare_metadata_for_build_editable(metadata_directory: str, config_settings: Settings = None) -> str:
    """The same for `pip install -e`."""
    return _metadata(_backend.prepare_metadata_for_build_editable, metadata_directory, config_settings)


Hook = Callable[[str, Settings, "str | None"], str]


def _build(hook: Hook, directory: str, config_settings: Settings, metadata_directory: str | None) -> str:
    with _one_line():
        torch = _checked_torch()
        try:
            return hook(directory, config_settings, metadata_directory)
        except SystemExit:
            # Its pre-releases differ, and some lack parts of the stable ABI.
            if torch is not None and torch.version.startswith(("2.10.0a", "2.10.0.dev")):
                raise Refusal(f"the build failed with torch {torch.version}; 2.10 or later is known to work.") from None
            raise


def build_wheel(wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None) -> str:
    """Build the wheel."""
    return _build(_backend.build_wheel, wheel_directory, config_settings, metadata_directory)


def build_editable(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None
) -> str:
    """Build the wheel of `pip install -e`."""
    return _build(_backend.build_editable, wheel_directory, config_settings, metadata_directory)
