"""Background subtraction and the cleaning of masks, on frames whose foreground is known."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest

from adaptation.recording.footage.background import (
    METHODS,
    Method,
    OpenCvSubtractor,
    make_subtractor,
)
from adaptation.recording.footage.cleaning import clean_mask, hysteresis
from adaptation.recording.footage.light import fit_light
from adaptation.recording.footage.sampling import sample_count, sample_frames

SHAPE = (120, 160)


def scene() -> np.ndarray:
    """Return a static background with structure, grey levels 110 to 190."""
    rng = np.random.default_rng(0)
    coarse = rng.uniform(110, 190, (6, 8, 3)).astype(np.float32)
    return cv2.resize(coarse, SHAPE[::-1], interpolation=cv2.INTER_CUBIC)


def person(number: int) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    cv2.rectangle(mask, (5 + 3 * number, 30), (20 + 3 * number, 80), 1, cv2.FILLED)
    return mask > 0


def shot(number: int, gain: float = 1.0, offset: float = 0.0) -> np.ndarray:
    """Return frame `number` of a person in black who walks to the right, with noise of 2 grey levels."""
    frame = scene()
    frame[person(number)] = (15, 10, 20)
    noise = np.random.default_rng(number).normal(0, 2, frame.shape)
    return np.clip(gain * frame + offset + noise, 0, 255).astype(np.uint8)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.parametrize("method", METHODS)
def test_finds_the_person(method: Method) -> None:
    subtractor = make_subtractor(method)
    subtractor.learn([shot(number) for number in range(45)])
    for number in (0, 20, 40):
        assert iou(clean_mask(subtractor.mask(shot(number))), person(number)) > 0.95


@pytest.mark.parametrize("method", METHODS)
def test_standing_person_stays(method: Method) -> None:
    subtractor = make_subtractor(method)
    subtractor.learn([shot(number) for number in range(45)])
    for _ in range(150):
        mask = subtractor.mask(shot(20))
    assert iou(clean_mask(mask), person(20)) > 0.95


@pytest.mark.parametrize("method", METHODS)
def test_cast_shadow_is_not_foreground(method: Method) -> None:
    subtractor = make_subtractor(method)
    subtractor.learn([shot(number) for number in range(45)])
    shadow = np.zeros(SHAPE, bool)
    shadow[85:110, 60:130] = True
    frame = shot(20)
    frame[shadow] = (frame[shadow] * 0.75).astype(np.uint8)
    mask = clean_mask(subtractor.mask(frame))
    assert mask[shadow].mean() < 0.05
    assert iou(mask, person(20)) > 0.9


def test_a_dark_coat_is_no_shadow() -> None:
    """A coat is darker than the background and has its colour, like a shadow, but not its texture."""
    subtractor = make_subtractor("median")
    subtractor.learn([shot(number) for number in range(45)])
    coat = np.zeros(SHAPE, bool)
    coat[70:110, 80:120] = True
    frame = shot(20)
    shadow = frame.copy()
    shadow[coat] = (shadow[coat] * 0.75).astype(np.uint8)
    frame[coat] = shadow[coat].mean(0).astype(np.uint8)
    assert clean_mask(subtractor.mask(frame))[coat].mean() > 0.9
    assert clean_mask(subtractor.mask(shadow))[coat].mean() < 0.05


def test_shadow_label_of_opencv_is_dropped() -> None:
    class Labels:
        def apply(self, frame: np.ndarray, learningRate: float) -> np.ndarray:
            return np.array([[0, 127, 255]], np.uint8)

    subtractor = OpenCvSubtractor("mog2")
    subtractor._reference = np.zeros((1, 3, 3), np.float32)
    subtractor._model = Labels()  # type: ignore[assignment]
    assert subtractor.mask(np.zeros((1, 3, 3), np.uint8)).tolist() == [[False, False, True]]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("gain", "offset"), [(1.3, 0), (0.6, 0), (0.9, 25)])
def test_survives_a_change_of_light(method: Method, gain: float, offset: float) -> None:
    subtractor = make_subtractor(method)
    # Half of the samples are in the other light as well.
    subtractor.learn([shot(n, *((gain, offset) if n > 22 else (1, 0))) for n in range(45)])
    for light in ((1, 0), (gain, offset)):
        assert iou(clean_mask(subtractor.mask(shot(30, *light))), person(30)) > 0.9


def test_fit_light_ignores_people() -> None:
    gain, offset = fit_light(scene(), shot(10, 1.2, -15))
    assert np.abs(gain - 1.2).max() < 0.02
    assert np.abs(offset + 15).max() < 3


@pytest.mark.parametrize("value", [0, 128, 255])
def test_fit_light_without_contrast(value: int) -> None:
    gain, offset = fit_light(scene(), np.full((*SHAPE, 3), value, np.uint8))
    assert np.isfinite(gain).all() and np.isfinite(offset).all() and (gain > 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_mask_before_learn(method: Method) -> None:
    with pytest.raises(RuntimeError, match="learn"):
        make_subtractor(method).mask(shot(0))


@pytest.mark.parametrize("count", [1, 5, 9, 10, 11, 100, 1000])
def test_samples_are_spread(count: int) -> None:
    stream = (np.full((1, 1, 3), number, np.int64) for number in range(count))
    numbers = [int(sample[0, 0, 0]) for sample in sample_frames(stream, 5)]
    assert min(5, count) <= len(numbers) <= 10
    steps = {b - a for a, b in pairwise(numbers)}
    assert len(steps) <= 1 and numbers[0] == 0
    assert count - numbers[-1] <= max(steps, default=1)


def test_fewer_samples_of_large_frames() -> None:
    assert sample_count((768, 576)) == 40
    assert 8 <= sample_count((3840, 2160)) < 40


def test_hysteresis_keeps_regions_with_a_strong_pixel() -> None:
    weak = np.array([[1, 1, 0, 1, 1]], bool)
    strong = np.array([[0, 1, 0, 0, 0]], bool)
    assert hysteresis(weak, strong).tolist() == [[True, True, False, False, False]]
    assert not hysteresis(weak, ~weak).any()
    assert not hysteresis(np.zeros((3, 3), bool), np.zeros((3, 3), bool)).any()


def legs() -> np.ndarray:
    mask = np.zeros((100, 60), bool)
    mask[10:50, 20:40] = True
    mask[50:90, 20:28] = True
    mask[50:90, 32:40] = True
    return mask


def test_clean_keeps_a_person_as_it_is() -> None:
    assert iou(clean_mask(legs()), legs()) > 0.98
    assert not clean_mask(legs())[55:88, 29:31].any(), "the gap between the legs must stay"


def test_clean_removes_tape_specks_and_small_holes() -> None:
    dirty = legs()
    dirty[30:32, 41:] = True  # a tape behind the person, 2 px thick
    dirty[3:5, 3:5] = True
    dirty[20:23, 25:28] = False
    cleaned = clean_mask(dirty)
    assert cleaned[20:23, 25:28].all()
    assert not cleaned[:8].any() and not cleaned[:, 44:].any()
    assert iou(cleaned, legs()) > 0.97


def test_clean_keeps_a_large_hole() -> None:
    ring = np.zeros((60, 60), bool)
    ring[10:50, 10:50] = True
    ring[20:40, 20:40] = False
    assert iou(clean_mask(ring), ring) > 0.99


def test_clean_of_nothing_and_everything() -> None:
    assert not clean_mask(np.zeros((20, 20), bool)).any()
    assert clean_mask(np.ones((20, 20), bool)).all()
