"""Accuracy and F1 of masks and parts, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from adaptation.bodies.body import Body
from adaptation.bodies.joint_sets import SMPL
from adaptation.evaluation.segmentation import IGNORED, PARTS, Tally, inside_frame, part_of_faces

EVERYWHERE = np.ones((2, 4), bool)


def rows(*values: list[int]) -> np.ndarray:
    return np.array(values, np.uint8)


def test_counts_of_two_images() -> None:
    tally = Tally(2)
    tally.add(rows([1, 1, 0, 0], [1, 0, 0, 0]), rows([1, 0, 0, 0], [1, 1, 0, 0]), EVERYWHERE, 1.0, 0.0)
    # Foreground: 2 found, 1 too many, 1 missed; background: 4 found, 1 too many, 1 missed.
    assert tally.accuracy == pytest.approx(100 * 6 / 8)
    np.testing.assert_allclose(tally.f1, [8 / 10, 4 / 6])
    # A second image, perfect, of larger pixels and with 20 pixels of background beside the crop.
    tally.add(rows([1, 0, 0, 0], [0, 0, 0, 0]), rows([1, 0, 0, 0], [0, 0, 0, 0]), EVERYWHERE, 4.0, 20.0)
    assert tally.accuracy == pytest.approx(100 * (6 + 32 + 20) / (8 + 32 + 20))
    np.testing.assert_allclose(tally.f1, [2 * (4 + 28 + 20) / (2 * 52 + 2), 2 * (2 + 4) / (2 * 6 + 2)])


def test_ignored_pixels_follow_the_convention() -> None:
    tally = Tally(3)
    tally.add(
        rows([1, 2, 0, 0], [0, 0, 0, 0]), rows([IGNORED, IGNORED, IGNORED, 2], [0, 0, 0, 0]), EVERYWHERE, 1.0, 0.0
    )
    # For F1 they do not count; for the accuracy they are background.
    assert tally.accuracy == pytest.approx(100 * 5 / 8)
    np.testing.assert_allclose(tally.f1, [2 * 4 / (2 * 4 + 1), np.nan, 0])


def test_pixels_outside_the_frame_do_not_count() -> None:
    # A crop of 4 x 4 pixels of 5 x 5 frame pixels each, of which the right and lower quarter lies outside.
    inside, area, beside = inside_frame(np.float32([10, 5, 20, 20]), np.float32([25, 20]), 4)
    assert area == 25 and inside.tolist() == [[True, True, True, False]] * 3 + [[False] * 4]
    assert beside == 25 * 20 - 9 * 25
    tally = Tally(2)
    tally.add(np.ones((4, 4), np.uint8), np.ones((4, 4), np.uint8), inside, area, beside)
    assert tally.total == 25 * 20 and tally.accuracy == 100


def test_parts_of_the_body(body: Body) -> None:
    parts = part_of_faces(body)
    assert set(parts.unique().tolist()) == {1, 2, 3, 4, 5, 6}
    posed = body(torch.zeros(1, 24, 3), torch.zeros(1, 10))
    centre = posed.vertices[0, body.faces].mean(dim=1)
    # In the T-pose: the head on top, the right hand at the smallest x, the left foot low at positive x.
    assert PARTS[parts[centre[:, 1].argmax()]] == "head"
    assert PARTS[parts[centre[:, 0].argmin()]] == "right arm" and PARTS[parts[centre[:, 0].argmax()]] == "left arm"
    low = centre[:, 1] < posed.joints[0, SMPL.joints.index("left_knee"), 1]
    assert (parts[low & (centre[:, 0] > 0.02)] == 6).all() and (parts[low & (centre[:, 0] < -0.02)] == 5).all()
