"""Read a result folder: its people, and what it says about the recording."""

from __future__ import annotations

import re
from pathlib import Path

from adaptation.recording.results import PersonResult
from adaptation.recording.view import RecordingView
from adaptation.support.errors import UserError

_PERSON = re.compile(r"person_(\d+)\.npz")


def read_folder(folder: Path) -> tuple[dict[int, PersonResult], RecordingView]:
    """Read all people of a result folder, by the numbers of their tracks, and the view of the recording.

    Args:
        folder: folder written by `fit` or `predict`, or a run of `adapt` on a recording.

    Raises:
        UserError: the folder holds no results, or they are damaged.
    """
    # A run of adapt keeps its results in a folder of their own.
    place = folder / "bodies" if (folder / "bodies").is_dir() else folder
    view = RecordingView.read(place)
    people = {}
    for path in sorted(place.iterdir()):
        if match := _PERSON.fullmatch(path.name):
            result = PersonResult.load(path)
            if len(result):
                people[int(match[1])] = result
    if not people:
        raise UserError(f"{place} holds no person_NN.npz; expected a folder written by topo-adapt fit or predict")
    return people, view


def choose(people: dict[int, PersonResult], person: int | None, folder: Path) -> int:
    """Return the number of the person that is meant.

    Args:
        people: the people of a result folder.
        person: the number that the user gave, if any.
        folder: the result folder, for the message.

    Raises:
        UserError: there is no such person, or several and none is named.
    """
    named = ", ".join(str(number) for number in people)
    if person is None:
        if len(people) == 1:
            return next(iter(people))
        raise UserError(f"{folder} holds several people: {named}; choose one with --person")
    if person not in people:
        raise UserError(f"{folder} holds no person {person}; there {'is' if len(people) == 1 else 'are'} {named}")
    return person
