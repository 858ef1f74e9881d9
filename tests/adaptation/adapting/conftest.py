from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from adaptation.adapting.settings import AdaptSettings
from adaptation.bodies.body import Body
from adaptation.data.samples import Samples
from adaptation.training.runs import Run


class Adapting:
    """Adapts networks in folders of a temporary one."""

    def __init__(self, folder: Path, body: Body) -> None:
        self.folder, self.body = folder, body

    def __call__(self, network, target: Samples, settings: AdaptSettings, name: str = "run", **options):
        """Adapt to a target; ``overwrite`` is of the run, the other options are those of `adapt`."""
        from adaptation.adapting.algorithm1 import adapt

        overwrite = options.pop("overwrite", False)
        run = Run(self.folder / name, {"adapt": asdict(settings)}, overwrite=overwrite)
        return adapt(network, target, self.body, settings, run, **options)


@pytest.fixture
def adapt(body: Body, tmp_path: Path) -> Adapting:
    return Adapting(tmp_path, body)
