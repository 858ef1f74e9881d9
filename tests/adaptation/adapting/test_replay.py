from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from networks import saved_weights, tiny_network

from adaptation.adapting.settings import AdaptSettings
from adaptation.data.samples import Samples
from adaptation.support.errors import UserError

ADAPT = AdaptSettings(steps=2, batch=4, fit_steps=2, check_every=2, rate=1e-3, masks="truth")


def test_replayed_people_are_shown_in_either_look(source: Samples, target: Samples, adapt, tmp_path: Path) -> None:
    states = []
    for look in ("source", "target", "target again"):
        settings = replace(ADAPT, replay_look=look.split()[0])  # type: ignore[arg-type]
        adapt(tiny_network(), target, settings, look, source=source)
        states.append(saved_weights(tmp_path / look))
    assert torch.equal(states[1], states[2])
    assert not torch.equal(states[0], states[1])


def test_nothing_is_replayed_without_a_source_or_if_not_asked_for(
    source: Samples, target: Samples, adapt, tmp_path: Path
) -> None:
    adapt(tiny_network(), target, ADAPT, "none")
    adapt(tiny_network(), target, replace(ADAPT, replay=0), "zero", source=source)
    adapt(tiny_network(), target, ADAPT, "some", source=source)
    none, zero, some = (saved_weights(tmp_path / name) for name in ("none", "zero", "some"))
    assert torch.equal(none, zero) and not torch.equal(none, some)


def test_source_crops_of_another_size_leave_nothing(source: Samples, target: Samples, adapt, tmp_path: Path) -> None:
    small = replace(source, images=source.images[:, ::2, ::2], masks=source.masks[:, :, ::2, ::2])
    with pytest.raises(UserError, match="the source's crops are of 24 pixels, the target's of 48"):
        adapt(tiny_network(), target, ADAPT, source=small)
    assert not (tmp_path / "run").exists()


def test_a_source_needs_labels_of_this_body(source: Samples, target: Samples, adapt, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no labels"):
        adapt(tiny_network(), target, ADAPT, source=replace(source, betas=None))
    with pytest.raises(UserError, match="belong to the body model 'smpl-abc', not to 'free'"):
        adapt(tiny_network(), target, ADAPT, source=replace(source, body="smpl-abc"))
    assert not (tmp_path / "run").exists()
