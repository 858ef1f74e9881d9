from __future__ import annotations

import numpy as np
import pytest
import torch
from detector_models import models_folder, needs_models

from adaptation.bodies.body import Body
from adaptation.bodies.joint_sets import OPENPOSE_JOINTS, SMPL
from adaptation.data.samples import Samples
from adaptation.detectors.blazepose import LANDMARKS, BlazePose, refine
from adaptation.detectors.joints import keypoints_of_crops, region_of, to_body_joints
from adaptation.detectors.model_packages import open_models
from adaptation.detectors.people import PeopleDetector
from adaptation.detectors.segmenter import Segmenter, union
from adaptation.evaluation.metrics import similarity_align
from adaptation.synthetic.domains import make_domain
from adaptation.synthetic.keypoints import simulated_keypoints
from adaptation.synthetic.settings import DomainSettings


def test_heatmaps_refine_only_where_they_are_sure() -> None:
    heat = np.full((64, 64, 3), -9, np.float32)
    heat[20:23, 30:33, 0] = 4
    heat[20:23, 30:33, 1] = -2
    places = np.array([[0.5, 0.3], [0.5, 0.3], [1.2, 0.3]], np.float32)
    refined = refine(places, heat)
    np.testing.assert_allclose(refined[0], [31 / 64, 21 / 64], atol=1e-3)
    assert np.array_equal(refined[1:], places[1:])


def test_landmarks_become_joints_by_name() -> None:
    keypoints = np.zeros((2, 33, 3), np.float32)
    keypoints[..., 0], keypoints[..., 2] = np.arange(33), 0.9
    keypoints[1, LANDMARKS.index("left_shoulder"), 2] = 0.2
    joints = to_body_joints(keypoints)
    assert joints.shape == (2, 24, 3)
    assert joints[0, SMPL.joints.index("right_wrist"), 0] == LANDMARKS.index("right_wrist")
    assert joints[0, SMPL.joints.index("neck"), 0] == 11.5
    found = joints[..., 2] > 0
    assert found[0].sum() == 13 and set(np.flatnonzero(found[0])) == set(OPENPOSE_JOINTS)
    # Without a shoulder there is no neck.
    assert found[1].sum() == 11 and not joints[1, SMPL.joints.index("neck")].any()


def test_without_a_mask_the_whole_crop_is_looked_at() -> None:
    mask = np.zeros((40, 40), np.uint8)
    assert region_of(mask).side == 40
    mask[10:30, 15:20] = 1
    assert (region_of(mask).x, region_of(mask).y, region_of(mask).side) == (17.5, 20, 25)


@pytest.fixture(scope="module")
def people() -> Samples:
    """Twelve labelled crops of 160 pixels."""
    return make_domain(DomainSettings(count=12, size=160, seed=1))


@needs_models
def test_joints_of_rendered_people_are_found(people: Samples, free_body: Body) -> None:
    detector = BlazePose(open_models(models_folder()), "pose_landmark_lite")
    found = keypoints_of_crops(detector, people.images, people.masks[:, 0])
    truth = simulated_keypoints(people, free_body, 0.0, 0.0, torch.Generator().manual_seed(0))
    both = (found[..., 2] > 0) & (truth[..., 2] > 0)
    assert both.sum() > 100
    away = np.linalg.norm(found[..., :2] - truth[..., :2], axis=-1)[both]
    assert np.median(away) < 3.5  # 1.8 pixels when this was written


@needs_models
def test_3d_landmarks_and_masks_are_those_of_the_person(people: Samples, free_body: Body) -> None:
    detector = BlazePose(open_models(models_folder()), "pose_landmark_lite")
    images = [np.asarray(image) for image in people.images[:4]]
    poses = detector.detect(images, [region_of(mask) for mask in people.masks[:4, 0]])
    assert len(poses) == 4 and (poses.presence > 0.9).all() and poses.mask.shape == (4, 160, 160)
    truth = people.masks[:4, 0] > 0
    masks = poses.mask >= 0.5
    assert ((masks & truth).sum((1, 2)) / (masks | truth).sum((1, 2))).min() > 0.7
    names = [name for name in LANDMARKS if name in SMPL.joints]
    joints = free_body.joints(torch.from_numpy(people.pose[:4]).float(), torch.from_numpy(people.betas[:4]).float())
    expected = joints[:, [SMPL.joints.index(name) for name in names]].double()
    world = torch.from_numpy(poses.world[:, [LANDMARKS.index(name) for name in names]]).double()
    # In metres and in the camera's axes: no alignment but that of the origin.
    apart = (world - world.mean(1, keepdim=True) - expected + expected.mean(1, keepdim=True)).norm(dim=2).mean()
    assert apart < 0.25
    assert (similarity_align(world, expected) - expected).norm(dim=2).mean() < 0.12


@needs_models
def test_nobody_is_found_where_nobody_is() -> None:
    package = open_models(models_folder())
    noise = np.random.default_rng(0).integers(0, 40, (120, 90, 3)).astype(np.uint8)
    detector = BlazePose(package, "pose_landmark_lite")
    poses = detector.detect([noise], [region_of(np.zeros((120, 90), np.uint8))])
    assert poses.presence[0] < 0.5 and not poses.keypoints2d[..., 2].any()
    assert PeopleDetector(package).detect(noise) == []
    assert len(detector.detect([], [])) == 0


@needs_models
def test_people_who_stand_still_are_segmented(people: Samples) -> None:
    segmenter = Segmenter(open_models(models_folder()))
    # Two people beside each other, on one picture.
    picture = np.concatenate([people.images[0], people.images[1]], axis=1)
    truth = np.concatenate([people.masks[0, 0], people.masks[1, 0]], axis=1) > 0
    found = union(segmenter.masks(picture), (320, 160))
    assert (found & truth).sum() / (found | truth).sum() > 0.7
    assert not union([], (320, 160)).any()
