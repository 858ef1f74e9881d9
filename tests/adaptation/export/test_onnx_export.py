from __future__ import annotations

import numpy as np
import pytest
import torch
from networks import tiny_network
from torch import Tensor, nn

from adaptation.export.onnx_file import OUTPUTS, difference, onnx
from adaptation.priors.latent import LatentPosePrior
from adaptation.regressors.base import wrap
from adaptation.regressors.hmr import Regressor
from adaptation.support.errors import UserError


class Flat(nn.Module):
    """A network of a user's own."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 24 * 6 + 10 + 3)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        values = self.layer(images.mean((2, 3)))
        return values[:, :144], values[:, 144:154], values[:, 154:]


def networks() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    latent = Regressor((1, 1, 1, 1), 4, 32, LatentPosePrior(16).frozen(), heatmaps=True)
    return {"rotations": tiny_network(), "latent and heatmaps": latent, "own": wrap(Flat(), pose="rot6d")}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rotations", "latent and heatmaps", "own"])
def test_the_file_gives_what_the_network_gives(name: str) -> None:
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    network = networks()[name].eval()
    content = onnx(network, 64)
    apart = difference(content, network, 64)
    assert apart is not None and apart < 1e-4
    assert not network.training
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    assert [each.name for each in session.get_outputs()] == list(OUTPUTS)
    for count in (1, 5):
        rotations, betas, camera = session.run(None, {"images": np.zeros((count, 3, 64, 64), np.float32)})
        assert rotations.shape == (count, 24, 3, 3) and betas.shape == (count, 10) and camera.shape == (count, 3)


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "adaptation.export.onnx_file.find_spec", lambda name: None if name == "onnxscript" else object()
    )
    with pytest.raises(UserError, match="pip install onnxscript"):
        onnx(tiny_network(), 64)
