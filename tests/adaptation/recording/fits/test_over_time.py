from __future__ import annotations

import math
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from adaptation.bodies.body import Body
from adaptation.evaluation.metrics import mpjpe
from adaptation.fitting.settings import FitSettings, SearchSettings, TrackFitSettings
from adaptation.recording.crops import Crop
from adaptation.recording.detections import Detection, MaskQuality, PackedMask
from adaptation.recording.fits.over_time import frame_rate, sequence_of
from adaptation.recording.footage.video import ListedFrames, open_frames
from adaptation.recording.options import FitOptions
from adaptation.recording.pipeline import FitOutcome, fit_recording
from adaptation.recording.tilt.camera_tilt import CameraTilt, down_of
from adaptation.recording.tilt.options import TiltOptions
from adaptation.recording.tracking import Track
from adaptation.support.progress import Progress
from adaptation.support.reading.findings import kept_findings
from adaptation.synthetic.hall import SyntheticClip

FRAMES = (18, 20, 25)
SEARCH = SearchSettings(entries=1000, nearest=100, kept=3, size=48, steps=15, refined=3, refining_steps=15)
OPTIONS = FitOptions(
    frames=FRAMES,
    size=64,
    fit=FitSettings(prior_start=0.1),
    track_fits=TrackFitSettings(search=SEARCH, paths=2, path_steps=10, finalists=1, steps=20),
    tilt=TiltOptions(pitch=12.0, roll=0.0),
    rate=5.0,
)


@pytest.fixture(scope="module")
def outcome(free_body: Body, recording_folder: Path) -> FitOutcome:
    return fit_recording(open_frames(recording_folder), free_body, OPTIONS, Progress())


def test_people_are_fitted_over_time(outcome: FitOutcome, recording: SyntheticClip) -> None:
    found = [recording.person_of(person.result) for person in outcome.people]
    assert sorted(found) == [0, 1]
    assert outcome.tilt is not None and math.degrees(outcome.tilt.pitch) == pytest.approx(12)
    for who, person in zip(found, outcome.people, strict=True):
        result = person.result
        np.testing.assert_array_equal(result.frame, FRAMES)
        for field in fields(result):
            assert np.isfinite(getattr(result, field.name)).all(), field.name
        assert (result.betas == result.betas[0]).all()  # one shape for a person
        assert result.iou_after.min() > 0.65
        assert np.linalg.norm(result.joints2d - recording.joints2d[who, result.frame], axis=-1).mean() < 6
        truth = torch.from_numpy(recording.joints3d[who, result.frame]).float()
        # They face the right way: the mean body turned round is 300 mm off.
        assert mpjpe(torch.from_numpy(result.joints3d), truth).mean() < 170


QUALITY = MaskQuality(False, 1.0, 1, False, True, "")


def crop(frame: int, x: float) -> Crop:
    return Crop(
        track=1, frame=frame, box=(x, 100.0, 80.0, 80.0), image=np.zeros((8, 8, 3), np.uint8),
        mask=np.ones((8, 8), np.float32), quality=QUALITY,
    )  # fmt: skip


def track(speed: tuple[float, float]) -> Track:
    """A person of 20 x 60 pixels who moves by ``speed`` pixels per frame."""
    mask = PackedMask.of(np.ones((60, 20), bool))
    boxes = [(round(200 + speed[0] * frame), round(200 + speed[1] * frame), 20, 60) for frame in range(31)]
    return Track(1, tuple(Detection(frame, box, mask, QUALITY) for frame, box in enumerate(boxes)))


TILT = CameraTilt(down_of(0.3, 0.2), 0.05, 0.02, "vertical structures", 500.0, (320.0, 240.0))


def test_what_is_known_of_a_sequence() -> None:
    crops = [crop(0, 280.0), crop(15, 560.0)]
    sequence, rolls = sequence_of(track((0, 0)), crops, TILT, 30.0, FitOptions())
    assert sequence.time.tolist() == [0.0, 0.5]
    assert sequence.box.tolist() == [[280.0, 100.0, 80.0, 80.0], [560.0, 100.0, 80.0, 80.0]]
    assert sequence.travel.abs().max() == 0
    torch.testing.assert_close(sequence.up.norm(dim=1), torch.ones(2))
    # At the centre column the camera's pitch and roll, less the angle of the ray: 100 px above the centre.
    pitch = math.degrees(math.asin(-sequence.up[0, 2]))
    assert pitch == pytest.approx(math.degrees(0.3) - math.degrees(math.atan(100 / 500)), abs=1)
    assert math.degrees(rolls[0].mean()) == pytest.approx(math.degrees(0.2), abs=1)
    assert rolls.shape == (2, 3)
    assert math.degrees(sequence.spread[0]) == pytest.approx(math.hypot(12, math.degrees(0.05)), abs=0.1)


def test_nothing_is_known_of_the_camera() -> None:
    sequence, rolls = sequence_of(track((0, 0)), [crop(0, 280.0)], CameraTilt(), 30.0, FitOptions())
    assert rolls.shape == (1, 7) and rolls.min() < -0.7 and rolls.max() > 0.7
    # Most cameras look down.
    assert math.degrees(math.asin(-sequence.up[0, 2])) == pytest.approx(12, abs=0.5)
    assert sequence.spread[0] > 0.35


@pytest.mark.parametrize(
    ("speed", "direction"), [((1.5, 0.0), (1, 0)), ((-1.5, 0.0), (-1, 0)), ((0.0, 0.8), (0, -1)), ((0.0, -0.8), (0, 1))]
)
def test_directions_of_travel(speed: tuple[float, float], direction: tuple[float, float]) -> None:
    sequence, _ = sequence_of(track(speed), [crop(15, 280.0)], TILT, 30.0, FitOptions())
    np.testing.assert_allclose(sequence.travel[0].numpy(), direction, atol=0.1)
    slow, _ = sequence_of(track((speed[0] / 60, speed[1] / 60)), [crop(15, 280.0)], TILT, 30.0, FitOptions())
    assert slow.travel[0].norm() < 0.3


def test_frame_rates(recording_folder: Path) -> None:
    frames = open_frames(recording_folder)
    assert isinstance(frames, ListedFrames) or frames.rate == 0
    assert frame_rate(frames, 12.5) == 12.5
    with kept_findings() as found:
        assert frame_rate(frames, None) == 25
    assert any("--fps" in line for line in found)


def test_settings_of_track_fits_are_used(free_body: Body, recording_folder: Path, outcome: FitOutcome) -> None:
    shorter = replace(OPTIONS, frames=(20,), track_fits=replace(OPTIONS.track_fits, steps=1, path_steps=1))
    found = fit_recording(open_frames(recording_folder), free_body, shorter, Progress())
    losses = [np.mean([p.result.loss_after.mean() for p in result.people]) for result in (found, outcome)]
    assert losses[0] > losses[1]
