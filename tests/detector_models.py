"""MediaPipe's networks for tests that run them."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from adaptation.detectors.model_packages import NPM, PIP

FOLDER = os.environ.get("MEDIAPIPE_MODELS")
needs_models = pytest.mark.skipif(
    FOLDER is None or find_spec("ai_edge_litert") is None,
    reason=f"needs LiteRT (pip install ai-edge-litert) and MEDIAPIPE_MODELS, the folder in which {PIP} and {NPM} ran",
)


def models_folder() -> Path:
    """Return the folder of the packages."""
    assert FOLDER is not None
    return Path(FOLDER)
