"""Options that several commands of ``topo-adapt`` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adaptation.support.errors import UserError

Out = Annotated[Path, typer.Option("--out", help="Folder for the results; must not exist yet.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the results of an earlier run in --out.")]
Device = Annotated[str, typer.Option("--device", help="cpu, cuda or cuda:N.")]
Prior = Annotated[str, typer.Option("--prior", help="Of poses: gaussian, latent, or a file of `topo-adapt prior`.")]
Seed = Annotated[int, typer.Option("--seed", min=0, max=2**31 - 1, help="Seed of everything random.")]


def choice(option: str, value: str, allowed: tuple[str, ...]) -> str:
    """The value of an option, which must be one of those allowed.

    Raises:
        UserError: it is not.
    """
    if value not in allowed:
        raise UserError(f"{option} must be one of {', '.join(allowed)}, got {value!r}")
    return value
