"""The ``topo-adapt`` command: `adaptation.cli`, or one line where the packages that it needs are not installed."""

from __future__ import annotations

import sys
from importlib.util import find_spec

# The modules of the extra "adapt" in pyproject.toml.
MODULES = ("cv2", "jinja2", "numpy", "rich", "roma", "safetensors", "tensorboard", "typer")


def missing_modules(modules: tuple[str, ...] = MODULES) -> list[str]:
    """Return those modules that cannot be found. None is imported."""
    return [name for name in modules if find_spec(name) is None]


def main() -> None:
    """Run the command line."""
    if missing := missing_modules():
        print(
            f"topo-adapt: {', '.join(missing)} not found. The operators need torch alone; for topo-adapt, "
            "run pip install '.[adapt]' in the project's folder.",
            file=sys.stderr,
        )
        sys.exit(2)
    from adaptation.cli import main

    main()


if __name__ == "__main__":
    main()
