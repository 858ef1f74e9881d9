"""Protocols on crops whose errors are known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from adaptation.bodies.body import Body
from adaptation.bodies.joint_sets import H36M, OPENPOSE, SMPL, SPIN
from adaptation.bodies.renderer import TopokernelsRenderer
from adaptation.bodies.views import View
from adaptation.data.samples import Samples
from adaptation.data.sets.people import with_confidence
from adaptation.evaluation.protocol_scores import Subject, evaluate_protocol
from adaptation.evaluation.protocols import PROTOCOLS, protocol_by_name
from adaptation.evaluation.segmentation import part_of_faces
from adaptation.regressors.base import Prediction
from adaptation.support.errors import UserError

COUNT = 6


class Fixed(nn.Module):
    """Predicts known bodies, for crops whose first pixel is their number."""

    def __init__(self, samples: Samples, body: Body) -> None:
        super().__init__()
        self.truth = samples.bodies(body)

    def forward(self, images: Tensor, view: View | None = None) -> Prediction:
        return Prediction(self.truth.select((images[:, 0, 0, 0] * 255).round().long()))


@pytest.fixture(scope="module")
def crops(source: Samples) -> Samples:
    few = source.take(slice(0, COUNT))
    images = np.array(few.images)
    images[:, 0, 0, 0] = np.arange(COUNT)
    return replace(few, images=images)


@pytest.fixture(scope="module")
def regressor(free_body: Body) -> Tensor:
    weights = torch.rand(17, free_body.vertex_count, generator=torch.Generator().manual_seed(1)) ** 20
    return weights / weights.sum(dim=1, keepdim=True)


def labelled(crops: Samples, body: Body, regressor: Tensor) -> Samples:
    """Crops of Human3.6M's cameras and frames with joints that the regressor finds."""
    truth = crops.bodies(body)
    vertices = body(truth.rotations, truth.betas).vertices
    return replace(
        crops,
        joints3d=H36M.placed_in(SPIN, with_confidence((regressor @ vertices).numpy())),
        joint_set=SPIN.name,
        subject=np.array([9, 9, 11, 11, 9, 8]),
        view=np.array([60457274, 54138969, 60457274, 60457274, 60457274, 60457274]),
        frame=np.array([0, 5, 10, 15, 3, 0]),
    )


def test_the_truth_has_no_error(crops: Samples, body: Body, regressor: Tensor) -> None:
    samples = labelled(crops, body, regressor)
    subject = Subject(Fixed(crops, body), body, regressor, batch=2)
    scores = evaluate_protocol(subject, samples, PROTOCOLS["3dhp"])
    figures = scores.figures
    assert len(scores.crops) == COUNT and figures["MPJPE mm"] < 1e-2 and figures["PA-MPJPE mm"] < 1e-2
    assert figures["PCK@150 %"] == 100 and figures["AUC %"] == pytest.approx(100 * 30 / 31)
    assert figures["MPJPE p99 mm"] < 1e-2 and len(scores.per_joint) == 17


def test_known_errors(crops: Samples, body: Body, regressor: Tensor) -> None:
    samples = labelled(crops, body, regressor)
    joints = np.array(samples.joints3d)
    place = SPIN.joints.index("left_wrist")
    joints[:, place, 1] += np.float32([0.0, 0.1, 0.2, 0.0, 0.0, 0.0])
    joints[:, SPIN.joints.index("spine"), 0] += 0.3  # not among the 14 of PCK
    joints[:, :, 2] += 3  # the whole body
    subject = Subject(Fixed(crops, body), body, regressor)
    scores = evaluate_protocol(subject, replace(samples, joints3d=joints), PROTOCOLS["3dhp"])
    assert scores.figures["MPJPE mm"] == pytest.approx((300 + COUNT * 300) / (17 * COUNT), rel=1e-3)
    assert scores.figures["PCK@150 %"] == pytest.approx(100 * (1 - 1 / (14 * COUNT)))
    # Errors of 100 mm are below 10 of the 31 thresholds, of 200 mm below none.
    expected = 100 * ((14 * COUNT - 2) * 30 + 10) / (14 * COUNT * 31)
    assert scores.figures["AUC %"] == pytest.approx(expected)
    assert scores.per_joint["left_wrist"]["error_mm"] == pytest.approx(50, rel=1e-3)
    assert (
        scores.per_joint["left_wrist"]["pck150"] == pytest.approx(100 * 5 / 6)
        and "pck150" not in scores.per_joint["jaw"]
    )
    assert scores.per_crop["mpjpe_mm"][2] == pytest.approx((300 + 200) / 17, rel=1e-3)


