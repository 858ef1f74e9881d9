"""Reasons why masks are not used, counted."""

from __future__ import annotations

from adaptation.recording.people.reasons import kind_of_reason, tally


def test_reasons_are_counted_by_kind() -> None:
    notes = [
        "person 1, frame 3: not fitted, touches the border, area 0.50 times that of neighbouring frames",
        "person 1, frame 4: not fitted, touches the border",
        "person 1, frame 5: not fitted, area 1.52 times that of neighbouring frames, 3 fragments",
        "person 2, frame 5: not fitted, 12 fragments",
        "person 2, frame 6: not fitted, 2 fragments",
        "person 2, frame 7: not fitted, 2 fragments",
    ]
    assert tally(notes) == "3 in fragments, 2 cut off by the border, 1 of unusual area"
    assert tally([]) == ""


def test_reasons_without_numbers() -> None:
    assert kind_of_reason("height 0.71 times that of neighbouring frames") == "of unusual height"
    assert kind_of_reason("part of the person is in the background") == "in the background"
    assert kind_of_reason("less than 40 px tall") == "less than 40 px tall"
