"""Command-line options that several commands of ``topo-adapt`` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adaptation.support.errors import UserError

Out = Annotated[Path, typer.Option("--out", help="Folder for the results; must be new or empty.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the results of an earlier run in --out.")]
Device = Annotated[str, typer.Option("--device", help="Device to compute on: cpu, cuda or cuda:N.")]
Prior = Annotated[
    str, typer.Option("--prior", help="Pose prior: gaussian, latent, or a file written by `topo-adapt prior`.")
]
Seed = Annotated[int, typer.Option("--seed", min=0, max=2**31 - 1, help="Seed of all random numbers.")]


def choice(option: str, value: str, allowed: tuple[str, ...]) -> str:
    """Return the value of an option after checking that it is allowed.

    Args:
        option: Name of the option with its dashes, for the error message.
        value: Value given by the user.
        allowed: Allowed values.

    Raises:
        UserError: The value is not one of those allowed.
    """
    if value not in allowed:
        raise UserError(f"{option} must be one of {', '.join(allowed)}, got {value!r}")
    return value
