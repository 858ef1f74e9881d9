from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from adaptation.bodies.body import Body
from adaptation.bodies.camera import WeakPerspective, crop_to_frame, project
from adaptation.bodies.poses import facing
from adaptation.evaluation.metrics import silhouette_iou
from adaptation.fitting.settings import FitSettings, StartSettings
from adaptation.fitting.variables import BodyVariables
from adaptation.recording.detections import Detection, MaskQuality, PackedMask
from adaptation.recording.fits.per_frame import facing_direction
from adaptation.recording.fits.travel import velocity_of
from adaptation.recording.footage.mask_files import open_masks
from adaptation.recording.footage.video import open_frames
from adaptation.recording.found_people import choose_detections
from adaptation.recording.options import FitOptions
from adaptation.recording.pipeline import FitOutcome, fit_recording, make_fitter
from adaptation.recording.tracking import Track
from adaptation.support.errors import UserError
from adaptation.support.progress import Progress
from adaptation.synthetic.hall import SyntheticClip

FRAMES = (18, 20, 25)
OPTIONS = FitOptions(
    frames=FRAMES,
    size=64,
    fit=FitSettings(steps=40),
    per_frame=True,
    starts=StartSettings(yaws=(-70, 0, 70), phases=(0.0, 0.25, 0.5), kept=2),
)


@pytest.fixture(scope="module")
def outcome(free_body: Body, recording_folder: Path) -> FitOutcome:
    return fit_recording(open_frames(recording_folder), free_body, OPTIONS, Progress())


def quality(usable: bool) -> MaskQuality:
    return MaskQuality(False, 1.0, 1, False, usable, "" if usable else "touches the border")


def track(number: int, frames: list[int], bad: tuple[int, ...] = (), speed: float = 3.0) -> Track:
    """A person of 20 x 60 pixels who moves to the right and a third as fast down."""
    mask = PackedMask.of(np.ones((60, 20), bool))
    detections = (
        Detection(
            frame, (round(speed * frame), round(speed * frame / 3), 20, 60), mask,
            quality(frame not in bad),
        )
        for frame in frames
    )  # fmt: skip
    return Track(number, tuple(detections))


def test_everyone_is_fitted_in_the_frames_asked_for(outcome: FitOutcome) -> None:
    assert len(outcome.people) == 2
    for person in outcome.people:
        np.testing.assert_array_equal(person.result.frame, FRAMES)
        assert [crop.frame for crop in person.crops] == list(FRAMES)
        for field in fields(person.result):
            array = getattr(person.result, field.name)
            assert np.isfinite(array).all(), field.name
            assert array.dtype == (np.int64 if field.name == "frame" else np.float32), field.name


def test_fits_are_better_than_their_starts(outcome: FitOutcome) -> None:
    results = [person.result for person in outcome.people]
    before, after = (
        np.concatenate([getattr(result, name) for result in results]) for name in ("iou_before", "iou_after")
    )
    assert np.median(after) > np.median(before) + 0.05
    assert np.median(after) > 0.7
    assert np.concatenate([r.loss_after for r in results]).mean() < (
        np.concatenate([r.loss_before for r in results]).mean()
    )


def test_people_are_where_they_walk(outcome: FitOutcome, recording: SyntheticClip) -> None:
    found = [recording.person_of(person.result) for person in outcome.people]
    assert sorted(found) == [0, 1]
    for who, person in zip(found, outcome.people, strict=True):
        result = person.result
        error = np.linalg.norm(result.joints2d - recording.joints2d[who, result.frame], axis=-1)
        # Pelvis, neck and head, which no reflection exchanges, of people 60 to 80 px tall.
        assert error[:, [0, 12, 15]].mean() < 5
        low, high = result.box[:, None, :2], result.box[:, None, :2] + result.box[:, None, 2:]
        assert ((result.joints2d >= low) & (result.joints2d <= high)).mean() > 0.97


