from __future__ import annotations

from dataclasses import replace

import torch

from adaptation.fitting.tracks.sequence import Sequence


def sequence(people: tuple[int, ...]) -> Sequence:
    person = torch.repeat_interleave(torch.arange(len(people)) * 3, torch.tensor(people))
    count = len(person)
    return Sequence(
        person=person,
        time=torch.arange(count) / 5,
        box=torch.tensor([[10.0, 20.0, 100.0, 100.0]]).repeat(count, 1),
        up=torch.tensor([[0.0, -1.0, 0.0]]).repeat(count, 1),
        spread=torch.full((count,), 0.2),
        travel=torch.zeros(count, 2),
    )


def test_bodies_belong_to_people() -> None:
    bodies = sequence((3, 1, 2, 4))
    assert bodies.ranks().tolist() == [0, 0, 0, 1, 2, 2, 3, 3, 3, 3]
    assert [part.tolist() for part in bodies.people()] == [[0, 1, 2], [3], [4, 5], [6, 7, 8, 9]]


def test_middles_have_neighbours_of_the_same_person() -> None:
    assert sequence((3, 1, 2, 4)).middles().tolist() == [1, 7, 8]
    assert sequence((2,)).middles().tolist() == [] and sequence((1,)).middles().tolist() == []


def test_copies_are_people_of_their_own() -> None:
    copies = sequence((3, 2)).copies(3)
    assert copies.ranks().tolist() == [0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 4, 4, 4, 5, 5]
    assert (copies.person.diff() >= 0).all()
    assert copies.middles().tolist() == [1, 6, 11]
    assert torch.equal(copies.time, sequence((3, 2)).time.repeat(3))
    assert copies.joints is None and copies.bodies is None
    seen = replace(sequence((3, 2)), joints=torch.rand(5, 24, 3)).copies(2)
    assert seen.joints is not None and torch.equal(seen.joints[:5], seen.joints[5:])
