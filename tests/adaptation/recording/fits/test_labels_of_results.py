from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from adaptation.bodies.body import Body
from adaptation.bodies.camera import crop_to_frame, project
from adaptation.bodies.joint_sets import SMPL
from adaptation.recording.crops import Crop
from adaptation.recording.detections import MaskQuality
from adaptation.recording.fits.as_labels import labels_of_results
from adaptation.recording.results import PersonResult
from adaptation.support.errors import UserError
from adaptation.support.reading.findings import kept_findings

QUALITY = MaskQuality(False, 1.0, 1, False, True, "")


def crop(track: int, frame: int, x: float, side: float = 140.0) -> Crop:
    return Crop(
        track, frame, (x, 20.0, side, side), np.zeros((8, 8, 3), np.uint8), np.ones((8, 8), np.float32), QUALITY
    )


def result(body: Body, frames: list[int], x: float) -> PersonResult:
    """A person whose crops of 120 pixels begin at ``x``; poses differ from frame to frame."""
    count = len(frames)
    pose = 0.2 * torch.randn(count, len(SMPL), 3, generator=torch.Generator().manual_seed(round(x)))
    betas, camera = torch.full((count, 10), 0.5), torch.tensor([[0.9, 0.1, 0.2]]).repeat(count, 1)
    nothing = np.zeros(count, np.float32)
    return PersonResult(
        frame=np.array(frames), box=np.array([[x, 30.0, 120.0, 120.0]] * count, np.float32),
        pose=pose.numpy(), betas=betas.numpy(), camera=camera.numpy(),
        joints3d=body.joints(pose, betas).numpy(), joints2d=np.zeros((count, len(SMPL), 2), np.float32),
        iou_before=nothing, iou_after=nothing, loss_before=nothing, loss_after=nothing,
        start_pose=pose.numpy(), start_betas=betas.numpy(), start_camera=camera.numpy(),
    )  # fmt: skip


@pytest.fixture
def folder(free_body: Body, tmp_path: Path) -> Path:
    for number, person in enumerate((result(free_body, [3, 6], 10.0), result(free_body, [6, 9], 200.0))):
        person.save(tmp_path / f"person_{number + 1:02d}.npz")
    return tmp_path


def test_each_crop_gets_the_body_of_its_frame_and_place(free_body: Body, folder: Path) -> None:
    # Tracks may be numbered otherwise, and not every crop has a body, nor every body a crop.
    crops = [crop(5, 6, 190.0), crop(5, 9, 192.0), crop(8, 6, 2.0), crop(8, 12, 2.0), crop(9, 3, 400.0)]
    with kept_findings() as told:
        labels = labels_of_results(folder, crops, free_body)
    assert "bodies for 3 of 5 crops" in told[0]
    assert labels.trust.tolist() == [1, 1, 1, 0, 0]
    first, second = (PersonResult.load(folder / f"person_0{number}.npz") for number in (1, 2))
    for index, (person, row) in enumerate(((second, 0), (second, 1), (first, 1))):
        expected = person.bodies([row])
        torch.testing.assert_close(labels.bodies.rotations[index], expected.rotations[0])
        # Seen through the crop's camera, the body is where it was in the frame.
        joints = torch.from_numpy(person.joints3d[[row]])
        in_frame = crop_to_frame(project(joints, expected.camera, 112), torch.from_numpy(person.box[[row]]), 112)
        own = labels.bodies.select(slice(index, index + 1))
        again = crop_to_frame(project(joints, own.camera, 96), torch.tensor([crops[index].box]), 96)
        torch.testing.assert_close(again, in_frame, atol=1e-2, rtol=0)


def test_results_of_something_else_are_refused(free_body: Body, folder: Path, tmp_path_factory) -> None:
    with pytest.raises(UserError, match="none of its bodies is in the crops"):
        labels_of_results(folder, [crop(1, 7, 10.0)], free_body)
    with pytest.raises(UserError, match="no person_"):
        labels_of_results(tmp_path_factory.mktemp("empty"), [crop(1, 6, 10.0)], free_body)
