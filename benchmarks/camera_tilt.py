"""How a recording's camera hangs, by each source and by all of them, against a known tilt.

    python benchmarks/camera_tilt.py RECORDING [--masks DIR] [--truth PITCH ROLL] [--focal PIXELS]

Angles are in degrees, along the ray through the frame's centre. With --focal the focal length is known; otherwise it is
estimated, as in `adaptation.recording.tilt.recording.camera_tilt`.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from adaptation.recording.footage.mask_files import open_masks
from adaptation.recording.footage.video import open_frames
from adaptation.recording.tilt.camera_tilt import CameraTilt
from adaptation.recording.tilt.estimate import Estimate, Focal
from adaptation.recording.tilt.focal_length import focal_of_structures
from adaptation.recording.tilt.people import find_walkers, tilt_of_people
from adaptation.recording.tilt.recording import camera_tilt
from adaptation.recording.tilt.scene import empty_scene
from adaptation.recording.tilt.structures import find_segments, tilt_of_structures
from adaptation.recording.tracking import find_people


def main() -> None:
    """Print a line per source."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recording", type=Path)
    parser.add_argument("--masks", type=Path)
    parser.add_argument("--truth", type=float, nargs=2, metavar=("PITCH", "ROLL"))
    parser.add_argument("--focal", type=float)
    given = parser.parse_args()
    frames = open_frames(given.recording)
    tracks = find_people(frames, masks=open_masks(given.masks, frames) if given.masks else None)
    width, height = frames.size
    centre = (width / 2, height / 2)
    focal = Focal(given.focal) if given.focal else Focal.guess(frames.size)
    picture, hidden = empty_scene(frames, tracks)
    segments = find_segments(picture, centre, hidden)
    structures = tilt_of_structures(segments, focal)
    report(f"structures ({len(segments)} segments)", structures, given.truth)
    if structures is not None and not given.focal:
        structures = tilt_of_structures(segments, focal_of_structures(segments, structures))
        report("structures, their focal length", structures, given.truth)
    walkers = find_walkers(tracks, centre)
    report(f"people ({len(tracks)}, seen {len(walkers.person)} times)", tilt_of_people(walkers, focal), given.truth)
    if not given.focal:
        report("both", camera_tilt(frames, tracks), given.truth)


def report(name: str, tilt: Estimate | CameraTilt | None, truth: list[float] | None) -> None:
    """Print pitch and roll with their deviations, and their errors."""
    if tilt is None:
        print(f"{name:36} unknown")
        return
    angles = (tilt.pitch, tilt.pitch_deviation, tilt.roll, tilt.roll_deviation)
    pitch, pitch_deviation, roll, roll_deviation = (math.degrees(angle) for angle in angles)
    pixels = tilt.focal.pixels if isinstance(tilt.focal, Focal) else tilt.focal
    line = f"{name:36} pitch {pitch:5.1f} +- {pitch_deviation:4.1f}  roll {roll:5.1f} +- {roll_deviation:4.1f}"
    errors = f"  errors {pitch - truth[0]:+5.1f} {roll - truth[1]:+5.1f}" if truth else ""
    print(f"{line}  focal {pixels or math.nan:5.0f}{errors}")


if __name__ == "__main__":
    main()
