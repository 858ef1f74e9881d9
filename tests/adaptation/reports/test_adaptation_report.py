from __future__ import annotations

import base64
import re
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from networks import tiny_network

from adaptation.adapting.settings import AdaptSettings
from adaptation.bodies.body import Body
from adaptation.bodies.renderer import make_renderer
from adaptation.data.samples import Samples
from adaptation.evaluation.scores import evaluate
from adaptation.fitting.silhouette_fitter import SilhouetteFitter
from adaptation.losses.settings import LossSettings
from adaptation.priors.gaussian import GaussianPosePrior
from adaptation.reports.adaptation import AdaptationReport, Adapted, build_adaptation_report, write_adaptation_report
from adaptation.reports.adaptation_crops import see

NASTY = '<script>alert("x")</script> & <b>"'
CURVE = {"step": [0, 50, 100], "iou": [0.412, 0.617, 0.533], "topology": [5.0, 3.25, 4.0]}


@pytest.fixture(scope="module")
def fitter(body: Body) -> SilhouetteFitter:
    return SilhouetteFitter(body, GaussianPosePrior.default(), make_renderer())


def build(samples: Samples, fitter: SilhouetteFitter, **changes: object) -> AdaptationReport:
    networks = [tiny_network(seed).eval() for seed in (0, 1)]
    torch.nn.init.normal_(networks[1].deccam.weight, std=0.01)
    adapt = AdaptSettings(masks="degraded", loss=LossSettings("b2"))
    scores = tuple(evaluate(network, samples, fitter.body) for network in networks) if samples.labelled else None
    given = dict(
        target=NASTY, model=NASTY, samples=samples, settings=adapt, before=networks[0], after=networks[1],
        curve=CURVE, scores=scores, measured=NASTY, described={"adapt": asdict(adapt), "model": NASTY}, command=NASTY,
    )  # fmt: skip
    return build_adaptation_report(Adapted(**{**given, **changes}), fitter)  # type: ignore[arg-type]


def write(report: AdaptationReport, folder: Path) -> str:
    write_adaptation_report(folder / "index.html", report)
    return (folder / "index.html").read_text("utf-8")


def test_the_page_shows_what_was_measured(target: Samples, fitter: SilhouetteFitter, tmp_path: Path) -> None:
    report = build(target, fitter)
    html = write(report, tmp_path)
    assert report.kept == 1 and ("mean IoU, held-out crops", "0.412 → 0.617") in report.summary
    assert ("weights kept from step", "50 of 100") in report.summary
    assert f"{report.before.iou.mean():.3f} → {report.after.iou.mean():.3f}" in html
    assert "24 crops of 48 pixels, from degraded masks with the loss b2" in html and "is unchanged" not in html
    assert "Against the labels" in html and "Joint by joint" in html and html.count("left knee") == 1
    assert "adapt.loss.name" in html and "adapt.fit.prior_start" in html
    # Two lines over steps, two sorted ones.
    assert html.count("<polyline") == 4 and html.count('class="ring"') == 2


def test_the_page_stands_alone_and_escapes(target: Samples, fitter: SilhouetteFitter, tmp_path: Path) -> None:
    html = write(build(target, fitter), tmp_path)
    assert "<script" not in html and "<b>&#34;" not in html and html.count("&lt;script&gt;alert") == 6
    assert all(source.startswith("data:image/") for source in re.findall(r'src="([^"]*)"', html))
    assert "://" not in html and "url(" not in html and "default-src 'none'" in html
    pictures = re.findall(r'src="data:image/\w+;base64,([^"]*)"', html)
    assert len(pictures) == 5 * 12
    for data in pictures:
        assert cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR) is not None


def test_the_gallery_goes_from_worst_to_best(target: Samples, fitter: SilhouetteFitter) -> None:
    report = build(target, fitter)
    changes = report.after.iou - report.before.iou
    shown = [row.iou[1] - row.iou[0] for row in report.gallery]
    assert shown == sorted(shown) and len({row.crop for row in report.gallery}) == 12
    assert shown[0] == pytest.approx(changes.min()) and shown[-1] == pytest.approx(changes.max())
    row = report.gallery[3]
    assert (row.mask[..., 0] > 128).sum() == target.masks[row.crop, 2].sum()
    scores = evaluate(tiny_network(0), target, fitter.body)
    assert row.pa_mpjpe is not None and row.pa_mpjpe[0] == pytest.approx(scores.pa_mpjpe[row.crop], rel=1e-3)
    assert (row.body_before != row.image).any() and (row.body_after != row.body_before).any()


def test_without_labels_and_with_few_crops(target: Samples, fitter: SilhouetteFitter, tmp_path: Path) -> None:
    masks = target.masks[:3].copy()
    masks[1] = 0
    few = replace(target.take(slice(0, 3)), masks=masks, pose=None, betas=None, camera=None)
    curve = {name: values[:1] for name, values in CURVE.items()}
    report = build(few, fitter, curve=curve, settings=AdaptSettings(keypoints="a1", every=0))
    assert [row.crop for row in report.gallery] in ([0, 2], [2, 0])  # crop 1 shows nothing
    html = write(report, tmp_path)
    assert "Against the labels" not in html and "Joint by joint" not in html and " mm" not in html
    assert "from 2D keypoints<" in html
    assert "since all of them belong to one sequence" in html and "held-out" not in html
    assert "so the model is unchanged" in html


def test_looking_does_not_depend_on_batches(target: Samples, fitter: SilhouetteFitter) -> None:
    index = np.arange(24)
    one, other = (see(tiny_network(), target, index, fitter, "truth", batch) for batch in (5, 64))
    np.testing.assert_allclose(one.iou, other.iou, atol=1e-3)
    np.testing.assert_allclose(one.pa_mpjpe, other.pa_mpjpe, rtol=1e-3)
