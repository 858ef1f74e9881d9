"""ONNX: a regressor that other programs run without torch.

The network takes ``images`` (B, 3, S, S), RGB in [0, 1], and gives ``rotations`` (B, 24, 3, 3), ``betas`` (B, 10) and
the weak-perspective ``camera`` (B, 3) of `adaptation.bodies.camera`; a network without a body model gives ``vertices``
(B, V, 3) and ``camera``. B is free, S is fixed.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from adaptation.regressors.base import Prediction, uses_view
from adaptation.regressors.running import predict_in
from adaptation.support.errors import UserError, reason

OUTPUTS = ("rotations", "betas", "camera")
MESH_OUTPUTS = ("vertices", "camera")
"""Outputs of networks without a body model."""
_PACKAGES = ("onnx", "onnxscript")


class Plain(nn.Module):
    """A `MeshNetwork` with tensors for outputs."""

    def __init__(self, network: nn.Module, outputs: tuple[str, ...] = OUTPUTS) -> None:
        super().__init__()
        self.network, self.outputs = network, outputs
        # Exporters restore the mode of the outer module, and would put the network into training mode with it.
        self.eval()

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return rotations (B, J, 3, 3), betas (B, K) and cameras (B, 3), or vertices (B, V, 3) and cameras."""
        prediction: Prediction = self.network(images)
        if self.outputs == MESH_OUTPUTS:
            assert prediction.mesh is not None
            return prediction.mesh.vertices, prediction.mesh.camera.weak().parameters
        bodies = prediction.bodies
        return bodies.rotations, bodies.betas, bodies.camera.weak().parameters


@torch.no_grad()
def plain_network(network: nn.Module, size: int) -> Plain:
    """Return a network with the outputs that it has, found out with a grey crop of ``size`` pixels."""
    prediction = predict_in("float32", network, torch.full((1, 3, size, size), 0.5))
    return Plain(network, OUTPUTS if prediction.parameters is not None else MESH_OUTPUTS)


def onnx(network: nn.Module, size: int) -> bytes:
    """Return a network as the content of an ONNX file.

    Args:
        network: a `MeshNetwork` on the CPU.
        size: side S of its crops, pixels.

    Raises:
        UserError: the packages are missing, the network needs more than images, or it uses what ONNX cannot express.
    """
    if uses_view(network):
        raise UserError(
            "this network depends on where its crops lie in their frames; files of ONNX are written for networks that "
            "need images alone"
        )
    if missing := [name for name in _PACKAGES if find_spec(name) is None]:
        raise UserError(
            f"ONNX needs {' and '.join(missing)}; run pip install {' '.join(missing)}, or install this project with "
            "the extra 'onnx'"
        )
    plain = plain_network(network, size)
    # Two crops, since exporters treat a batch of 1 as a constant.
    example = torch.zeros(2, 3, size, size)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        try:
            with _silent():
                torch.onnx.export(
                    plain, (example,), path, input_names=["images"], output_names=list(plain.outputs), dynamo=True,
                    dynamic_shapes={"images": {0: torch.export.Dim("batch")}}, external_data=False, verbose=False,
                )  # fmt: skip
        # Networks are the users' own, and the exporter wraps whatever their code raises.
        except Exception as error:
            raise UserError(f"the network cannot be written as ONNX at {size} pixels: {reason(error)}") from error
        return path.read_bytes()


def difference(content: bytes, network: nn.Module, size: int) -> float | None:
    """Return the largest difference between a network and its ONNX file on three crops of noise.

    Args:
        content: the file.
        network: the network.
        size: side of its crops, pixels.

    Returns:
        The largest difference of any output; None if onnxruntime, which runs the file, is not installed.
    """
    if find_spec("onnxruntime") is None:
        return None
    import onnxruntime

    images = torch.rand(3, 3, size, size, generator=torch.Generator().manual_seed(0))
    session: Any = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    plain = plain_network(network, size)
    got = session.run(list(plain.outputs), {"images": images.numpy()})
    with torch.no_grad():
        expected = plain(images)
    return max(float(np.abs(a.numpy() - b).max()) for a, b in zip(expected, got, strict=True))


@contextlib.contextmanager
def _silent() -> Any:
    """Keep the exporter's progress and remarks on packages that it does not need from the terminal."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
