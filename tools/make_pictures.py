"""Make docs/demo.jpg from the results of `topo-adapt demo-fit --out DIR`: python tools/make_pictures.py DIR."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from adaptation.bodies.body import Body
from adaptation.recording.footage.video import open_frames
from adaptation.recording.found_people import cut_crops
from adaptation.recording.options import FitOptions
from adaptation.recording.results import PersonResult
from adaptation.recording.tracking import find_people
from adaptation.reports.fits import Heading, build_report
from adaptation.support.pictures import BACKDROP

# A frame in which both people are in view.
FRAME = 45
WIDTH = 1280


def main() -> None:
    """Draw a frame and the bodies in it, and below them the steps for the first person."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/demo.jpg"))
    args = parser.parse_args()

    result = PersonResult.load(args.results / "person_01.npz")
    frames = open_frames(args.results / "clip" / "frames")
    track = find_people(frames)[0]
    detections = [d for d in track.detections if d.frame == FRAME]
    crops = cut_crops(frames, [(track, detections)], FitOptions(), lambda _: None)
    report = build_report(Heading("", ""), Body.free(), [(result, crops[0])])
    row = report.people[0].rows[0]
    tiles = [row.input, row.mask, row.distance, row.skeleton, row.body_before, row.body_after]

    # From the results, so that the picture shows what the command wrote.
    overlay = cv2.cvtColor(cv2.imread(str(args.results / "overlays" / f"frame_{FRAME:06d}.jpg")), cv2.COLOR_BGR2RGB)
    half = (WIDTH // 2, WIDTH // 2 * overlay.shape[0] // overlay.shape[1])
    top = np.hstack([cv2.resize(image, half, interpolation=cv2.INTER_AREA) for image in (frames.frame(FRAME), overlay)])
    side, gap = 208, 6
    strip = np.full((side + 2 * gap, WIDTH, 3), BACKDROP, np.uint8)
    for i, tile in enumerate(tiles):
        x = round((i + 0.5) * WIDTH / len(tiles) - side / 2)
        strip[gap : gap + side, x : x + side] = cv2.resize(tile, (side, side), interpolation=cv2.INTER_AREA)
    picture = np.vstack([top, strip])
    args.out.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(args.out), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main()
