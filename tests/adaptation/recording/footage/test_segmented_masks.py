from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from detector_models import models_folder, needs_models

from adaptation.data.samples import Samples
from adaptation.recording.footage.foreground import foreground
from adaptation.recording.footage.segmented_masks import open_given, open_segmented
from adaptation.recording.footage.video import open_frames
from adaptation.support.errors import UserError
from adaptation.support.reading.findings import kept_findings
from adaptation.synthetic.domains import make_domain
from adaptation.synthetic.settings import DomainSettings


@pytest.fixture(scope="module")
def person() -> Samples:
    return make_domain(DomainSettings(count=12, size=160, seed=1))


@pytest.fixture(scope="module")
def frames(person: Samples, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three frames of somebody who does not move, whom subtraction would make part of the background."""
    folder = tmp_path_factory.mktemp("still")
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.png"), cv2.cvtColor(np.asarray(person.images[0]), cv2.COLOR_RGB2BGR))
    return folder


@needs_models
def test_a_person_who_stands_still_is_foreground(frames: Path, person: Samples) -> None:
    opened = open_frames(frames)
    with kept_findings() as found:
        masks = open_segmented(models_folder(), opened)
    assert "made by MediaPipe's segmenter" in " ".join(found)
    truth = person.masks[0, 0] > 0
    seen = list(foreground(opened, "median", masks))
    assert len(seen) == 3
    for each in seen:
        assert (each.mask & truth).sum() / (each.mask | truth).sum() > 0.7


def test_packages_without_the_networks_are_refused(frames: Path, tmp_path: Path) -> None:
    opened = open_frames(frames)
    with pytest.raises(UserError, match="holds none of MediaPipe's networks"):
        open_given(None, tmp_path, opened)
    assert open_given(None, None, opened) is None