def test_crops_are_chosen(crops: Samples, body: Body, regressor: Tensor, caplog: pytest.LogCaptureFixture) -> None:
    samples = labelled(crops, body, regressor)
    subject = Subject(Fixed(crops, body), body, regressor)
    caplog.set_level("INFO", "adaptation.found")
    assert evaluate_protocol(subject, samples, PROTOCOLS["h36m-p1"]).crops.tolist() == [0, 1, 2, 3]
    assert evaluate_protocol(subject, samples, PROTOCOLS["h36m-p2"]).crops.tolist() == [0, 2, 3]
    joints = np.array(samples.joints3d)
    joints[2, SPIN.joints.index("right_knee"), 3] = 0
    scores = evaluate_protocol(subject, replace(samples, joints3d=joints), PROTOCOLS["h36m-p2"])
    assert scores.crops.tolist() == [0, 3]
    assert "2 of 6 crops count; 3 do not belong to it, 1 lack labels" in caplog.text
    for part in ("subject", "view", "frame"):
        with pytest.raises(UserError, match=f"chooses crops by {part}, which the crop set does not know"):
            evaluate_protocol(subject, replace(samples, **{part: None}), PROTOCOLS["h36m-p2"])
    with pytest.raises(UserError, match="of 6 crops, none belongs to it"):
        evaluate_protocol(subject, replace(samples, subject=np.zeros(COUNT, np.int64)), PROTOCOLS["h36m-p1"])


def test_smpls_joints_need_no_regressor(crops: Samples, body: Body) -> None:
    truth = crops.bodies(body)
    joints = body.joints(truth.rotations, truth.betas)
    samples = replace(crops, joints3d=with_confidence(joints.numpy()), joint_set=SMPL.name)
    scores = evaluate_protocol(Subject(Fixed(crops, body), body), samples, PROTOCOLS["smpl14"])
    assert scores.figures["MPJPE mm"] < 1e-2 and list(scores.per_joint)[-1] == "head"


def test_segmentation_of_the_truth(crops: Samples, body: Body) -> None:
    truth = crops.bodies(body)
    posed = body(truth.rotations, truth.betas)
    faces = TopokernelsRenderer().rasterize(posed.vertices, body.faces, truth.camera, crops.size)[0]
    parts = torch.cat([part_of_faces(body), torch.zeros(1, dtype=torch.uint8)])[faces].numpy()
    masks = np.repeat((parts > 0)[:, None], 3, axis=1).astype(np.uint8)
    box = np.tile(np.float32([0, 0, crops.size, crops.size]), (COUNT, 1))
    frame = np.full((COUNT, 2), crops.size, np.float32)
    samples = replace(crops, masks=masks, parts=parts, box=box, frame_size=frame)
    scores = evaluate_protocol(Subject(Fixed(crops, body), body), samples, PROTOCOLS["lsp"])
    assert scores.figures == {"accuracy %": 100, "F1": 1, "parts accuracy %": 100, "parts F1": 1}
    assert set(scores.per_joint) >= {"background", "head", "left leg"}
    # Half of the background becomes foreground in the truth: known counts.
    wrong = masks.copy()
    wrong[:, :, 0] = 1
    missed = int(wrong[:, 0].sum() - masks[:, 0].sum())
    scores = evaluate_protocol(
        Subject(Fixed(crops, body), body), replace(samples, masks=wrong, parts=None), PROTOCOLS["lsp"]
    )
    total = masks[:, 0].size
    on, off = int(masks[:, 0].sum()), total - int(masks[:, 0].sum())
    assert scores.figures["accuracy %"] == pytest.approx(100 * (1 - missed / total))
    f1 = (2 * on / (2 * on + missed) + 2 * (off - missed) / (2 * (off - missed) + missed)) / 2
    assert scores.figures["F1"] == pytest.approx(f1) and "parts F1" not in scores.figures


