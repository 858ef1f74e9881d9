from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from adaptation.data.samples import Samples
from adaptation.support.errors import UserError
from adaptation.synthetic.settings import SHIFTS
from adaptation.synthetic.shifted import shift_by_name, shift_samples


def test_shifts_by_name(source: Samples, tmp_path: Path) -> None:
    for name in SHIFTS:
        if name.startswith("uap"):
            with pytest.raises(UserError, match="needs --delta"):
                shift_by_name(name, 48, None)
            delta = tmp_path / "delta.npy"
            np.save(delta, np.full((3, 48, 48), 0.5, np.float32))
            change = shift_by_name(name, 48, delta)
        else:
            change = shift_by_name(name, 48, None)
        shifted = shift_samples(source, change)
        assert shifted.images.shape == source.images.shape
        assert np.array_equal(shifted.masks, source.masks)
        difference = np.abs(shifted.images.astype(int) - source.images)
        if name.startswith("uap"):
            assert difference.max() <= int(name.split("-")[1]) + 1
    with pytest.raises(UserError, match="must be one of"):
        shift_by_name("fog", 48, None)


def test_keypoints_of_other_images_are_dropped(source: Samples) -> None:
    found = replace(source, keypoints=np.ones((24, 24, 3), np.float32))
    shifted = shift_samples(found, shift_by_name("lr-32", 48, None))
    assert shifted.keypoints is None and np.array_equal(shifted.pose, source.pose)


def test_a_perturbation_is_for_its_shift_alone(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--delta is for uap-4, uap-8 and uap-16, not for night"):
        shift_by_name("night", 48, tmp_path / "delta.npy")
