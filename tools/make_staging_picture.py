"""Make docs/pictures/staging.jpg, source people in the scenes of targets.

PYTHONPATH=benchmarks python tools/make_staging_picture.py
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from evidence.pictures import SheetRow, write_sheet

from adaptation.adapting.staging import Stage
from adaptation.synthetic.domains import make_domain
from adaptation.synthetic.settings import DomainSettings, Split
from adaptation.synthetic.shifted import shift_by_name, shift_samples

SIZE, ACROSS, CLIP = 96, 8, 12


def main() -> None:
    """Draw a row of source crops, then for each target a row of its crops and one of source people in their places."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/pictures/staging.jpg"))
    args = parser.parse_args()

    sets: tuple[tuple[str, Split], ...] = (("source", "train"), ("source", "adapt"), ("style", "adapt"))
    source, others, style = (make_domain(DomainSettings(family, split, ACROSS * CLIP, SIZE)) for family, split in sets)
    targets = {"style": style}
    targets |= {name: shift_samples(others, shift_by_name(name, SIZE, None)) for name in ("lr-32", "night")}
    # One crop per clip, each at another moment, so that poses differ.
    index = CLIP * torch.arange(ACROSS) + torch.arange(ACROSS)
    rows = [SheetRow("source", tiles(source.image_batch(index.numpy())))]
    for name, target in targets.items():
        # Masks from background subtraction, as an adaptation sees them.
        staged = Stage.of(source, target, "subtracted").show(index, index)
        rows += [SheetRow(name, tiles(target.image_batch(index.numpy()))), SheetRow("", tiles(staged))]
    write_sheet(args.out, rows, label_width=56)


def tiles(images: torch.Tensor) -> list[np.ndarray]:
    """Convert images (B, 3, S, S) in [0, 1] to B pictures (S, S, 3) of uint8."""
    return list((255 * images).round().byte().permute(0, 2, 3, 1).numpy())


if __name__ == "__main__":
    main()
