"""Outlines that belong to the background and not to the frame."""

from __future__ import annotations

import numpy as np
import pytest
from figures import HEIGHT, WIDTH, figure, tight

from adaptation.recording.footage.ghosts import background_outline

SCENE = np.full((HEIGHT, WIDTH, 3), 150, np.uint8)
PERSON = figure(160, 50, height=120)


def corner(mask: np.ndarray) -> tuple[int, int]:
    rows, columns = np.nonzero(mask)
    return int(columns.min()), int(rows.min())


def share(frame: np.ndarray, background: np.ndarray, mask: np.ndarray) -> float:
    return background_outline(frame, background.astype(np.float32), tight(mask), corner(mask))


def drawn(mask: np.ndarray, on: np.ndarray = SCENE) -> np.ndarray:
    image = on.copy()
    image[mask] = (30, 40, 20)
    return image


def test_a_person_before_an_empty_background() -> None:
    assert share(drawn(PERSON), SCENE, PERSON) == 0


def test_a_ghost_is_all_background() -> None:
    assert share(SCENE, drawn(PERSON), PERSON) > 0.9


def test_a_sliver_between_the_person_and_their_ghost() -> None:
    moved = figure(166, 50, height=120)
    assert 0.2 < share(drawn(moved), drawn(PERSON), moved & ~PERSON) < 0.8


def test_slats_behind_a_person_are_not_their_outline() -> None:
    slats = SCENE.copy()
    slats[::6] = slats[1::6] = 60
    assert share(drawn(PERSON, slats), slats, PERSON) < 0.15


@pytest.mark.parametrize(("x", "y"), [(0, 0), (WIDTH - 5, HEIGHT - 4)])
def test_masks_in_the_corners_of_the_frame(x: int, y: int) -> None:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[y : y + 4, x : x + 5] = True
    assert share(SCENE, SCENE, mask) == 0
