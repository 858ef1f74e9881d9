"""Run the evidence grids: ``python benchmarks/run_evidence.py --work DIR --only 'adapt/style/*'``."""

import typer
from evidence.program import main

if __name__ == "__main__":
    typer.run(main)