def test_pckh_of_projected_joints(crops: Samples, body: Body) -> None:
    truth = crops.bodies(body)
    seen = truth.camera.project(body.joints(truth.rotations, truth.betas), crops.size).numpy()
    keypoints = OPENPOSE.placed_in(SPIN, SMPL.placed_in(OPENPOSE, with_confidence(seen)))
    keypoints[:, SPIN.joints.index("left_knee"), 0] += 4
    keypoints[0, SPIN.joints.index("right_knee"), 2] = 0
    head = np.full(COUNT, 8.2, np.float32)
    head[1] = 7.8
    samples = replace(crops, keypoints=keypoints, joint_set=SPIN.name, head_size=head)
    scores = evaluate_protocol(Subject(Fixed(crops, body), body), samples, PROTOCOLS["mpii"])
    # Four pixels are within half of 8.2, not of 7.8; one joint is not annotated.
    assert scores.figures["annotated joints"] == 13 * COUNT - 1
    assert scores.figures["PCKh@0.5 %"] == pytest.approx(100 * (1 - 1 / (13 * COUNT - 1)))
    assert scores.per_joint["left_knee"] == {"pckh": pytest.approx(100 * 5 / 6), "count": 6}
    assert scores.per_joint["right_knee"]["count"] == 5
    # Without a rectangle, the head is the line from the neck to its top.
    keypoints[:, SPIN.joints.index("head_top")] = keypoints[:, SPIN.joints.index("neck")] + np.float32([0, 7.8, 0])
    samples = replace(samples, head_size=None, keypoints=keypoints)
    scores = evaluate_protocol(Subject(Fixed(crops, body), body), samples, PROTOCOLS["mpii"])
    assert scores.per_joint["left_knee"]["pckh"] == 0


def test_refusals(crops: Samples, body: Body, regressor: Tensor) -> None:
    with pytest.raises(UserError, match=r"--protocol must be one of h36m-p1, .*, got 'h36m'"):
        protocol_by_name("h36m")
    with pytest.raises(UserError, match=r"give --regressor J_regressor_h36m\.npy .* smpl14 needs neither"):
        evaluate_protocol(Subject(Fixed(crops, body), body), crops, PROTOCOLS["3dpw"])
    with pytest.raises(
        UserError, match="needs 3D joints of 'spin'; the crop set has none; topo-adapt dataset --regressor"
    ):
        evaluate_protocol(Subject(Fixed(crops, body), body, regressor), crops, PROTOCOLS["3dpw"])
    for name in ("smpl14", "lsp"):
        with pytest.raises(UserError, match=f"protocol {name} regresses no joints; leave --regressor out"):
            evaluate_protocol(Subject(Fixed(crops, body), body, regressor), crops, PROTOCOLS[name])
    with pytest.raises(UserError, match="needs keypoints of right_ankle"):
        evaluate_protocol(Subject(Fixed(crops, body), body), replace(crops, keypoints=None), PROTOCOLS["mpii"])
    with pytest.raises(UserError, match="needs masks, boxes and frame sizes"):
        evaluate_protocol(Subject(Fixed(crops, body), body), replace(crops, masks=None), PROTOCOLS["lsp"])


def test_files_state_the_convention(crops: Samples, body: Body, regressor: Tensor, tmp_path: Path) -> None:
    samples = labelled(crops, body, regressor)
    scores = evaluate_protocol(Subject(Fixed(crops, body), body, regressor), samples, PROTOCOLS["h36m-p2"])
    scores.write(tmp_path)
    written = json.loads((tmp_path / "scores.json").read_text())
    assert written["protocol"] == "h36m-p2" and "camera 60457274 alone" in written["convention"]
    assert written["figures"] == scores.figures and written["images"] == 3
    images = (tmp_path / "images.csv").read_text().splitlines()
    assert images[0] == "image,mpjpe_mm,pa_mpjpe_mm" and [row.split(",")[0] for row in images[1:]] == ["0", "2", "3"]
    joints = (tmp_path / "joints.csv").read_text().splitlines()
    assert joints[0] == "joint,error_mm,pa_error_mm" and len(joints) == 15
