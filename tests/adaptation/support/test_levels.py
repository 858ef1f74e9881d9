"""Ranges of images of 16 bits."""

from __future__ import annotations

import numpy as np
import pytest

from adaptation.support.errors import UserError
from adaptation.support.levels import Levels


def test_parse() -> None:
    assert Levels.parse(" 28000, 33000 ") == Levels(28000, 33000)
    for text in ("", "5", "5,5", "9,5", "-1,5", "0,65536", "1,2,3", "a,b", "1.5,2", "0," + "9" * 5000):
        with pytest.raises(UserError, match="expected LOW,HIGH"):
            Levels.parse(text)


def test_samples_decide_on_a_range_that_ignores_single_pixels() -> None:
    samples = [np.linspace(29000, 30000, 10000).astype(np.uint16) for _ in range(4)]
    for sample in samples:
        sample[:5] = 65535  # a pixel that is stuck
    levels = Levels.of(samples)
    assert 28900 < levels.low < 29000 and 30000 < levels.high < 30100
    assert Levels.of([np.full((4, 4), 7, np.uint16)]) == Levels(6, 8)
    assert Levels.of([np.zeros((4, 4), np.uint16)]).low == 0 < Levels.of([np.zeros((4, 4), np.uint16)]).high


def test_apply_rounds_and_clips() -> None:
    levels = Levels(1000, 1255)
    image = np.array([[0, 1000, 1001, 1255, 65535]], np.uint16)
    assert levels.apply(image).tolist() == [[0, 0, 1, 255, 255]] and levels.apply(image).dtype == np.uint8
