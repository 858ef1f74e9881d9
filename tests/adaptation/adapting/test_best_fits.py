from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from leaves import tensors_of
from networks import saved, tiny_network

from adaptation.adapting.best_fits import BestFits
from adaptation.adapting.settings import AdaptSettings
from adaptation.bodies.body import Body
from adaptation.bodies.parameters import Bodies
from adaptation.bodies.renderer import make_renderer
from adaptation.data.samples import Samples
from adaptation.fitting.settings import FitSettings
from adaptation.fitting.silhouette_fitter import SilhouetteFitter
from adaptation.priors.gaussian import GaussianPosePrior
from adaptation.support.errors import UserError

ADAPT = AdaptSettings(steps=8, batch=4, fit_steps=2, check_every=2, rate=1e-3, masks="truth")


@pytest.fixture
def fits(body: Body) -> BestFits:
    settings = FitSettings(prior_start=0.0, prior_end=0.0)
    return BestFits(6, SilhouetteFitter(body, GaussianPosePrior.default(), make_renderer(), settings))


def known(target: Samples, body: Body, zoom: float) -> Bodies:
    """The bodies of the first four crops, too large by a factor."""
    bodies = target.bodies(body).select(slice(0, 4))
    return replace(bodies, camera=bodies.camera.zoomed(torch.full((4, 1), zoom), torch.zeros(4, 2)))


def test_fits_that_diverge_end_the_run(target: Samples, adapt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverge(*_: object, **__: object) -> None:
        raise FloatingPointError("loss is nan at step 3")

    monkeypatch.setattr("adaptation.fitting.silhouette_fitter.SilhouetteFitter.fit", diverge)
    with pytest.raises(UserError, match=r"a fit diverged \(loss is nan at step 3\)"):
        adapt(tiny_network(), target, ADAPT)
    assert saved(tmp_path / "run")["step"] == 2


def test_fits_of_another_target_are_not_used(target: Samples, adapt) -> None:
    adapt(tiny_network(), target, ADAPT)
    with pytest.raises(UserError, match="saved fits are of 24 images, not of 12"):
        adapt(tiny_network(), target.take(slice(0, 12)), ADAPT)


def test_the_better_fit_of_each_image_is_kept(target: Samples, body: Body, fits: BestFits) -> None:
    index, fitter = torch.tensor([5, 0, 3, 1]), fits._fitter
    goal = fitter.target(target.mask_batch(slice(0, 4)))
    good, bad = known(target, body, 1.0), known(target, body, 1.6)
    mixed = good.where(torch.tensor([True, False, True, False]), bad)
    first = fits.improve(index, goal, mixed, steps=0)
    second = fits.improve(index, goal, good.where(torch.tensor([False, True, True, False]), bad), steps=0)
    # No step moves them: each image has the better of the two starts it was given.
    for found, expected in ((first, mixed), (second, good.where(torch.tensor([True, True, True, False]), bad))):
        for name, value in tensors_of(found).items():
            torch.testing.assert_close(value, tensors_of(expected)[name], rtol=0, atol=1e-5)
    assert torch.isinf(fits.state_dict()["loss"][[2, 4]]).all()


def test_fits_come_back_from_a_save(target: Samples, body: Body, fits: BestFits) -> None:
    index, goal = torch.arange(4), fits._fitter.target(target.mask_batch(slice(0, 4)))
    kept = fits.improve(index, goal, known(target, body, 1.0), steps=1)
    again = BestFits(6, fits._fitter)
    again.load_state_dict(fits.state_dict())
    found = again.improve(index, goal, known(target, body, 3.0), steps=0)
    for name, value in tensors_of(found).items():
        assert torch.equal(value, tensors_of(kept)[name])
