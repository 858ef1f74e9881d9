"""Judge results on a recording without labels against the detector: 2D joints, and which way people face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from adaptation.recording.results import PersonResult
from adaptation.support.errors import UserError
from real.references import References
from real.skeleton import EXCHANGED, OF_BLAZEPOSE, OF_SMPL, facing

Array = npt.NDArray[Any]
_SEEN = 0.5  # confidence from which a joint of the detector counts
_SAME = 0.5  # IoU of two crops of one person


@dataclass(frozen=True)
class StreetScores:
    """Means over the bodies that the detector saw, too.

    Attributes:
        bodies: number of these bodies.
        others: bodies of the same frames without a counterpart, which are not judged.
        missed: people of the detector, in frames that have results, without a body.
        error: mean distance of the joints, % of the height of the person's mask.
        pck: joints within 10 % of that height, %.
        either: as ``error``, with left and right exchanged where this is nearer.
        front: bodies that face the half space that the detector's do, %.
    """

    bodies: int
    others: int
    missed: int
    error: float
    pck: float
    either: float
    front: float

    def __str__(self) -> str:
        return (
            f"bodies {self.bodies}  2D {self.error:.2f} %  PCK@10 {self.pck:.1f} %  sides free {self.either:.2f} %  "
            f"front {self.front:.1f} %  (not judged {self.others}, missed {self.missed})"
        )


def load_results(folder: Path) -> list[PersonResult]:
    """Read the people of a folder of results, also from its subfolders.

    Raises:
        UserError: there are none.
    """
    files = sorted(folder.rglob("person_*.npz"))
    if not files:
        raise UserError(f"{folder}: no person_*.npz as topo-adapt fit and predict write them")
    return [PersonResult.load(file) for file in files]


def judge_street(results: Sequence[PersonResult], references: References) -> StreetScores:
    """Compare results with what the detector saw.

    A body and a person of the detector belong together if their crops overlap most, by at least half. Joints count
    that the detector saw; people whose sides it exchanges in this frame do not count.

    Args:
        results: people of a recording.
        references: the detector's.

    Raises:
        UserError: no body has a counterpart.
    """
    rows, matched, others = [], set[int](), 0
    usable = references.usable()
    for person in results:
        for index in range(len(person)):
            match = _counterpart(person, index, references)
            if match is None:
                others += int(person.frame[index] in references.frame)
                continue
            matched.add(match)
            if usable[match]:
                rows.append(_compare(person, index, references, match))
            else:
                others += 1
    if not rows:
        raise UserError("no body of the results is in a frame and place where the detector saw somebody")
    in_results = np.isin(references.frame, np.concatenate([person.frame for person in results])) & usable
    missed = int(in_results.sum()) - sum(bool(usable[match]) for match in matched)
    error, pck, either, front = 100 * np.mean(rows, axis=0)
    return StreetScores(len(rows), others, missed, error, pck, either, front)


def _counterpart(person: PersonResult, index: int, references: References) -> int | None:
    """Return the row of the detector's person whose crop overlaps most with that of a body."""
    candidates = np.flatnonzero(references.frame == person.frame[index])
    if not len(candidates):
        return None
    x, y, side, _ = person.box[index]
    box = references.box[candidates]
    own = 1.2 * box[:, 2:].max(1)  # as fits crop
    left, top = (box[:, axis] + box[:, axis + 2] / 2 - own / 2 for axis in (0, 1))
    across = np.minimum(left + own, x + side) - np.maximum(left, x)
    down = np.minimum(top + own, y + side) - np.maximum(top, y)
    both = np.maximum(across, 0) * np.maximum(down, 0)
    overlap = both / (own**2 + side**2 - both)
    best = int(overlap.argmax())
    return int(candidates[best]) if overlap[best] >= _SAME else None


def _compare(person: PersonResult, index: int, references: References, match: int) -> tuple[float, ...]:
    """Return mean error, share within 10 %, mean error with free sides (parts of the height), and facing (0 or 1)."""
    expected = references.keypoints[match, OF_BLAZEPOSE].astype(float)
    joints = person.joints2d[index, OF_SMPL].astype(float)
    height = float(references.box[match, 3])
    seen = expected[:, 2] >= _SEEN
    if not seen.any():
        seen[:] = True
    away, exchanged = (
        np.linalg.norm(placed - expected[:, :2], axis=1)[seen] / height for placed in (joints, joints[EXCHANGED])
    )
    towards = facing(person.joints3d[index, OF_SMPL].astype(float)) @ references.facing()[match]
    return away.mean(), float((away < 0.1).mean()), min(away.mean(), exchanged.mean()), float(towards > 0)
