"""Make docs/adaptation.png from the results of `topo-adapt demo`: python tools/make_adaptation_picture.py out/demo."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from adaptation.bodies.body import Body
from adaptation.data.samples import Samples
from adaptation.recording.options import FitOptions
from adaptation.recording.pipeline import make_fitter
from adaptation.regressors.files import load_network
from adaptation.reports.adaptation_crops import gallery_rows, see

TILE, GAP = 192, 16
SHARES = (0.2, 0.4, 0.6, 0.8)  # share of the test crops with smaller errors than each crop shown


def main() -> None:
    """Draw four crops from good to bad, each with image, mask, and bodies before and after."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/adaptation.png"))
    args = parser.parse_args()

    (test,) = args.results.glob("*-test")
    samples, body = Samples.load(test), Body.free()
    fitter, every = make_fitter(body, FitOptions(size=samples.size)), np.arange(len(samples))
    networks = (load_network(name).network for name in ("small", str(args.results / "run" / "adapted.safetensors")))
    before, after = (see(network, samples, every, fitter, "subtracted") for network in networks)
    assert before.pa_mpjpe is not None and after.pa_mpjpe is not None
    # By the error after the adaptation, and at fixed shares of the order, so that no case is chosen by hand.
    order = np.argsort(after.pa_mpjpe)
    chosen = [int(order[round(share * (len(order) - 1))]) for share in SHARES]

    shown = []
    for row in gallery_rows(samples, every, chosen, "subtracted", before, after, body):
        tiles = (row.image, row.mask, row.body_before, row.body_after)
        shown.append(np.hstack([cv2.resize(tile, (TILE, TILE), interpolation=cv2.INTER_AREA) for tile in tiles]))
    across = np.full((TILE, GAP, 3), 255, np.uint8)
    rows = [np.hstack([shown[i], across, shown[i + 1]]) for i in (0, 2)]
    picture = np.vstack([rows[0], np.full((GAP, rows[0].shape[1], 3), 255, np.uint8), rows[1]])
    cv2.imwrite(str(args.out), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    print(", ".join(f"{before.pa_mpjpe[i]:.0f} to {after.pa_mpjpe[i]:.0f} mm" for i in chosen))


if __name__ == "__main__":
    main()
