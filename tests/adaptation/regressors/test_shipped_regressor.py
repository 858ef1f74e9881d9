from __future__ import annotations

from adaptation.bodies.body import Body
from adaptation.evaluation.scores import evaluate
from adaptation.regressors.files import load_network
from adaptation.synthetic.domains import make_domain
from adaptation.synthetic.settings import DomainSettings


def test_the_shipped_model_knows_people_it_has_not_seen(body: Body) -> None:
    strangers = make_domain(DomainSettings("source", "test", 48, 96, seed=5))
    scores = evaluate(load_network("small").network, strangers, body).summary()
    assert scores["pa_mpjpe"] < 90  # 63 on 600 others; a mean pose gives 190
    assert scores["iou"] > 0.55
