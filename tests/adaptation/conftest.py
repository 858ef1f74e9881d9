"""What the tests of the system share: a small recording whose truth is known, and bodies in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from adaptation.body import Body
from adaptation.prior import GaussianPosePrior
from adaptation.synthetic import ClipSettings, SyntheticClip, render_clip, write_clip


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Everything here is small: threads that wait for each other cost more than they give.

    Of the module, so that the fixtures of a module have one thread too.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def free_body() -> Body:
    return Body.free()


@pytest.fixture(scope="session")
def prior() -> GaussianPosePrior:
    return GaussianPosePrior.default()


@pytest.fixture(scope="session")
def recording() -> SyntheticClip:
    """Two people, 60 and 76 px tall, whole and apart in frames 16 to 21 and 23 to 28."""
    return render_clip(ClipSettings(width=240, height=180, frames=40, rate=5.0))


@pytest.fixture(scope="session")
def recording_folder(recording: SyntheticClip, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The frames of that recording, as PNG files."""
    folder = tmp_path_factory.mktemp("recording")
    write_clip(recording, folder)
    return folder / "frames"
