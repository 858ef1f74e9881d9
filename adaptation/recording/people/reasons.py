"""Reasons why masks are not used, counted by kind."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

_KINDS = (
    (r"\d+ fragments", "in fragments"),
    (r"area [\d.]+ times .*", "of unusual area"),
    (r"height [\d.]+ times .*", "of unusual height"),
    (r"touches the border", "cut off by the border"),
    (r"part of the person is in the background", "in the background"),
)


def kind_of_reason(reason: str) -> str:
    """Return a reason in few words and without numbers, such as "of unusual area"."""
    return next((kind for pattern, kind in _KINDS if re.fullmatch(pattern, reason)), reason)


def tally(notes: Iterable[str]) -> str:
    """Count masks by the first reason why they are not used.

    Args:
        notes: a line per mask, with its reasons after "not fitted, ".

    Returns:
        Kinds of reasons with their counts, most frequent first, such as "40 cut off by the border, 7 in fragments";
        empty without notes.
    """
    reasons = (note.partition("not fitted, ")[2].split(", ")[0] for note in notes)
    counted = Counter(kind_of_reason(reason) for reason in reasons)
    return ", ".join(f"{count} {kind}" for kind, count in counted.most_common())
