"""The ``topo-adapt`` command line. Each command has its own file in `adaptation.commands`.

Commands import torch inside their functions only, so that ``--help`` is quick.
"""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from adaptation.commands.check import check
from adaptation.commands.crop_sets.dataset import dataset
from adaptation.commands.crop_sets.degrade import degrade
from adaptation.commands.crop_sets.domain import domain
from adaptation.commands.crop_sets.keypoints import keypoints
from adaptation.commands.crop_sets.poses import poses
from adaptation.commands.doctor import doctor
from adaptation.commands.networks.adapt import adapt
from adaptation.commands.networks.demo import demo
from adaptation.commands.networks.evaluate import evaluate
from adaptation.commands.networks.pretrain import pretrain
from adaptation.commands.networks.prior import prior
from adaptation.commands.networks.uap import uap
from adaptation.commands.recordings.demo_fit import demo_fit
from adaptation.commands.recordings.export import export
from adaptation.commands.recordings.fit import fit
from adaptation.commands.recordings.predict import predict
from adaptation.commands.recordings.smplify import smplify
from adaptation.support.errors import UserError
from adaptation.support.reading.findings import printed_findings

COMMANDS = (
    check, fit, smplify, demo_fit, doctor, demo, pretrain, prior, adapt, predict, evaluate, export, uap,
    dataset, domain, degrade, keypoints, poses,
)  # fmt: skip

app = typer.Typer(
    name="topo-adapt",
    help="Fit and adapt 3D human bodies from the silhouettes of a static camera.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Brackets in help texts are meant as they are.
    rich_markup_mode=None,
)
for command in COMMANDS:
    # Names come from the functions, with dashes for underscores.
    app.command()(command)


def main() -> None:
    """Run the command line. Bad input prints one line and exits with code 2, Ctrl-C with code 130."""
    try:
        with printed_findings(Console(stderr=True)):
            app()
    except UserError as error:
        # No markup, which brackets in file names would trigger; no wrapping, so that the error stays one line.
        Console(stderr=True, soft_wrap=True).print(f"topo-adapt: {error}", style="red", markup=False, highlight=False)
        sys.exit(error.code)
    except SystemExit as stop:
        if stop.code == 130:  # Typer turns Ctrl-C into this exit code
            Console(stderr=True).print("topo-adapt: interrupted, nothing was written", style="red")
        raise


if __name__ == "__main__":
    main()
