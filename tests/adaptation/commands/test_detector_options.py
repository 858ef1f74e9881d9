"""Options of commands that need MediaPipe's networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command_line import Command, one_line
from detector_models import models_folder, needs_models

from adaptation.bodies.joint_sets import OPENPOSE_JOINTS
from adaptation.data.samples import Samples
from adaptation.recording.options import FitOptions
from adaptation.synthetic.domains import make_domain
from adaptation.synthetic.settings import DomainSettings


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--masks-from", "segmenter"), "needs MediaPipe's networks: pip download --no-deps mediapipe==0.10.21"),
        (("--models", "x"), "--models is for --masks-from segmenter"),
        (("--masks-from", "mediapipe", "--models", "x"), "--masks-from must be one of segmenter"),
        (("--masks-from", "segmenter", "--models", "x", "--masks", "m"), "and --masks replace each other"),
        (("--masks-from", "segmenter", "--models", "x", "--background", "b"), "and --background replace each other"),
        (("--masks-from", "segmenter", "--models", "/none"), "no such file: /none"),
    ],
)
def test_masks_come_from_one_source(
    options: tuple[str, ...], expected: str, recording_folder: Path, command: Command, tmp_path: Path
) -> None:
    for start in (("fit", recording_folder, "--out", tmp_path / "out"), ("check", recording_folder)):
        code, _, errors = command(*start, *options)
        assert code == 2 and expected in one_line(errors)
    assert not (tmp_path / "out").exists()


def test_the_detector_needs_its_networks(
    source: Samples, recording_folder: Path, command: Command, tmp_path: Path
) -> None:
    source.save(tmp_path / "set", {})
    for options, expected in (
        (("--detector", "mediapipe"), "needs its networks: npm pack @mediapipe/pose"),
        (("--detector", "openpose"), "--detector must be one of mediapipe"),
        (("--simulate", "--models", "x"), "--models is for --detector mediapipe"),
        (("--simulate", "--detector", "mediapipe"), "needs exactly one of"),
        (("--detector", "mediapipe", "--models", "/none"), "no such file: /none"),
        (("--simulate", "--out", tmp_path / "out"), "--out and --masks are for recordings"),
    ):
        code, _, errors = command("keypoints", tmp_path / "set", *options)
        assert code == 2 and expected in one_line(errors)
    assert Samples.load(tmp_path / "set").keypoints is None


@needs_models
def test_keypoints_of_crops_are_detected(command: Command, tmp_path: Path) -> None:
    made = make_domain(DomainSettings(count=12, size=160, seed=1))
    made.save(tmp_path / "set", {})
    code, output, _ = command("keypoints", tmp_path / "set", "--detector", "mediapipe", "--models", models_folder())
    assert code == 0 and "keypoints for 12 crops" in output
    keypoints = Samples.load(tmp_path / "set").keypoints
    assert keypoints is not None and (keypoints[:, list(OPENPOSE_JOINTS), 2] > 0).mean() > 0.7
    on = np.rint(keypoints[keypoints[..., 2] > 0][:, :2]).astype(int).clip(0, 159)
    assert len(on) > 100


@needs_models
def test_a_recording_becomes_crops_with_keypoints(recording_folder: Path, command: Command, tmp_path: Path) -> None:
    start = ("keypoints", recording_folder, "--detector", "mediapipe", "--models", models_folder())
    code, _, errors = command(*start)
    assert code == 2 and "need a folder: --out FOLDER" in one_line(errors)
    code, output, _ = command(*start, "--out", tmp_path / "set", "--every", 4, "--size", 96)
    assert code == 0 and "joints found" in output
    samples = Samples.load(tmp_path / "set")
    assert samples.size == 96 != FitOptions.size and samples.keypoints is not None and samples.masks is not None
    for mask, keypoints in zip(samples.masks[:, 0], samples.keypoints, strict=True):
        rows, columns = np.nonzero(mask)
        found = keypoints[keypoints[:, 2] > 0]
        # In pixels of the crop: around the mask.
        for places, pixels in ((found[:, 0], columns), (found[:, 1], rows)):
            assert (places > pixels.min() - 15).all() and (places < pixels.max() + 15).all()
