"""What all readers of motion capture return, and what they share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from adaptation.support.errors import UserError
from adaptation.support.reading.file_kinds import kind_of, with_article

Floats = npt.NDArray[np.float64]
MOST_BYTES = 1 << 30  # of a file of text; an hour of BVH at 120 frames per second has about 350 MB
MOST_JOINTS = 1000
INCH = 0.0254  # metres
_LEGS = (0.55, 1.15)  # metres from hip to ankle in which the legs of people lie, children's included
_USUAL_LEGS = 0.83  # metres, those of a man of 1.75 m
_UNITS = {"metres": 1.0, "centimetres": 0.01, "millimetres": 0.001, "inches": INCH}


@dataclass(frozen=True)
class Motion:
    """A clip of F frames of a skeleton of J joints, in the file's own axes. All rotations are 0 in the rest pose.

    Attributes:
        names: names of the joints in the file. A parent comes before its children.
        parents: parent of each joint, -1 for the root, which is joint 0.
        offsets: (J, 3) position of each joint relative to its parent in the rest pose, metres; 0 for the root.
        rotations: (F, J, 3, 3) rotations of the joints from the rest pose to the frame, in the axes of the world.
        roots: (F, 3) position of the root, metres.
        times: (F,) seconds since the first frame.
        source: name of the file.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: Floats
    rotations: Floats
    roots: Floats
    times: Floats
    source: str

    def positions(self) -> Floats:
        """Return the positions of the joints, (F, J, 3) metres."""
        result = np.empty((len(self.rotations), len(self.names), 3))
        result[:, 0] = self.roots
        for joint, parent in enumerate(self.parents[1:], start=1):
            result[:, joint] = result[:, parent] + self.rotations[:, parent] @ self.offsets[joint]
        return result

    def rest(self) -> Floats:
        """Return the positions of the joints in the rest pose, (J, 3) metres, with the root at 0."""
        result = np.zeros((len(self.names), 3))
        for joint, parent in enumerate(self.parents[1:], start=1):
            result[joint] = result[parent] + self.offsets[joint]
        return result

    def at_rate(self, rate: float) -> Motion:
        """Return the frames that are next to the multiples of 1 / ``rate`` seconds; none is taken twice."""
        wanted = np.arange(0, self.times[-1] + 0.5 / rate, 1 / rate)
        after = np.searchsorted(self.times, wanted).clip(1, max(len(self.times) - 1, 1))
        before = after - 1
        after = after.clip(max=len(self.times) - 1)
        nearer = np.where(wanted - self.times[before] <= self.times[after] - wanted, before, after)
        kept = np.unique(nearer)
        return replace(self, rotations=self.rotations[kept], roots=self.roots[kept], times=self.times[kept])


def about_axis(axis: int, radians: Floats) -> Floats:
    """Return rotations (..., 3, 3) about x (0), y (1) or z (2) by angles (...)."""
    first, second = (axis + 1) % 3, (axis + 2) % 3
    result = np.zeros((*np.shape(radians), 3, 3))
    result[..., axis, axis] = 1
    result[..., first, first] = result[..., second, second] = np.cos(radians)
    result[..., second, first] = np.sin(radians)
    result[..., first, second] = -result[..., second, first]
    return result


def chained(local: Floats, parents: tuple[int, ...]) -> Floats:
    """Return rotations in the axes of the world from rotations (F, J, 3, 3) in the axes of the parent."""
    result = local.copy()
    for joint, parent in enumerate(parents[1:], start=1):
        result[:, joint] = result[:, parent] @ local[:, joint]
    return result


def metres_per_unit(legs: float) -> tuple[float, str]:
    """Guess the unit of a file that does not state it, from the length of a leg from hip to ankle.

    Returns:
        Metres per unit, and what was found, for the user.
    """
    for name, size in _UNITS.items():
        if _LEGS[0] <= legs * size <= _LEGS[1]:
            return size, f"legs of {legs:.4g} units, taken as {name}"
    return _USUAL_LEGS / legs, f"legs of {legs:.4g} units, which are no usual unit; scaled to {_USUAL_LEGS} m"


def read_text(path: Path) -> str:
    """Read a file of text.

    Raises:
        UserError: it is missing, empty, too large or no text.
    """
    kind = kind_of(path)
    if kind not in ("text file", "JSON file"):
        raise UserError(f"{path}: found {with_article(kind)}, expected text of BVH, AMC, ASF or a DeepMimic clip")
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UserError(f"{path} has more than {MOST_BYTES >> 30} GiB; cut it into clips")
        # Old exporters write names in Latin-1, in which any byte is a letter.
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def to_numbers(words: list[Any], path: Path, place: str) -> Floats:
    """Convert words to finite numbers.

    Raises:
        UserError: one is none.
    """
    try:
        numbers = np.array([float(word) for word in words])
    except (ValueError, TypeError, OverflowError):
        wrong = next(word for word in words if not _is_number(word))
        raise UserError(f"{path}: {place}: {str(wrong)[:40]!r} is not a number; the file is damaged") from None
    if not np.isfinite(numbers).all():
        raise UserError(f"{path}: {place}: NaN or infinity; export the clip again")
    return numbers


def _is_number(word: Any) -> bool:
    try:
        float(word)
    except (ValueError, TypeError, OverflowError):
        return False
    return True
