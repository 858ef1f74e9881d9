import json
from dataclasses import replace
from pathlib import Path

import pytest

from adaptation.bodies.body import Body
from adaptation.commands.demo_program import DemoSettings, demo
from adaptation.evaluation.scores import evaluate
from adaptation.regressors.files import load_network
from adaptation.support.errors import UserError
from adaptation.synthetic.domains import make_domain
from adaptation.synthetic.settings import DomainSettings


def test_the_shipped_model_knows_people_it_has_not_seen(body: Body) -> None:
    strangers = make_domain(DomainSettings("source", "test", 48, 96, seed=5))
    scores = evaluate(load_network("small").network, strangers, body).summary()
    assert scores["pa_mpjpe"] < 90  # 63 on 600 others; a mean pose gives 190
    assert scores["iou"] > 0.55


def test_demo_adapts_and_reports(tmp_path: Path) -> None:
    settings = DemoSettings("lr-32", count=24, steps=2, precision="float32", workers=1)
    demo(tmp_path / "demo", settings, overwrite=False, command="topo-adapt demo")
    comparison = json.loads((tmp_path / "demo" / "run" / "comparison.json").read_text())
    assert comparison["before"]["pa_mpjpe"] > 0
    assert "<html" in (tmp_path / "demo" / "run" / "report" / "index.html").read_text()
    filmed = (tmp_path / "demo" / "source-train" / "images.npy").stat().st_mtime_ns
    demo(tmp_path / "demo", settings, overwrite=False, command="topo-adapt demo")  # goes on: nothing is left to do
    assert (tmp_path / "demo" / "source-train" / "images.npy").stat().st_mtime_ns == filmed
    with pytest.raises(UserError, match=r"other settings \(demo\.steps\)"):
        demo(tmp_path / "demo", replace(settings, steps=3), overwrite=False, command="topo-adapt demo")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file"):
        demo(tmp_path / "file", settings, overwrite=False, command="topo-adapt demo")
