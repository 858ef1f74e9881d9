"""The program that judges results on recordings of real people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from adaptation.support.errors import UserError
from real.references import references
from real.street import judge_street, load_results

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Judge results on recordings of real people.")

Models = Annotated[
    Path | None,
    typer.Option(
        "--models", help="MediaPipe's networks: npm archive (heavy), wheel (full) or folder; see docs/adaptation.md."
    ),
]


@app.command()
def street(
    results: Annotated[list[Path], typer.Argument(help="Folders that `topo-adapt fit`, predict or adapt wrote.")],
    video: Annotated[Path, typer.Option("--video", help="The recording of the results, such as vtest.avi.")],
    kept: Annotated[Path, typer.Option("--kept", help="File of the detector's people; made if it does not exist.")],
    models: Models = None,
    every: Annotated[int, typer.Option("--every", min=1, help="One frame in this many is looked at.")] = 5,
) -> None:
    """Compare 2D joints and facing with the detector's."""
    seen = references(video, models, kept, every=every)
    sides, present = seen.consistent(), seen.presence >= 0.5
    print(
        f"{len(seen.frame)} people looked at, {present.mean():.1%} found, sides inconsistent over time in "
        f"{(present & ~sides).sum() / max(1, present.sum()):.1%}, which do not count"
    )
    for folder in results:
        print(f"{folder}: {judge_street(load_results(folder), seen)}")


def main() -> None:
    """Run the program; errors of users end in one line."""
    try:
        app(standalone_mode=False)
    except UserError as error:
        Console(stderr=True).print(f"error: {error}", style="red", highlight=False, markup=False)
        raise SystemExit(2) from None
    except typer.Abort:
        raise SystemExit(130) from None
