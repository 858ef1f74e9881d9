"""What the tests share. The operators' tests need torch alone, so the system is imported where it is used."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

import topokernels

if TYPE_CHECKING:
    from adaptation.bodies.body import Body
    from adaptation.data.samples import Samples
    from adaptation.priors.gaussian import GaussianPosePrior
    from adaptation.synthetic.hall import SyntheticClip

# The benchmarks are programs in a folder, not a package.
sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request: pytest.FixtureRequest) -> torch.device:
    if request.param == "cuda":
        if not torch.cuda.is_available():
            pytest.skip("no CUDA device")
        if not topokernels.has_cuda():
            pytest.skip("topokernels was built without CUDA")
    return torch.device(request.param)


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
    from adaptation.bodies.body import Body

    return Body.free()


@pytest.fixture(scope="session")
def body(free_body: Body) -> Body:
    return free_body


@pytest.fixture(scope="session")
def prior() -> GaussianPosePrior:
    from adaptation.priors.gaussian import GaussianPosePrior

    return GaussianPosePrior.default()


@pytest.fixture(scope="session")
def recording() -> SyntheticClip:
    """Two people, 60 and 76 px tall, whole and apart in frames 16 to 21 and 23 to 28."""
    from adaptation.synthetic.hall import ClipSettings, render_clip

    return render_clip(ClipSettings(width=240, height=180, frames=40, rate=5.0))


@pytest.fixture(scope="session")
def recording_folder(recording: SyntheticClip, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The frames of that recording, as PNG files."""
    from adaptation.synthetic.hall import write_clip

    folder = tmp_path_factory.mktemp("recording")
    write_clip(recording, folder)
    return folder / "frames"


@pytest.fixture(scope="session")
def source() -> Samples:
    """Two labelled clips of 48 pixels, of the source's look."""
    from adaptation.synthetic.domains import make_domain
    from adaptation.synthetic.settings import DomainSettings

    return make_domain(DomainSettings("source", "train", 24, 48))


@pytest.fixture(scope="session")
def target() -> Samples:
    """Two clips of another look."""
    from adaptation.synthetic.domains import make_domain
    from adaptation.synthetic.settings import DomainSettings

    return make_domain(DomainSettings("style", "adapt", 24, 48))
