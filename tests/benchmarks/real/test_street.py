from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from real.references import References, references
from real.skeleton import JOINTS, OF_BLAZEPOSE, OF_SMPL, facing
from real.street import judge_street, load_results

from adaptation.recording.results import PersonResult
from adaptation.support.errors import UserError

# Somebody who faces the camera: x right, y down, z away from it, so that the left side is at larger x.
FRONT = np.array(
    [
        [0.2, -0.5, 0], [-0.2, -0.5, 0], [0.3, -0.2, 0], [-0.3, -0.2, 0], [0.3, 0, 0], [-0.3, 0, 0],
        [0.1, 0, 0], [-0.1, 0, 0], [0.1, 0.4, 0], [-0.1, 0.4, 0], [0.1, 0.8, 0], [-0.1, 0.8, 0],
    ]
)  # fmt: skip
HEIGHT, PIXELS = 160.0, 100.0


def seen(frames: int = 4, turned: tuple[int, ...] = ()) -> References:
    """One person in each frame; in some, the detector has exchanged left and right."""
    keypoints, world = np.zeros((frames, 33, 3), np.float32), np.zeros((frames, 33, 3), np.float32)
    keypoints[:, OF_BLAZEPOSE, :2] = FRONT[:, :2] * PIXELS + [200, 150]
    keypoints[..., 2] = 1
    world[:, OF_BLAZEPOSE] = FRONT
    for frame in turned:
        world[frame, :, 0] *= -1
    box = np.tile(np.array([170, 80, 60, HEIGHT], np.float32), (frames, 1))
    return References(np.arange(frames) * 5, np.ones(frames, np.int64), box, keypoints, world, np.ones(frames))


def result(frames: list[int], shift: float = 0.0, away: float = 0.0, back: bool = False) -> PersonResult:
    """The same person, shifted by pixels in the image, in a crop that is ``away`` pixels off."""
    count = len(frames)
    joints = FRONT * [-1, 1, -1] if back else FRONT
    joints2d, joints3d = np.zeros((count, 24, 2), np.float32), np.zeros((count, 24, 3), np.float32)
    joints2d[:, OF_SMPL] = joints[:, :2] * PIXELS + [200 + shift, 150]
    joints3d[:, OF_SMPL] = joints
    box = np.tile(np.array([200 - 96 + away, 160 - 96, 192, 192], np.float32), (count, 1))
    pose, betas, camera = np.zeros((count, 24, 3)), np.zeros((count, 10)), np.ones((count, 3))
    one = np.ones(count)
    return PersonResult(
        np.array(frames), box, pose, betas, camera, joints3d, joints2d, one, one, one, one, pose, betas, camera
    )


def test_errors_are_in_parts_of_the_height() -> None:
    scores = judge_street([result([0, 5], shift=8)], seen())
    assert scores.bodies == 2 and scores.missed == 0 and scores.others == 0
    assert (scores.error, scores.pck, scores.front) == (pytest.approx(5, abs=1e-3), 100, 100)
    far = judge_street([result([0, 5], shift=24)], seen())
    assert (far.error, far.pck) == (pytest.approx(15, abs=1e-3), 0)


def test_somebody_who_faces_the_other_way_is_noticed() -> None:
    scores = judge_street([result([0, 5, 10], back=True)], seen())
    assert scores.front == 0
    assert scores.error > 10 and scores.either == pytest.approx(0, abs=1e-3)
    assert judge_street([result([0]), result([5], back=True)], seen()).front == 50


def test_bodies_without_a_counterpart_and_people_without_a_body_are_counted() -> None:
    scores = judge_street([result([0, 7]), result([5], away=300)], seen())
    assert (scores.bodies, scores.others, scores.missed) == (1, 1, 1)
    with pytest.raises(UserError, match="no body of the results"):
        judge_street([result([7])], seen())


def test_people_whose_sides_the_detector_exchanges_do_not_count() -> None:
    assert seen(5, turned=(2,)).consistent().tolist() == [True, True, False, True, True]
    scores = judge_street([result([0, 5, 10, 15, 20])], seen(5, turned=(2,)))
    assert (scores.bodies, scores.front, scores.others) == (4, 100, 1)


def test_joints_that_the_detector_did_not_see_do_not_count() -> None:
    references = seen(1)
    wrist = OF_BLAZEPOSE[JOINTS.index("left_wrist")]
    references.keypoints[:, wrist] = [0, 0, 0.1]
    assert judge_street([result([0])], references).error == pytest.approx(0, abs=1e-3)


def test_bodies_face_where_their_trunk_does() -> None:
    assert facing(FRONT)[2] < 0 and facing(FRONT, by_hips=True)[2] < 0
    assert facing(FRONT * [-1, 1, -1])[2] > 0


def test_references_are_kept(tmp_path: Path) -> None:
    video = tmp_path / "a.avi"
    video.write_bytes(b"x")
    with pytest.raises(UserError, match="does not exist yet; give the detector's networks"):
        references(video, None, tmp_path / "kept.npz")
    seen().save(tmp_path / "kept.npz", '{"recording": "a.avi", "bytes": 1, "every": 5}')
    again = references(video, None, tmp_path / "kept.npz")
    assert np.array_equal(again.keypoints, seen().keypoints)
    with pytest.raises(UserError, match="was not made from"):
        references(video, None, tmp_path / "kept.npz", every=10)
    with pytest.raises(UserError, match=r"no person_\*.npz"):
        load_results(tmp_path)
