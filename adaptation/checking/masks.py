"""Check a folder of masks alone, without the recording that they belong to."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from adaptation.checking.sampling import sampled_frames
from adaptation.checking.survey import NOBODY
from adaptation.checking.verdict import Use, Verdict
from adaptation.recording.detections import TrackSettings
from adaptation.recording.footage.foreground import GivenMasks
from adaptation.recording.footage.mask_files import open_masks
from adaptation.recording.footage.video import open_frames
from adaptation.recording.people.given import given_regions

COMMANDS = ("fit --masks", "predict --masks", "adapt --masks")


def check_masks(folder: Path) -> Verdict:
    """Read some masks, and tell what is in them.

    Args:
        folder: folder of the masks.

    Raises:
        UserError: the masks cannot be read, or it is not clear which values are people.
    """
    frames = open_frames(folder)  # their own images, which give number and size
    masks = open_masks(folder, frames)
    settings = TrackSettings()
    shares, heights = [], []
    for number, _ in sampled_frames(frames, in_step=True):
        given = GivenMasks.of(masks, number)
        if not given.missing:
            shares.append(float(given.union(frames.size[::-1]).mean()))
            people = given_regions(given, NOBODY, settings.min_region, settings.min_height)
            heights += [person.box[3] for person in people]
    facts = [
        ("masks", f"{frames.count} files, {frames.size[0]}x{frames.size[1]} pixels"),
        ("foreground", f"{np.mean(shares):.1%} of the image on average, at most {max(shares):.1%}"),
        (
            "people" if masks.instances else "regions",
            f"median height {np.median(heights):.0f} px" if heights else "none in the masks that were read",
        ),
    ]
    advice = ["see how they fit their recording: topo-adapt check RECORDING --masks FOLDER"]
    return Verdict("masks", facts, [Use(command, bool(heights)) for command in COMMANDS], advice)
