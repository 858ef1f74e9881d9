"""Read motion capture of any known format: the content decides which one it is."""

from __future__ import annotations

import re
from pathlib import Path

from adaptation.data.motion import acclaim
from adaptation.data.motion.acclaim import read_acclaim
from adaptation.data.motion.bvh import read_bvh
from adaptation.data.motion.clip import Motion, read_text
from adaptation.data.motion.deepmimic import read_deepmimic
from adaptation.support.errors import UserError
from adaptation.support.reading.file_kinds import kind_of


def read_motion(path: Path, skeleton: Path | None = None, rate: float = acclaim.RATE) -> Motion:
    """Read a clip: BVH, AMC with its ASF file, or DeepMimic's JSON.

    Args:
        path: the file.
        skeleton: ASF file of an AMC file; None looks for it beside the AMC file.
        rate: frames per second of AMC files, which do not state it.

    Raises:
        UserError: the file cannot be read; the message says why.
    """
    text = read_text(path)
    if kind_of(path) == "JSON file":
        return read_deepmimic(path)
    if re.match(r"\s*HIERARCHY\b", text, re.IGNORECASE):
        return read_bvh(path)
    if acclaim.is_motion(text):
        return read_acclaim(path, skeleton, rate)
    if acclaim.is_skeleton(text):
        raise UserError(f"{path} is an ASF file, a skeleton without motion; name the AMC files that belong to it")
    raise UserError(f"{path} is text, but neither BVH (HIERARCHY) nor AMC (frames that begin with 1 and root)")


def is_text(path: Path) -> bool:
    """Return whether a file is text, as all formats of motion capture are."""
    return kind_of(path) in ("text file", "JSON file")
