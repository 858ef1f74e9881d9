"""Each kind of failure where it must be found and where it must not, on bodies made from the truth."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import roma
import torch
from evidence.failures import FailureCell, Failures, find_failures, predict, run_failures
from evidence.materials import Materials, Scale
from evidence.recording import run_recording
from networks import tiny_network
from torch import Tensor

from adaptation.bodies.body import FLIP_PERMUTATION, JOINT_NAMES, Body
from adaptation.bodies.camera import WeakPerspective
from adaptation.bodies.parameters import Bodies
from adaptation.bodies.poses import facing, standing, walking
from adaptation.data.samples import MASK_KINDS, Samples
from adaptation.regressors.files import LoadedNetwork
from adaptation.support.errors import UserError
from adaptation.synthetic.domains import make_domain
from adaptation.synthetic.hall import ClipSettings, render_clip, write_clip
from adaptation.synthetic.settings import DomainSettings

SIZE = 96
CAMERA = (0.9, 0.0, 0.1)  # a whole body in the crop
TINY = Scale(train=24, adapt=24, test=12, pretrain_steps=1, other_steps=1, uap_steps=1, adapt_steps=1)
J = {name: number for number, name in enumerate(JOINT_NAMES)}
LEGS = ("hip", "knee", "ankle", "foot")
ARMS = ("collar", "shoulder", "elbow", "wrist", "hand")


def posed(pose: Tensor, yaw: float = 0.0) -> Tensor:
    """A pose (24, 3) that faces a way, in degrees, 0 being the camera."""
    turned = pose.clone()
    turned[0] = facing(math.radians(yaw), pitch=0.1)
    return turned


def domain_of(pose: Tensor) -> Samples:
    """One labelled crop."""
    mask = np.zeros((1, len(MASK_KINDS), SIZE, SIZE), np.uint8)
    mask[..., 20:80, 40:60] = 1
    return Samples(
        images=np.zeros((1, SIZE, SIZE, 3), np.uint8),
        masks=mask,
        clip=np.zeros(1, np.int64),
        pose=pose[None].numpy(),
        betas=np.zeros((1, 10), np.float32),
        camera=np.array([CAMERA], np.float32),
    )


def failures(said: Tensor, true: Tensor, body: Body, camera: tuple[float, float, float] = CAMERA) -> Failures:
    rotations = roma.rotvec_to_rotmat(said[None])
    return find_failures(
        Bodies(rotations, torch.zeros(1, 10), WeakPerspective(torch.tensor([camera]))), domain_of(true), body
    )


def names(found: Failures) -> set[str]:
    """Those that are found in the only image."""
    return {kind.name for kind in fields(found) if getattr(found, kind.name)[0] > 0}


def exchange(pose: Tensor, parts: tuple[str, ...]) -> Tensor:
    """Left and right limbs do what the others did, as in a mirror."""
    swapped = pose.clone()
    for part in parts:
        for side in ("left", "right"):
            joint = J[f"{side}_{part}"]
            swapped[joint] = pose[FLIP_PERMUTATION[joint]] * torch.tensor([1.0, -1.0, -1.0])
    return swapped


STRIDE = walking(0.0, 30.0, 20.0, 30.0)


@pytest.mark.parametrize("yaw", [0, 90, 200])
def test_the_truth_is_no_failure(yaw: int, body: Body) -> None:
    assert names(failures(posed(STRIDE, yaw), posed(STRIDE, yaw), body)) == set()


def test_failures_of_a_network_s_own_predictions_are_none(target: Samples, body: Body) -> None:
    said = predict(tiny_network().eval(), target)
    own = replace(
        target,
        pose=said.axis_angle().numpy(),
        betas=said.betas.numpy(),
        camera=said.camera.weak().parameters.numpy(),
        masks=target.masks[:, [0, 0, 0]],
    )
    counts = find_failures(said, own, body, batch=7).counts()
    assert all(fails == 0 for fails, _ in counts.values())
    assert counts["wrong_way"] == counts["legs_swapped"] == counts["bent_wrong"] == (0, 24)


def test_legs_swapped(body: Body) -> None:
    true, said = posed(STRIDE, 90), posed(exchange(STRIDE, LEGS), 90)
    found = failures(said, true, body)
    assert names(found) == {"legs_swapped"} and 0.05 < found.legs_swapped[0] < 0.5
    # From the front, the legs look alike in both strides.
    assert "legs_swapped" not in names(failures(posed(exchange(STRIDE, LEGS)), posed(STRIDE), body))
    # Wrong, but no better when exchanged.
    assert "legs_swapped" not in names(failures(posed(standing(), 90), true, body))


def test_arms_swapped(body: Body) -> None:
    true, said = posed(STRIDE, 90), posed(exchange(STRIDE, ARMS), 90)
    assert names(failures(said, true, body)) == {"arms_swapped"}
    assert "arms_swapped" not in names(failures(posed(standing(), 90), true, body))


@pytest.mark.parametrize(("turn", "wrong"), [(80, False), (100, True), (180, True), (-100, True), (-80, False)])
def test_facing_the_wrong_way(turn: int, wrong: bool, body: Body) -> None:
    found = failures(posed(STRIDE, 30 + turn), posed(STRIDE, 30), body)
    assert (found.wrong_way[0] > 0) == wrong
    if wrong:  # which exchanges left and right as well
        assert found.wrong_way[0] == pytest.approx(abs(turn), abs=3)
        assert np.isnan(found.legs_swapped[0]) and np.isnan(found.arms_swapped[0])


def test_leaning_is_not_facing_another_way(body: Body) -> None:
    true, said = posed(STRIDE, 90), posed(STRIDE, 90)
    said[0] = facing(math.pi / 2, pitch=1.2)
    assert failures(said, true, body).wrong_way[0] == 0


def test_a_limb_bent_the_wrong_way_in_depth(body: Body) -> None:
    true, said = standing(), standing()
    true[J["left_hip"], 0], said[J["left_hip"], 0] = -0.5, 0.5  # forward, backward
    found = failures(posed(said), posed(true), body)
    assert names(found) == {"bent_wrong"} and found.bent_wrong[0] == pytest.approx(2 * math.degrees(0.5), abs=6)
    true[J["left_hip"], 0], said[J["left_hip"], 0] = -0.2, 0.2  # less than 30 degrees apart
    assert names(failures(posed(said), posed(true), body)) == set()
    # The same bodies elsewhere in the image do not agree with the truth, so that nothing can be said about depth.
    true[J["left_hip"], 0], said[J["left_hip"], 0] = -0.5, 0.5
    assert np.isnan(failures(posed(said), posed(true), body, camera=(0.9, 0.2, 0.1)).bent_wrong[0])


def test_a_hidden_arm(body: Body) -> None:
    hanging, raised = posed(standing(), 90), posed(standing(), 90)
    raised[J["left_shoulder"]] = 0  # held out as in the rest pose
    # From its side, an arm that hangs lies before or behind the torso.
    found = failures(raised, hanging, body)
    assert names(found) == {"hidden_arm"} and 300 < found.hidden_arm[0] < 1000
    # From the front, one that is held out can be seen.
    true = posed(standing())
    true[J["left_shoulder"]] = true[J["right_shoulder"]] = 0
    assert np.isnan(failures(posed(standing()), true, body).hidden_arm[0])


def test_a_mask_that_misses_a_part(body: Body) -> None:
    pose = posed(STRIDE)
    said = Bodies(roma.rotvec_to_rotmat(pose[None]), torch.zeros(1, 10), WeakPerspective(torch.tensor([CAMERA])))
    for rows, share in ((10, 0), (15, 0.25)):  # of 60
        domain = domain_of(pose)
        domain.masks[0, MASK_KINDS.index("subtracted"), 20 : 20 + rows] = 0
        assert find_failures(said, domain, body).poor_mask[0] == pytest.approx(share)


def test_labels_are_needed(target: Samples, body: Body) -> None:
    said = predict(tiny_network().eval(), target)
    with pytest.raises(UserError, match="no labels"):
        find_failures(said, replace(target, pose=None), body)


@pytest.fixture
def materials(source: Samples, target: Samples, tmp_path: Path) -> Materials:
    """Small sets of crops, and a network where the source model lies."""
    for domain, name in ((source, "source-train"), (target, "style-test")):
        domain.save(tmp_path / "data" / name, {})
    (tmp_path / "source").mkdir()
    LoadedNetwork(tiny_network(), ".safetensors").save(tmp_path / "source" / "model.safetensors")
    return Materials(tmp_path, TINY, "float32", 1)


def test_failures_are_counted_where_an_adaptation_has_run(materials: Materials, body: Body) -> None:
    cell, said = FailureCell("style"), []
    run_failures([cell], materials, said.append)
    assert not materials.has_run(cell.name) and said == []
    adapted = tiny_network(1).eval()
    torch.nn.init.normal_(adapted.decpose.weight, std=0.1)
    run = materials.folder / "runs" / cell.adaptation.name
    run.mkdir(parents=True)
    torch.save({"network": tiny_network(2).state_dict(), "best": adapted.state_dict()}, run / "state.pt")
    materials.keep(cell.adaptation.name, {})
    run_failures([cell], materials, said.append)
    record = materials.result(cell.name)
    test = Samples.load(materials.folder / "data" / "style-test")
    assert record["images"] == 24 and record["before"].keys() == {kind.name for kind in fields(Failures)}
    counts = find_failures(predict(adapted, test), test, body).counts()
    assert record["after"] == {kind: list(numbers) for kind, numbers in counts.items()} != record["before"]
    picture = cv2.imread(str(materials.picture("failures-style")))
    assert picture.shape[0] > 200 and picture.shape[1] > 900 and picture.std() > 10
    assert len(said) == 1
    run_failures([cell], materials, said.append)
    assert len(said) == 1  # nothing was counted again


def test_a_recording(materials: Materials, tmp_path: Path) -> None:
    make_domain(DomainSettings("source", "train", 12, 96)).save(tmp_path / "data" / "source-train", {})
    write_clip(render_clip(ClipSettings(width=240, height=180, frames=40, rate=5.0)), tmp_path)
    said: list[str] = []
    run_recording(tmp_path / "frames", materials, said.append)
    record = materials.result("recording/frames")
    assert record["tracks"] == 2 and record["settings"]["loss"]["name"] == "ours"
    assert 0 < record["aside"]["crops"] < record["all"]["crops"] and record["all"]["iou_before"] > 0.2
    assert len(said) == 3
    run_recording(tmp_path / "frames", materials, said.append)
    assert len(said) == 3  # nothing was done again
    picture = cv2.imread(str(materials.picture("recording-frames")))
    assert (picture > 250).mean() > 0.5  # bodies on white, and no footage