def test_numbers_of_a_result_belong_together(outcome: FitOutcome, free_body: Body) -> None:
    fitter = make_fitter(free_body, OPTIONS)
    for person in outcome.people:
        result = person.result
        pose, betas, camera, box = (
            torch.from_numpy(getattr(result, name)) for name in ("pose", "betas", "camera", "box")
        )
        joints = free_body(pose, betas).joints
        np.testing.assert_allclose(joints.numpy(), result.joints3d, atol=1e-5)
        placed = crop_to_frame(project(joints, WeakPerspective(camera), OPTIONS.size), box, OPTIONS.size)
        np.testing.assert_allclose(placed.numpy(), result.joints2d, atol=1e-2)
        masks = torch.from_numpy(np.stack([crop.mask for crop in person.crops]))[:, None]
        for prefix, iou in (("", result.iou_after), ("start_", result.iou_before)):
            numbers = [torch.from_numpy(getattr(result, prefix + name)) for name in ("pose", "betas", "camera")]
            bodies = BodyVariables(*numbers[:2], WeakPerspective(numbers[2]))
            seen = silhouette_iou(fitter.posed(bodies, OPTIONS.size).silhouette, masks)
            # A body that was reflected in depth has the same silhouette, but for its asymmetries.
            np.testing.assert_allclose(seen.numpy(), iou, atol=0.04)


def test_given_masks_are_used(
    free_body: Body, recording: SyntheticClip, recording_folder: Path, tmp_path: Path
) -> None:
    for number, mask in enumerate(recording.visible.any(0)):
        cv2.imwrite(str(tmp_path / f"{number:04d}.png"), mask.astype(np.uint8) * 255)
    frames = open_frames(recording_folder)
    options = replace(OPTIONS, frames=(20,), fit=FitSettings(steps=2))
    found = fit_recording(frames, free_body, options, Progress(), open_masks(tmp_path, frames))
    assert len(found.people) == 2
    for person in found.people:
        (detection,) = (d for d in person.track.detections if d.frame == 20)
        x, y, w, h = detection.bbox
        truth = recording.visible[recording.person_of(person.result), 20, y : y + h, x : x + w]
        assert (truth == detection.mask).mean() > 0.99


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": (99,)}, "frame 99 does not exist"),
        ({"frames": (0, 1)}, "no usable mask of a person in the frames asked for"),
        ({"frames": None, "every": 1000}, "one frame in 1000"),
        ({"device": "cuda:99"}, "device 'cuda:99' cannot be used"),
        ({"device": "meta"}, "device must be cpu, cuda or cuda:N"),
    ],
)
def test_what_cannot_be_done(free_body: Body, recording_folder: Path, change: dict[str, object], message: str) -> None:
    options = replace(OPTIONS, **change)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=message) as caught:
        fit_recording(open_frames(recording_folder), free_body, options, Progress())
    assert "\n" not in str(caught.value)


def test_detections_are_chosen_by_frame_and_quality() -> None:
    tracks = [track(1, list(range(10)), bad=(4,)), track(2, [3, 4, 5], bad=(3, 4, 5))]
    chosen, notes = choose_detections(tracks, FitOptions(frames=(2, 4, 50)))
    assert [(t.number, [d.frame for d in found]) for t, found in chosen] == [(1, [2])]
    assert notes == [
        "person 1, frame 4: not fitted, touches the border",
        "person 2, frame 4: not fitted, touches the border",
    ]
    chosen, notes = choose_detections(tracks, FitOptions(every=3))
    assert [d.frame for d in chosen[0][1]] == [0, 3, 6, 9] and len(chosen) == 1
    assert notes == ["person 2, frame 3: not fitted, touches the border"]
    with pytest.raises(UserError, match=r"no usable mask.*frame 4: not fitted, touches"):
        choose_detections(tracks, FitOptions(frames=(4,)))


def test_velocity_is_in_body_heights_per_frame() -> None:
    walk = track(1, list(range(0, 60, 2)))
    velocity = velocity_of(walk, np.array([0, 20, 58]))
    np.testing.assert_allclose(velocity, np.tile([3 / 60, 1 / 60], (3, 1)), rtol=0.05)
    assert not velocity_of(track(1, [7]), np.array([7])).any()


def test_directions_faced() -> None:
    orientation = facing(torch.tensor([0.0, np.pi / 2, np.pi]))
    # To the camera, to the right, away from the camera: x and z.
    np.testing.assert_allclose(facing_direction(orientation), [[0, -1], [1, 0], [0, 1]], atol=1e-6)
